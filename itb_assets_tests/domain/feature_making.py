"""Data frames and specs made for the tests of features: random but lawful, on the grid, gaps as NaN rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from itb_assets.domain.features import DATA_COLUMNS, TIMESTAMP
from itb_assets.domain.specs import GeneratorSpec

HLC = ["high", "low", "close"]


def make_data(
    rows: int, *, freq: str = "5min", start: str = "2024-03-01 09:35", seed: int = 4
) -> pd.DataFrame:
    """Return klines of a random market whose volatility drifts, without a gap."""
    rng = np.random.default_rng(seed)
    volatility = 0.001 * np.exp(np.cumsum(rng.normal(0, 0.02, rows)))
    close = 60_000 * np.exp(np.cumsum(rng.normal(0, 1, rows) * np.clip(volatility, 1e-4, 1e-2)))
    opened = np.concatenate([close[:1], close[:-1]])
    volume = rng.lognormal(3, 1, rows)
    columns = {
        TIMESTAMP: pd.date_range(start, periods=rows, freq=freq, tz="UTC", unit="ns"),
        "open": opened,
        "high": np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.3, rows)) * volatility),
        "low": np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.3, rows)) * volatility),
        "close": close,
        "volume": volume,
        "trades": rng.integers(1, 500, rows).astype(float),
        "tb_base_av": volume * rng.random(rows),
    }
    columns |= dict.fromkeys(("close_time", "quote_av", "tb_quote_av", "ignore"), np.ones(rows))
    return pd.DataFrame(columns)[[TIMESTAMP, *DATA_COLUMNS]]


def without_rows(data: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """Return the data with the klines of these rows missing."""
    gapped = data.copy()
    gapped.loc[first:last, list(DATA_COLUMNS)] = np.nan
    return gapped


def talib(columns: Any, function: str, *windows: int, **config: Any) -> GeneratorSpec:
    """Return a talib spec of one function."""
    config = {"columns": columns, "functions": [function], **config}
    return GeneratorSpec("talib", config | ({"windows": list(windows)} if windows else {}))


def aggressive() -> tuple[GeneratorSpec, ...]:
    """Return the feature sets of the legacy bot's btcusdt_5m_aggressive."""
    return (
        talib(["close"], "SMA", 3, 6, 12, 24, 48),
        talib(["close"], "LINEARREG_SLOPE", 3, 6, 12, 24),
        talib(["close"], "RSI", 14),
        talib(HLC, "ATR", 14),
        talib(["close"], "STDDEV", 12, 24),
        GeneratorSpec("common.gen_labels_aggressive:add_spread_features", {"windows": [3, 6, 12]}),
        GeneratorSpec(
            "common.gen_labels_aggressive:add_regime_features", {"atr_column": "high_low_close_ATR_14"}
        ),
    )
