"""What the alarm on the win rate is worth: 1,000 histories of 60 days with 15 trades a day."""

from __future__ import annotations

import numpy as np
import pytest
from drift_making import KNOWN, alarms_by_day, daily, seen

from itb_assets.domain.drift import wilson_upper
from itb_assets.domain.drift.evidence import follow
from itb_assets.domain.drift.win_rate import judge, reference_steps

HISTORIES, DAYS, A_DAY = 1000, 60, 15
RATE = 0.58


def histories(rate, *, seed, days=DAYS):
    return np.random.default_rng(seed).random((HISTORIES, days * A_DAY)) < rate


def rule(won, rate=RATE):
    return seen(alarms_by_day(won, round(rate * KNOWN), KNOWN))


@pytest.mark.parametrize("rate", [0.35, 0.5, RATE, 0.7])
def test_without_drift_hardly_any_history_ever_alarms(rate):
    ever, _ = rule(histories(rate, seed=5), rate)
    assert ever < 0.02


def test_others_alarm_in_the_same_histories():
    """The histories are hard: the obvious rules alarm in a quarter and in half of them."""
    wins = histories(RATE, seed=5).cumsum(axis=1)[:, A_DAY - 1 :: A_DAY]
    trades = np.arange(1, DAYS + 1) * A_DAY
    assert seen(wilson_upper(wins, trades) < RATE)[0] > 0.2
    assert seen(RATE - wins / trades > 0.05)[0] > 0.4


@pytest.mark.parametrize("rate", [0.35, 0.5, RATE, 0.7])
def test_a_drop_of_ten_points_is_seen_within_thirty_days(rate):
    ever, median_day = rule(histories(rate - 0.10, seed=6), rate)
    assert ever >= 0.98
    assert median_day <= 22


def test_smaller_drops_are_seen_as_often_as_they_can_be():
    assert rule(histories(RATE - 0.07, seed=7))[0] >= 0.9
    assert 0.55 <= rule(histories(RATE - 0.05, seed=8))[0] <= 0.75


def test_a_drop_after_a_good_time_is_seen_as_soon():
    won = np.hstack([histories(RATE, seed=9), histories(RATE - 0.10, seed=10)])
    alarms = alarms_by_day(won, round(RATE * KNOWN), KNOWN)
    ever, median_day = seen(alarms[:, DAYS:])
    assert ever >= 0.95
    assert median_day <= 28


@pytest.mark.parametrize(("trades", "seen_at_least"), [(100, 0.0), (200, 0.3), (500, 0.88), (2000, 0.97)])
def test_a_reference_that_is_a_sample_itself_causes_no_alarms(trades, seen_at_least):
    """Few trades out of sample make the alarm slow, never loud."""
    wins = np.random.default_rng(12).binomial(trades, RATE, HISTORIES)
    steps = np.asarray([reference_steps(int(each), trades) for each in wins])

    def ever(won):
        path = daily(follow(won, steps[:, :1], steps[:, 1:]), A_DAY)
        return seen(judge(path, wins[:, None], np.asarray(trades)).any)[0]

    assert ever(histories(RATE, seed=13)) < 0.05
    assert ever(histories(RATE - 0.10, seed=14)) >= seen_at_least
