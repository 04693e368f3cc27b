"""The arithmetic of rules: thresholds that do not flap, win rates, unusual figures, costs, what is news."""

from __future__ import annotations

import doctest
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.alerts import Level, costs, evaluation, thresholds, unusual, win_rates
from itb_assets.domain.alerts.costs import Spending
from itb_assets.domain.alerts.evaluation import Evaluation, Standing, news
from itb_assets.domain.alerts.thresholds import Bound, age_s, lateness_s, loss_pct
from itb_assets.domain.alerts.unusual import LARGEST_Z, parkinson, robust_z
from itb_assets.domain.alerts.win_rates import Won, highest_likely_rate, low_days, pooled
from itb_assets.errors import DataContractError, InputError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
VALUES = st.floats(-1e9, 1e9)


@pytest.mark.parametrize("module", [thresholds, win_rates, unusual, costs, evaluation])
def test_the_examples_of_the_docstrings_are_true(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@given(st.floats(-100, 100), st.floats(0, 50), st.lists(VALUES), st.sampled_from(["above", "below"]))
def test_between_clear_and_threshold_nothing_changes(threshold, distance, values, direction):
    clear = threshold - distance if direction == "above" else threshold + distance
    bound = Bound(threshold, clear, direction)
    firing = False
    for value in values:
        before, firing = firing, bound.fires(value, firing=firing)
        beyond = value > threshold if direction == "above" else value < threshold
        back = value <= clear if direction == "above" else value >= clear
        assert firing == (True if beyond else False if back else before)


@pytest.mark.parametrize("firing", [True, False])
def test_an_unknown_value_changes_nothing(firing):
    assert Bound(1.0, 1.0).fires(math.nan, firing=firing) is firing


@pytest.mark.parametrize("bound", [(1.0, 1.1, "above"), (1.0, 0.9, "below")])
def test_clear_lies_on_the_good_side(bound):
    with pytest.raises(InputError, match="clear"):
        Bound(*bound)


@pytest.mark.parametrize("capital", [0.0, -1.0, math.nan])
def test_a_loss_needs_a_capital(capital):
    with pytest.raises(InputError, match="amount above 0"):
        loss_pct(-1.0, capital)


def test_a_clock_ahead_makes_nothing_older_than_now():
    assert age_s(NOW + MINUTE, NOW) == 0
    assert lateness_s(NOW, 300, NOW) == 0


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.51, 0.999))
def test_the_highest_likely_rate_is_above_the_rate_and_falls_with_more_of_the_same(wins, losses, confidence):
    won = Won(wins, wins + losses)
    upper = highest_likely_rate(won, confidence)
    assert won.rate <= upper + 1e-12
    assert upper <= 1
    if won.trades:
        assert highest_likely_rate(Won(10 * wins, 10 * won.trades), confidence) <= upper + 1e-12


def test_no_trades_allow_every_rate():
    assert highest_likely_rate(Won(0, 0), 0.99) == 1.0
    assert pooled([]) == Won(0, 0)


def test_more_wins_than_trades_are_refused():
    with pytest.raises(DataContractError, match="3 wins of 2"):
        Won(3, 2)


def test_a_thin_day_behind_a_good_one_does_not_matter():
    assert low_days([Won(0, 1), Won(9, 10), Won(1, 10)], below=0.5, min_trades=5) == 1
    assert low_days([Won(1, 1), Won(1, 10), Won(9, 10)], below=0.5, min_trades=5) == 0


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30), st.floats(1e-6, 1e6), st.floats(0.01, 100))
def test_the_unit_of_a_figure_does_not_matter(earlier, now, unit):
    one, other = robust_z(now, earlier), robust_z(now * unit, [value * unit for value in earlier])
    assert one == pytest.approx(other, abs=1e-6)
    assert abs(one) <= LARGEST_Z


def test_one_wild_day_moves_little():
    days = [90.0, 95.0, 100.0, 105.0, 110.0, 100.0, 98.0]
    assert abs(robust_z(160, days) - robust_z(160, [*days, 1e9])) < 2.5


def test_without_earlier_days_nothing_is_known():
    assert math.isnan(robust_z(1.0, []))
    assert math.isnan(parkinson(0.0, 0))


def test_days_all_alike_do_not_make_a_small_step_unusual():
    assert abs(robust_z(104, [100.0] * 28)) < 1


def test_a_month_that_is_over_is_its_own_forecast():
    until = datetime(2024, 10, 2, tzinfo=UTC)
    assert Spending("2024-09", "USD", 30.0, until).forecast == pytest.approx(30.0)


@pytest.mark.parametrize("month", ["2024-13", "September", "2024-09-01", ""])
def test_what_is_no_month_is_refused(month):
    with pytest.raises(DataContractError, match="month"):
        Spending(month, "USD", 1.0, NOW)


def found(state, **changes) -> Evaluation:
    """Return what a look says of one rule."""
    return Evaluation(**({"rule": "r", "level": Level.ERROR, "state": state, "labels": {"a": "b"}} | changes))


def standing(state, *, opened=None, at=NOW) -> Standing:
    """Return how the rule stood."""
    return Standing(state=state, labels={"a": "b"}, value=None, at=at, opened_at=opened)


@pytest.mark.parametrize("state", ["ok", "insufficient", "no_data"])
def test_what_was_never_wrong_is_no_news(state):
    assert news(None, found(state), now=NOW, remind=MINUTE) is None
    assert news(standing("ok"), found(state), now=NOW, remind=MINUTE) is None


@pytest.mark.parametrize("before", [None, standing("ok"), standing("no_data"), standing("firing")])
def test_what_is_wrong_and_not_open_is_news(before):
    told = news(before, found("firing"), now=NOW, remind=MINUTE)
    assert told is not None
    assert not told.resolves
    assert told.fingerprint == found("ok").fingerprint


def test_what_goes_on_is_told_once_in_every_interval():
    opened, last, ids = NOW, NOW, []
    for seconds in range(5, 305, 5):
        now = NOW + timedelta(seconds=seconds)
        told = news(standing("firing", opened=opened, at=last), found("firing"), now=now, remind=MINUTE)
        ids += [] if told is None else [told.event_id]
        last = now
    assert len(ids) == len(set(ids)) == 5


@pytest.mark.parametrize("state", ["insufficient", "no_data"])
def test_what_cannot_be_told_ends_nothing(state):
    assert news(standing("firing", opened=NOW), found(state), now=NOW + MINUTE, remind=MINUTE) is None


@pytest.mark.parametrize("before", ["firing", "insufficient", "no_data", "ok"])
def test_only_what_is_good_again_is_over(before):
    told = news(standing(before, opened=NOW), found("ok"), now=NOW + MINUTE, remind=MINUTE)
    assert told is not None
    assert told.resolves


def test_the_same_look_twice_has_the_same_ids():
    before = standing("firing", opened=NOW)
    later = NOW + 2 * MINUTE
    for state in ("firing", "ok"):
        first, second = (news(before, found(state), now=later, remind=MINUTE) for _ in range(2))
        assert first is not None
        assert first == second


def test_an_end_is_never_older_than_the_last_report():
    """The clock went back a little, or another machine's is behind: an older end would end nothing."""
    last_at = NOW + timedelta(seconds=20)
    before = replace(standing("firing", opened=NOW - MINUTE), last_at=last_at)
    first, second = (
        news(before, found("ok"), now=NOW + timedelta(seconds=step), remind=MINUTE) for step in (0, 25)
    )
    assert first is not None
    assert second is not None
    assert first.at == last_at
    assert second.at == NOW + timedelta(seconds=25)
    assert first.event_id != second.event_id
