"""A performance report of made-up trades; what is drawn and said of it belongs to the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.observability.report_data import (
    LuckTest,
    Measurement,
    ModelResult,
    PerformanceReport,
    ScoredWindow,
)

START = pd.Timestamp("2024-10-01", tz="UTC")
DAY = pd.Timedelta(days=1)


def make_report(*, days: int = 56, word: str = "name", **changed: Any) -> PerformanceReport:
    """Return a report of about 7 trades a day; `word` is in every text that comes from a user."""
    values: dict[str, Any] = {
        "market": Market("BTCUSDT", "5m"),
        "variant": word,
        "sample": "out_of_sample",
        "start": START,
        "end": START + days * DAY,
        "made_at": START + (days + 1) * DAY,
        "capital": 1000.0,
        "trades": 412,
        "wins": 157,
        "total_pnl": -32.0,
        "return_pct": -3.2,
        "quote": "USDT",
        "account": word,
        "win_rate_low": 0.335,
        "win_rate_high": 0.429,
        "average_win": 4.0,
        "average_loss": -3.0,
        "profit_factor": 0.93,
        "fees": 329.6,
        "gross_pnl": 297.6,
        "luck": (LuckTest(word, 0.46, word),),
        "rule": TradingRule("both", f"buy {word}", f"sell {word}", None, 0.4, 0.4, 48, 0.04, 0.01),
        "models": (ModelResult(word, 0.75, 0.73, 0.77, total_pnl=-3.0), ModelResult(f"{word} 2", 0.5)),
        "measurement": Measurement("expanding", 48, made_up_windows(), {word: word}, (word,)),
        "fingerprint": {word: word},
        **made_up_frames(days),
    }
    return PerformanceReport(**{**values, **changed})


def made_up_windows() -> tuple[ScoredWindow, ...]:
    """Return four windows of walk-forward, two weeks each."""
    return tuple(
        ScoredWindow(
            START - 90 * DAY,
            START + (k * 14 - 1) * DAY,
            4000,
            START + k * 14 * DAY,
            START + (k + 1) * 14 * DAY,
        )
        for k in range(4)
    )


def made_up_frames(days: int) -> dict[str, pd.DataFrame]:
    """Return the frames of a report: the account by the hour, the days and the hours of the day."""
    rng = np.random.default_rng(3)
    times = pd.Series(pd.date_range(START, periods=days * 24, freq="1h"))
    each_day = times.iloc[::24].reset_index(drop=True)
    steps = rng.normal(-0.02, 1, len(times))
    return {
        "equity": pd.DataFrame(
            {
                "timestamp": times,
                "equity": 1000 + np.cumsum(steps),
                "buy_and_hold": 1000 + np.arange(len(times)) / 10,
            }
        ),
        "daily": pd.DataFrame(
            {
                "day": each_day,
                "total_trades": 7,
                "win_rate": 0.4,
                "total_pnl": rng.normal(-0.5, 8, days),
                "avg_pnl": -0.1,
                "max_win": 4.2,
                "max_loss": -4.4,
            }
        ),
        "by_hour": pd.DataFrame({"hour": range(24), "trades": 17, "win_rate": rng.uniform(0.2, 0.6, 24)}),
    }


def without_trades(**changed: Any) -> PerformanceReport:
    """Return a report of a strategy that never traded."""
    full = make_report()
    return make_report(
        **{
            "trades": 0,
            "wins": 0,
            "total_pnl": 0.0,
            "return_pct": 0.0,
            "win_rate_low": None,
            "win_rate_high": None,
            "luck": (),
            "models": (),
            "rule": None,
            "measurement": None,
            "fingerprint": {},
            "equity": full.equity.head(0),
            "daily": full.daily.head(0),
            "by_hour": full.by_hour.head(0),
            **changed,
        }
    )
