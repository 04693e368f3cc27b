"""Small frames and records for the tests of this room."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from itb_assets.storage.files.frames import Record

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
START = pd.Timestamp("2024-09-01", tz="UTC")


def times(rows: int, *, start: pd.Timestamp = START) -> pd.DatetimeIndex:
    """Return a grid of five-minute open times."""
    return pd.date_range(start, periods=rows, freq="5min").as_unit("ns")


def frame_of(rows: int, *, seed: int = 0, start: pd.Timestamp = START) -> pd.DataFrame:
    """Return a frame with one column of every dtype that is stored, unknown values included."""
    draw = np.random.default_rng(seed)
    price = draw.normal(60_000, 500, rows)
    price[draw.random(rows) < 0.1] = np.nan
    flag = pd.array(draw.random(rows) < 0.5, dtype="boolean")
    flag[draw.random(rows) < 0.1] = pd.NA
    return pd.DataFrame(
        {
            "timestamp": times(rows, start=start),
            "close": price,
            "trades": draw.integers(0, 10_000, rows),
            "high_040_4": flag,
            "buy": draw.random(rows) < 0.5,
            "sample": draw.choice(np.array(["out_of_sample", "live", ""], dtype=object), rows),
        }
    )


def record(**changes: object) -> Record:
    """Return what a caller says of a write."""
    values: dict[str, object] = {
        "asset": "processed/data",
        "symbol": "BTCUSDT",
        "freq": "5m",
        "run_id": "run-1",
        "written_at": NOW,
        "digest": "d1",
        "sources": {"raw/klines": 1},
    }
    return Record(**(values | changes))  # type: ignore[arg-type]
