"""The `legacy` dialect on real klines gives the features that the unmodified legacy bot gave.

How the golden matrix was made is told in the data folder's README.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from itb_assets.domain.features import DATA_COLUMNS, compile_features
from itb_assets.domain.lookahead import find_look_ahead, find_serve_differences
from itb_assets.domain.specs import GeneratorSpec

GOLDEN_ROWS = 51_864
CSV_ROUNDING = 5e-7  # the golden values were written with six decimals
FIRST_MICROSECOND = 10**14  # open times from 2025 on count microseconds

pytestmark = pytest.mark.data


def talib(columns: list[str], function: str, windows: list[int]) -> GeneratorSpec:
    return GeneratorSpec("talib", {"columns": columns, "functions": [function], "windows": windows})


AGGRESSIVE = (
    talib(["close"], "SMA", [3, 6, 12, 24, 48]),
    talib(["close"], "LINEARREG_SLOPE", [3, 6, 12, 24]),
    talib(["close"], "RSI", [14]),
    talib(["high", "low", "close"], "ATR", [14]),
    talib(["close"], "STDDEV", [12, 24]),
    GeneratorSpec("common.gen_labels_aggressive:add_spread_features", {"windows": [3, 6, 12]}),
    GeneratorSpec(
        "common.gen_labels_aggressive:add_regime_features", {"atr_column": "high_low_close_ATR_14"}
    ),
)


@pytest.fixture(scope="module")
def data(test_data: Path) -> pd.DataFrame:
    """Return all recorded 5m klines; those of the golden matrix are the last."""
    folder = test_data / "binance_archive/data/spot/monthly/klines/BTCUSDT/5m"
    months = []
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            content = archive.read(archive.namelist()[0])
        months.append(pl.read_csv(io.BytesIO(content), has_header=False))
    table = pl.concat(months)
    opened = table.to_series(0).to_numpy()
    opened_ms = np.where(opened >= FIRST_MICROSECOND, opened // 1000, opened)
    frame = table.select(pl.all().cast(pl.Float64)).to_pandas().iloc[:, 1:]
    frame.columns = list(DATA_COLUMNS)
    frame.insert(0, "timestamp", pd.to_datetime(opened_ms * 1_000_000, utc=True))
    return frame


@pytest.fixture(scope="module")
def golden(test_data: Path) -> pd.DataFrame:
    return pd.read_parquet(test_data / "golden" / "itb_btcusdt_5m_aggressive_matrix.parquet")


def test_the_legacy_dialect_equals_the_legacy_bot_in_every_row(data, golden):
    plan = compile_features(AGGRESSIVE, dialect="legacy")
    features = plan.compute(data.tail(GOLDEN_ROWS).reset_index(drop=True))
    assert len(plan.names) == 17
    assert (features["timestamp"].to_numpy() == golden["timestamp"].to_numpy()).all()
    for name in plan.names:
        np.testing.assert_allclose(
            features[name],
            golden[name].astype(float),
            rtol=0,
            atol=CSV_ROUNDING * 1.001,
            equal_nan=True,
            err_msg=name,
        )


def test_the_causal_dialect_differs_only_where_legacy_looks_ahead_or_is_not_full(data, golden):
    """Without gaps only partial spread windows and the volatility regime are not the same."""
    plan = compile_features(AGGRESSIVE, dialect="causal")
    features = plan.compute(data.tail(GOLDEN_ROWS).reset_index(drop=True))
    for name in plan.names:
        if name == "vol_regime":
            continue
        known = features[name].notna()
        np.testing.assert_allclose(features.loc[known, name], golden.loc[known, name], rtol=2**-31, atol=1e-6)
        assert (~known).sum() <= 47
    known = features["vol_regime"].notna()
    agrees = (features["vol_regime"] == golden["vol_regime"])[known].mean()
    assert 0.5 < agrees < 0.99


def test_real_klines_show_no_look_ahead_and_no_difference_in_serving(data):
    """Cuts at a month's end, at the switch to microseconds and inside a day, and the newest rows."""
    plan = compile_features(AGGRESSIVE, dialect="causal")
    features = plan.compute(data)
    cuts = [pd.Timestamp(text, tz="UTC") for text in ("2024-05-01", "2025-01-01", "2025-02-11 13:35")]
    assert find_look_ahead(plan, data, cuts) == []
    assert find_look_ahead(plan, data, cuts, features=features) == []
    assert find_serve_differences(plan, data, features.tail(24), 24) == []


def test_the_legacy_regime_is_caught_looking_ahead_on_real_klines(data):
    plan = compile_features(AGGRESSIVE, dialect="legacy")
    tail = data.tail(GOLDEN_ROWS).reset_index(drop=True)
    cut = tail["timestamp"].iloc[20_000]
    found = find_look_ahead(plan, tail, [cut], rows=2000, features=plan.compute(tail))
    assert [difference.feature for difference in found] == ["vol_regime"]
    assert found[0].cut == cut
    assert found[0].first_time < cut
