"""A token bucket never lets more through than was published, whatever is asked of it, and never starves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.alerts.pace import Limits, Pace, Pause, wait_after_failure_s

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits()


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_seven_messages_at_once_then_one_every_five_seconds():
    pace = Pace.full(LIMITS, NOON)
    for _ in range(7):
        assert pace.wait_s(NOON) == 0
        pace = pace.taken(NOON)
    assert pace.wait_s(NOON) == pytest.approx(5)
    assert pace.wait_s(after(4)) == pytest.approx(1)
    assert pace.wait_s(after(5)) == 0
    assert pace.wait_s(NOON, tokens=4) == pytest.approx(20)


@given(asked=st.lists(st.floats(0, 30), min_size=1, max_size=150))
def test_no_minute_ever_holds_more_than_the_limits_say(asked):
    now, pace, sent = NOON, Pace.full(LIMITS, NOON), []
    for pause in asked:
        now += timedelta(seconds=pause)
        if pace.wait_s(now) == 0:
            pace = pace.taken(now)
            sent.append(now)
    for first in sent:
        within = [time for time in sent if first <= time < first + timedelta(seconds=60)]
        assert len(within) <= LIMITS.most_in_a_minute


@given(waits=st.lists(st.floats(0.001, 20), max_size=40))
def test_replayed_from_what_was_sent_it_is_where_it_was(waits):
    now, pace, sent = NOON, Pace.full(LIMITS, NOON), []
    for wait in waits:
        now += timedelta(seconds=wait)
        pace = pace.taken(now)
        sent.append(now)
    again = Pace.replayed(LIMITS, sent, now)
    assert again.tokens == pytest.approx(pace.seen(now).tokens, abs=1e-6)


def test_what_nobody_counted_is_given_back_and_never_more_than_there_was():
    full = Pace.full(LIMITS, NOON)
    assert full.taken(NOON).given_back(NOON) == full
    assert full.given_back(NOON).tokens == LIMITS.burst


def test_the_rows_of_one_digest_are_one_message():
    assert Pace.replayed(LIMITS, [NOON] * 40, NOON).tokens == pytest.approx(6)


def test_more_than_allowed_was_sent_so_the_wait_is_longer():
    sent = [after(moment / 10) for moment in range(20)]
    assert Pace.replayed(LIMITS, sent, after(2)).wait_s(after(2)) > 60


def test_nothing_sent_is_a_full_bucket():
    assert Pace.replayed(LIMITS, [], NOON).tokens == LIMITS.burst


def test_a_clock_put_back_refills_nothing_and_does_not_stop_the_refill():
    empty = Pace(limits=LIMITS, tokens=0, at=after(3600))
    seen = empty.seen(NOON)
    assert seen.tokens == 0
    assert seen.seen(after(5)).tokens == pytest.approx(1)


def test_a_pause_is_as_long_as_was_asked():
    pause = Pause.of(17, NOON)
    assert pause.left_s(NOON) == 17
    assert pause.left_s(after(16.9)) == pytest.approx(0.1)
    assert pause.left_s(after(17)) == 0


def test_a_pause_is_not_a_year_long_because_a_clock_was_wrong():
    pause = Pause.of(17, after(365 * 86400)).seen(NOON)
    assert pause.left_s(NOON) == 17
    assert pause.left_s(after(17)) == 0


def test_the_wait_doubles_up_to_a_minute():
    assert [wait_after_failure_s(failures) for failures in range(8)] == [0, 2, 4, 8, 16, 32, 60, 60]
    assert wait_after_failure_s(10**9) == 60
