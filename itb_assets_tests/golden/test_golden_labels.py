"""On real klines the legacy dialect gives every label that the unmodified old bot gave.

The golden matrix and how it was made are described in the data folder's README.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from itb_assets.domain.labels import compile_labels
from itb_assets.domain.specs import GeneratorSpec

pytestmark = pytest.mark.data

POSITIVE = {
    "high_030_4": 4535,
    "high_040_4": 2646,
    "high_050_4": 1689,
    "low_030_4": 4791,
    "low_040_4": 2855,
    "low_050_4": 1837,
}
SPECS = [
    GeneratorSpec(
        "common.gen_labels_aggressive:generate_labels_aggressive",
        {
            "columns": ["close", "high", "low"],
            "function": function,
            "thresholds": [0.30, 0.40, 0.50],
            "tolerance": 0.05,
            "horizon": 4,
            "names": [f"{function}_{size}_4" for size in ("030", "040", "050")],
        },
    )
    for function in ("high", "low")
]


@pytest.fixture(scope="module")
def golden(test_data: Path) -> pd.DataFrame:
    return pd.read_parquet(test_data / "golden" / "itb_btcusdt_5m_aggressive_matrix.parquet")


@pytest.fixture(scope="module")
def klines(test_data: Path) -> pd.DataFrame:
    """Read all 148,896 recorded 5m klines, milliseconds and microseconds alike."""
    folder = test_data / "binance_archive/data/spot/monthly/klines/BTCUSDT/5m"
    frame = pd.concat(map(_month, sorted(folder.glob("*.zip"))), ignore_index=True)
    assert len(frame) == 148_896
    return frame


def _month(path: Path) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
        columns = {0: "time", 1: "open", 2: "high", 3: "low", 4: "close"}
        month = pd.read_csv(member, header=None, usecols=list(columns)).rename(columns=columns)
    micro = month["time"] >= 10**15
    open_ms = month["time"].where(~micro, month["time"] // 1000)
    month.insert(0, "timestamp", pd.to_datetime(open_ms, unit="ms", utc=True))
    return month.drop(columns="time")


def test_six_labels_are_identical_on_every_golden_row(golden, klines):
    computed = compile_labels(SPECS, dialect="legacy").compute(klines.tail(51_864).reset_index(drop=True))
    assert computed["timestamp"].tolist() == golden["timestamp"].tolist()
    for name, count in POSITIVE.items():
        assert (computed[name].astype(bool) == golden[name].astype(bool)).all()
        assert computed[name].sum() == count


def test_causal_labels_are_the_golden_ones_but_for_ties_and_the_tail(golden, klines):
    """Of the positive legacy labels 30.5 % (high_040_4) and 31.9 % (low_040_4) are same-candle ties."""
    computed = compile_labels(SPECS, dialect="causal").compute(klines.tail(51_864).reset_index(drop=True))
    known = slice(0, 51_864 - 4)
    for name in POSITIVE:
        assert computed[name].isna().sum() == 4
        either = computed[name] | computed[f"{name}_tie"]
        assert (either.iloc[known].astype(bool) == golden[name].iloc[known].astype(bool)).all()
    shares = {name: computed[f"{name}_tie"].sum() / count for name, count in POSITIVE.items()}
    assert shares["high_040_4"] == pytest.approx(0.305, abs=0.001)
    assert shares["low_040_4"] == pytest.approx(0.319, abs=0.001)
