"""The weight budget: never over the limit, and one pause for all threads."""

from __future__ import annotations

import threading

import pytest
from fake_time import FakeTime
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.sources.budget import CAUTIOUS_LIMIT, WeightBudget


def budget_at(time: FakeTime, *, limit: int, share: float = 1.0) -> WeightBudget:
    return WeightBudget(limit=limit, share=share, sleep=time.sleep, clock_s=time.clock_s)


def test_a_request_that_fits_does_not_wait():
    time = FakeTime()
    budget = budget_at(time, limit=10)
    assert budget.acquire(10) == 0
    assert time.slept == []


def test_the_request_that_would_go_over_waits_for_the_next_minute():
    time = FakeTime()
    budget = budget_at(time, limit=10)
    for _ in range(5):
        budget.acquire(2)
        budget.settle(2, None)
    time.now_s += 15
    assert budget.acquire(2) == pytest.approx(45)


def test_the_header_counts_what_others_behind_the_address_spent():
    time = FakeTime()
    budget = budget_at(time, limit=100)
    budget.acquire(2)
    budget.settle(2, used_by_header=99)
    assert budget.used == 99
    assert budget.acquire(2) > 0


def test_requests_under_way_count_before_they_are_answered():
    time = FakeTime()

    def answered_meanwhile(seconds: float) -> None:
        time.sleep(seconds)
        budget.settle(4, None)

    budget = WeightBudget(limit=4, share=1.0, sleep=answered_meanwhile, clock_s=time.clock_s)
    budget.acquire(4)
    assert budget.acquire(2) > 0


def test_a_share_of_the_limit_is_left_to_others():
    time = FakeTime()
    budget = budget_at(time, limit=100, share=0.5)
    budget.acquire(50)
    budget.settle(50, None)
    assert budget.acquire(1) > 0


def test_the_limit_is_cautious_until_the_exchange_says_its_own():
    budget = WeightBudget()
    assert budget.limit == CAUTIOUS_LIMIT
    budget.set_limit(6000)
    assert budget.limit == 6000


def test_a_pause_holds_every_thread():
    """Retry-After met by one thread stops the next request of all of them: none goes before all were held."""
    held = threading.Barrier(4)
    budget = WeightBudget(limit=100, sleep=lambda _: held.wait(10), clock_s=lambda: 5.0)
    budget.pause(7)
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(budget.acquire(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits == [pytest.approx(7)] * 4
    assert budget.used == 4


def test_a_sleep_that_does_not_move_the_clock_still_counts():
    """With a clock that stands still a pause ends after it was slept once."""
    slept: list[float] = []
    budget = WeightBudget(limit=2, share=1.0, sleep=slept.append, clock_s=lambda: 5.0)
    budget.pause(7)
    budget.acquire(2)
    budget.settle(2, None)
    budget.acquire(2)
    assert slept == [pytest.approx(7), pytest.approx(53)]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_no_minute_ever_holds_more_than_the_limit(weights):
    """Whatever is asked for, the weight spent within a window stays within the limit."""
    time = FakeTime()
    budget = budget_at(time, limit=40)
    spent: list[tuple[float, int]] = []
    for weight in weights:
        budget.acquire(weight)
        spent.append((time.now_s, weight))
        budget.settle(weight, None)
    for start in {at for at, _ in spent}:
        assert sum(weight for at, weight in spent if at == start) <= 40
