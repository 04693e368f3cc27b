"""Markets and label configs made for tests, and slow, obviously right ways to decide their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from itb_assets.domain.specs import GeneratorSpec

MISSING = 2  # an answer of the slow references beside 0 and 1


def frame_of(close, high=None, low=None) -> pd.DataFrame:
    """Return a data frame of the three prices that labels read."""
    close = np.asarray(close, dtype=float)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-03-01", periods=len(close), freq="5min", tz="UTC"),
            "close": close,
            "high": close if high is None else np.asarray(high, dtype=float),
            "low": close if low is None else np.asarray(low, dtype=float),
        }
    )


def crossing_spec(function: str = "high", **changes: Any) -> GeneratorSpec:
    """Return a `highlow2` entry of one label named `x`: 1 % before 0.1 % the other way, within 3 rows."""
    config = {
        "columns": ["close", "high", "low"],
        "function": function,
        "thresholds": [1.0],
        "tolerance": 0.1,
        "horizon": 3,
        "names": ["x"],
    }
    return GeneratorSpec("highlow2", config | changes)


@st.composite
def markets(draw: st.DrawFn, max_rows: int = 80) -> pd.DataFrame:
    """Random walks on a coarse grid of prices, so that ties and flats abound, with gaps and single NaN."""
    rows = draw(st.integers(0, max_rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tick = draw(st.sampled_from([0.05, 0.5]))
    scale = draw(st.sampled_from([0.0, 0.1, 0.5]))
    close = 100 + np.cumsum(rng.normal(0, scale, rows))
    high = np.ceil((close + np.abs(rng.normal(0, scale, rows))) / tick) * tick
    low = np.floor((close - np.abs(rng.normal(0, scale, rows))) / tick) * tick
    frame = frame_of(np.round(close / tick) * tick, high, low)
    prices = ["close", "high", "low"]
    for _ in range(draw(st.integers(0, 3)) if rows else 0):
        first = draw(st.integers(0, rows - 1))
        frame.loc[first : first + draw(st.integers(0, 12)), prices] = np.nan
    if draw(st.booleans()):
        for name in prices:
            frame.loc[rng.random(rows) < 0.05, name] = np.nan
    return frame


def slow_causal(frame, row: int, *, function: str, threshold: float, stop: float, horizon: int):
    """Return (label, tie) of one row, each 0, 1 or MISSING, by walking through the later klines."""
    window = frame.iloc[row : row + horizon + 1]
    if len(window) < horizon + 1 or window[["close", "high", "low"]].isna().any(axis=None):
        return MISSING, MISSING
    close = window["close"].iloc[0]
    for _, kline in window.iloc[1:].iterrows():
        if function == "high":
            won, lost = kline.high > close * (1 + threshold / 100), kline.low < close * (1 - stop / 100)
        else:
            won, lost = kline.low < close * (1 - threshold / 100), kline.high > close * (1 + stop / 100)
        if won or lost:
            return int(won and not lost), int(won and lost)
    return 0, 0


def slow_legacy(frame, row: int, *, function: str, threshold: float, stop: float, horizon: int) -> int:
    """Return the label of one row as the old bot decides it, argmax by argmax."""
    window = frame.iloc[row : row + horizon + 1]
    if len(window) < horizon + 1 or window["close"].notna().sum() < horizon // 2:
        return 0
    close, high, low = (window[name].to_numpy() for name in ("close", "high", "low"))

    def location(prices, line, *, above):
        beyond = prices > line if above else prices < line
        first = int(np.argmax(beyond))
        inside = prices[0] <= line if above else prices[0] >= line
        return None if first == 0 and inside else first

    if function == "high":
        won = location(high[1:], close[0] * (1 + threshold / 100), above=True)
        lost = location(low[1:], close[0] * (1 - stop / 100), above=False)
    else:
        won = location(low[1:], close[0] * (1 - threshold / 100), above=False)
        lost = location(high[1:], close[0] * (1 + stop / 100), above=True)
    return int(won is not None and (lost is None or won <= lost))


def answers(column: pd.Series) -> list[int]:
    """Return a nullable boolean column as 0, 1 and MISSING."""
    return column.astype("Int8").fillna(MISSING).tolist()
