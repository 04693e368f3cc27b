"""Klines and signals written down by hand for the tests of trading, and a rule to vary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.trading.rule import TradingRule

MARKET = Market("BTCUSDT", "5m")
START = pd.Timestamp("2024-09-01 22:00", tz="UTC")
GAP = None
RULE = TradingRule(
    direction="both",
    buy="buy",
    sell="sell",
    score="score",
    take_profit_pct=2.0,
    stop_loss_pct=1.0,
    time_limit_rows=3,
)


def rule(**changes) -> TradingRule:
    return replace(RULE, **changes)


def time_of(row: int) -> pd.Timestamp:
    return START + row * MARKET.freq_delta


def make_data(*klines: tuple[float, float, float, float] | None) -> pd.DataFrame:
    """Return a data frame of these (open, high, low, close), None where a kline is missing."""
    prices = np.array([kline or (np.nan,) * 4 for kline in klines], dtype=np.float64).reshape(-1, 4)
    frame = pd.DataFrame(prices, columns=["open", "high", "low", "close"])
    times = pd.date_range(START, periods=len(klines), freq=MARKET.freq_delta).as_unit("ns")
    frame.insert(0, "timestamp", times)
    return frame


def make_signals(sides: dict[int, str], *, sample: str = "out_of_sample") -> pd.DataFrame:
    """Return signals by row: `buy`, `sell`, `both` or `none`; the score is the row's number over 100."""
    rows = sorted(sides)
    said = [sides[row] for row in rows]
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex([time_of(row) for row in rows], tz="UTC").as_unit("ns"),
            "close": 100.0,
            "sample": pd.Series([sample] * len(rows), dtype=object),
            "score": np.array(rows, dtype=np.float64) / 100,
            "buy": np.array([side in ("buy", "both") for side in said], dtype=np.bool_),
            "sell": np.array([side in ("sell", "both") for side in said], dtype=np.bool_),
        }
    )


def random_market(rows: int, *, seed: int, gaps: float = 0.01) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return data with gaps and signals of every kind on a random walk in steps of a hundredth."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 4e-3, rows))), 2)
    opened = np.round(np.concatenate([[100.0], close[:-1]]) * (1 + rng.normal(0, 5e-4, rows)), 2)
    high = np.round(np.maximum(opened, close) + rng.exponential(0.2, rows), 2)
    low = np.round(np.minimum(opened, close) - rng.exponential(0.2, rows), 2)
    missing = rng.random(rows) < gaps
    prices = np.stack([opened, high, low, close], axis=1).tolist()
    data = make_data(*(None if gone else tuple(row) for gone, row in zip(missing, prices, strict=True)))
    kinds = rng.choice(["none", "buy", "sell", "both"], rows, p=[0.6, 0.19, 0.19, 0.02])
    return data, make_signals(dict(enumerate(kinds)))
