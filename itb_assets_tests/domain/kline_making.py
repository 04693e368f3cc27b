"""Klines made for the tests of the domain: random but lawful, and the recorded ones from their archives."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from itb_assets.domain.klines import KLINE_COLUMNS, KLINE_DTYPES
from itb_assets.domain.markets import Market

EPOCH_MS = 1_700_006_400_000  # 2023-11-15 00:00 UTC


def make_klines(market: Market, rows: int, *, seed: int = 1, start_ms: int = EPOCH_MS) -> pd.DataFrame:
    """Return `rows` lawful klines without a gap, with the decimals an exchange publishes."""
    rng = np.random.default_rng(seed)
    times = start_ms + np.arange(rows, dtype=np.int64) * market.freq_ms
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 1e-3, rows))), 2)
    opened = np.concatenate([[30_000.0], close[:-1]])
    volume = np.round(rng.gamma(2, 10, rows), 5)
    taken = np.round(volume / 2, 5)
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(times * 1_000_000, utc=True),
            "open": opened,
            "high": np.round(np.maximum(opened, close) + rng.random(rows), 2),
            "low": np.round(np.minimum(opened, close) - rng.random(rows), 2),
            "close": close,
            "volume": volume,
            "close_time": times + market.freq_ms - 1,
            "quote_av": np.round(volume * close, 7),
            "trades": rng.integers(1, 500, rows),
            "tb_base_av": taken,
            "tb_quote_av": np.round(taken * close, 7),
            "ignore": 0.0,
        }
    )
    return frame.astype(dict(KLINE_DTYPES))


def without(klines: pd.DataFrame, *rows: int) -> pd.DataFrame:
    """Return the klines without these rows, numbered anew."""
    return klines.drop(index=list(rows)).reset_index(drop=True)


def recorded_klines(freq: str, months: list[str]) -> pd.DataFrame:
    """Read recorded BTCUSDT archives with nothing but `csv`; skip the test where they are absent."""
    root = Path(os.environ.get("ITB_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "binance_archive/data/spot/monthly/klines/BTCUSDT" / freq
    if not folder.is_dir():
        pytest.skip(f"no recorded klines at {folder}: set ITB_TEST_DATA")
    rows = [row for month in months for row in _rows(folder / f"BTCUSDT-{freq}-{month}.zip")]
    frame = pd.DataFrame(rows, columns=KLINE_COLUMNS).astype(
        {name: dtype for name, dtype in KLINE_DTYPES.items() if name != "timestamp"}
    )
    micro = frame["timestamp"].astype("int64") >= 10**15
    for name in ("timestamp", "close_time"):
        times = frame[name].astype("int64")
        frame[name] = times.where(~micro, times // 1000)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"] * 1_000_000, utc=True)
    return frame


def _rows(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
        rows = list(csv.reader(io.TextIOWrapper(member, "ascii")))
    return rows[1:] if rows[0][0].startswith("open") else rows
