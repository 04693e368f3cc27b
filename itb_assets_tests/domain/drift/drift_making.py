"""Trades, forecasts and features made for the tests of drift, and the rule looked at every day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from itb_assets.domain.drift import Forecasts, Outcomes
from itb_assets.domain.drift.evidence import EvidencePath, follow
from itb_assets.domain.drift.win_rate import judge, reference_steps

KNOWN = 1_000_000
"""Trades of a reference whose win rate is as good as known."""


def outcomes(won, sample="live"):
    won = np.asarray(won, dtype=np.bool_)
    return Outcomes(won, np.full(len(won), sample, dtype=object))


def exactly(wins, trades):
    """Return outcomes with so many wins, spread evenly."""
    return np.diff(np.arange(trades + 1) * wins // trades) == 1


def forecasts(score, label, sample="live"):
    score = np.asarray(score, dtype=np.float64)
    return Forecasts(score, np.asarray(label, dtype=np.bool_), np.full(len(score), sample, dtype=object))


def true_forecasts(rows, *, seed=0, sample="out_of_sample", overstated=0.0):
    """Return independent rows that come true as often as they say, or less by `overstated`."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.2, 0.6, rows)
    return forecasts(chance + overstated, rng.random(rows) < chance, sample)


def daily(path, a_day):
    """Return the path as seen at the end of each day."""
    return EvidencePath(**{name: values[..., a_day - 1 :: a_day] for name, values in vars(path).items()})


def alarms_by_day(won, wins, trades, *, a_day=15):
    """Return where the rule alarms (histories, days) against one reference for all."""
    return judge(daily(follow(won, *reference_steps(wins, trades)), a_day), wins, trades).any


def seen(alarms):
    """Return the share of histories that ever alarm and the median day of the first alarm."""
    ever = alarms.any(axis=1)
    return float(ever.mean()), float(np.median(np.where(ever, alarms.argmax(axis=1) + 1, np.inf)))


def trades_frame(rows):
    """Return the columns of a trades frame that drift reads: (status, exit time in ms, pnl) a row."""
    return pd.DataFrame(
        {
            "trade_id": [f"t{number}" for number in range(len(rows))],
            "status": [status for status, _, _ in rows],
            "exit_time_ms": [float(time) for _, time, _ in rows],
            "pnl": [float(pnl) for _, _, pnl in rows],
            "sample": "live",
        }
    )
