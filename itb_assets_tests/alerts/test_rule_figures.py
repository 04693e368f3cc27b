"""How often rules alarm by chance: the figures that the shipped file gives for its thresholds."""

from __future__ import annotations

import zipfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from itb_assets.domain.alerts.thresholds import Bound
from itb_assets.domain.alerts.unusual import parkinson, robust_z
from itb_assets.domain.alerts.win_rates import Won, highest_likely_rate, low_days
from itb_assets.observability.alerts.config import load_config, shipped_text

TRADES_A_DAY = 15
HOUR_ROWS, DAY_ROWS, LOOK_EVERY_ROWS = 12, 288, 3


def alarms(bad: np.ndarray) -> int:
    """Return how often something begins to be bad."""
    return int(bad[0]) + sum(now and not before for before, now in pairwise(bad.tolist()))


def win_rate_alarms(rate: float, years: int) -> tuple[float, float]:
    """Return how often a year each rule alarms of a model that truly wins so often."""
    rules = load_config().rules
    won = np.random.default_rng(11).random(years * 365 * TRADES_A_DAY) < rate
    last = rules.win_rate_low.window.days * TRADES_A_DAY
    wins = np.convolve(won, np.ones(last, dtype=int), "valid")
    low = {
        count: highest_likely_rate(Won(count, last), rules.win_rate_low.confidence)
        < rules.win_rate_low.threshold
        for count in range(last + 1)
    }
    honest = alarms(np.array([low[int(count)] for count in wins]))
    days = [Won(int(day.sum()), TRADES_A_DAY) for day in won.reshape(-1, TRADES_A_DAY)]
    thumb = rules.win_rate_low_days
    in_row = [
        (low_days(days[at - thumb.days : at], below=thumb.threshold, min_trades=thumb.min_sample) or 0)
        >= thumb.days
        for at in range(thumb.days, len(days) + 1)
    ]
    return honest / years, alarms(np.array(in_row)) / years


def test_the_default_is_rarely_wrong_about_a_good_model_and_the_rule_of_thumb_often():
    honest, thumb = win_rate_alarms(0.58, years=100)
    assert 0.1 < honest < 0.8
    assert 4 < thumb < 6


def test_the_default_finds_a_model_that_wins_too_seldom():
    honest, _ = win_rate_alarms(0.40, years=10)
    assert honest > 20


@pytest.mark.parametrize(("rate", "days"), [(0.40, 6), (0.35, 3)])
def test_a_model_that_comes_to_win_too_seldom_is_found_after_as_many_days_as_is_said(rate, days):
    """The median over many models that won 58 % until then; looked at after every trade."""
    settings = load_config().rules.win_rate_low
    last = settings.window.days * TRADES_A_DAY
    low = np.array(
        [
            highest_likely_rate(Won(won, last), settings.confidence) < settings.threshold
            for won in range(last + 1)
        ]
    )
    dice, found = np.random.default_rng(5), []
    for _ in range(600):
        won = np.concatenate([dice.random(last) < 0.58, dice.random(200 * TRADES_A_DAY) < rate])
        fires = np.flatnonzero(low[np.convolve(won, np.ones(last, dtype=int), "valid")[1:].astype(int)])
        found.append((fires[0] + 1) / TRADES_A_DAY)
    assert np.median(found) == pytest.approx(days, abs=0.8)
    assert f"{round(100 * rate)} %" in shipped_text()


@pytest.mark.data
@pytest.mark.parametrize(("rule", "least", "most"), [("volume", 0.7, 2.5), ("volatility", 1.5, 4)])
def test_a_real_market_is_unusual_a_few_times_a_month(test_data, rule, least, most):
    folder = test_data / "binance_archive/data/spot/monthly/klines/BTCUSDT/5m"
    frames = []
    for file in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as content:
            frames.append(pd.read_csv(content, header=None, usecols=[2, 3, 5]).to_numpy(float))
    high, low, volume = np.concatenate(frames).T
    squares = np.log(high / low) ** 2
    totals = np.convolve(volume if rule == "volume" else squares, np.ones(HOUR_ROWS), "valid")
    figures = totals if rule == "volume" else np.array([parkinson(each, HOUR_ROWS) for each in totals])
    settings = load_config().rules.named()[f"unusual_{rule}"]
    bound, history = Bound(settings.threshold, settings.clear), settings.earlier_days * DAY_ROWS
    bad, firing = [], False
    for row in range(history, len(figures), LOOK_EVERY_ROWS):
        z = robust_z(figures[row], figures[row - history : row : DAY_ROWS].tolist())
        firing = bound.fires(abs(z), firing=firing)
        bad.append(firing)
    months = len(bad) * LOOK_EVERY_ROWS / DAY_ROWS / 30.4
    assert least < alarms(np.array(bad)) / months < most
