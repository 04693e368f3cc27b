"""Every registered label generator keeps the contract of labels: exactly `horizon_rows` later rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from itb_assets.domain.labels import compile_labels, generator_names, output_names
from itb_assets.domain.specs import GeneratorSpec

ROWS = 400
PRICES = ["open", "high", "low", "close"]
CROSSING = {
    "columns": ["close", "high", "low"],
    "function": "high",
    "thresholds": [0.3, 0.6],
    "tolerance": 0.3,
    "horizon": 6,
    "names": ["a", "b"],
}
TOPBOT2 = {"columns": "close", "function": "bot", "level": 0.015, "tolerances": [0.2, 0.9]}
CONFIGS = {
    "highlow": {"horizon": 6},
    "highlow2": CROSSING,
    "common.gen_labels_aggressive:generate_labels_aggressive": CROSSING | {"function": "low"},
    "topbot": {"horizon": 12},
    "topbot2": TOPBOT2 | {"names": ["a", "b"], "horizon": 12},
}


@pytest.fixture(params=generator_names())
def spec(request) -> GeneratorSpec:
    return GeneratorSpec(request.param, CONFIGS[request.param])


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, ROWS)))
    spread = np.abs(rng.normal(0, 0.002, (2, ROWS)))
    columns = {"open": close, "high": close * (1 + spread[0]), "low": close * (1 - spread[1]), "close": close}
    frame = pd.DataFrame(columns)
    frame.insert(0, "timestamp", pd.date_range("2024-01-01", periods=ROWS, freq="5min", tz="UTC"))
    frame.loc[200:204, PRICES] = np.nan
    return frame


def test_names_equal_the_spec(spec, data):
    plan = compile_labels([spec], dialect="causal")
    computed = plan.compute(data)
    assert plan.names == output_names(spec)
    assert tuple(computed.columns) == ("timestamp", *plan.columns)
    assert computed["timestamp"].equals(data["timestamp"])
    assert set(computed.dtypes.iloc[1:].astype(str)) == {"boolean"}
    assert set(plan.definitions) == set(plan.names)


def test_rows_after_the_horizon_change_nothing(spec, data):
    plan = compile_labels([spec], dialect="causal")
    whole = plan.compute(data)
    for row in (50, 150, 230):
        changed = data.copy()
        changed.loc[row + plan.horizon_rows + 1 :, PRICES] *= 3
        assert plan.compute(changed).loc[:row].equals(whole.loc[:row])


def test_every_row_of_the_horizon_is_needed(spec, data):
    plan = compile_labels([spec], dialect="causal")
    row = 150
    assert plan.compute(data.iloc[: row + plan.horizon_rows + 1])[list(plan.columns)].iloc[row].notna().all()
    assert plan.compute(data.iloc[: row + plan.horizon_rows])[list(plan.columns)].iloc[row].isna().all()


def test_some_label_depends_on_the_last_row_of_its_horizon(spec, data):
    """So `horizon_rows` is not larger than it need be."""
    plan = compile_labels([spec], dialect="causal")
    whole = plan.compute(data)
    changed_labels = set()
    for row in range(30, 180):
        for factor in (0.9, 1.1):
            changed = data.iloc[: row + plan.horizon_rows + 1].copy()
            changed.loc[row + plan.horizon_rows, PRICES] *= factor
            now = plan.compute(changed.iloc[row - plan.lookback_rows :]).loc[row]
            changed_labels |= {name for name in plan.names if now[name] != whole.loc[row, name]}
        if changed_labels:
            return
    pytest.fail("no label ever depends on the last row of its horizon")


def test_the_last_rows_are_unknown_and_never_false(spec, data):
    plan = compile_labels([spec], dialect="causal")
    computed = plan.compute(data)[list(plan.columns)]
    assert computed.iloc[-plan.horizon_rows :].isna().all(axis=None)
    assert computed.iloc[-plan.horizon_rows - 1].notna().all()


def test_missing_klines_make_labels_unknown(spec, data):
    """Exactly the rows whose window holds one of the missing klines 200 to 204."""
    plan = compile_labels([spec], dialect="causal")
    computed = plan.compute(data)[list(plan.columns)]
    first, last = 200 - plan.horizon_rows, 204 + plan.lookback_rows
    assert computed.loc[first:last].isna().all(axis=None)
    assert computed.loc[plan.lookback_rows : first - 1].notna().all(axis=None)
    assert computed.loc[last + 1 : ROWS - plan.horizon_rows - 1].notna().all(axis=None)


def test_the_tail_equals_the_whole(spec, data):
    """With `lookback_rows` before them, new rows get the labels they get from all of history."""
    plan = compile_labels([spec], dialect="causal")
    start = 260
    tail = plan.compute(data.iloc[start - plan.lookback_rows :]).loc[start:]
    assert tail.equals(plan.compute(data).loc[start:])


@pytest.mark.parametrize("dialect", ["causal", "legacy"])
def test_the_input_is_unchanged_and_column_order_has_no_effect(spec, data, dialect):
    plan = compile_labels([spec], dialect=dialect)
    before = data.copy()
    computed = plan.compute(data)
    pd.testing.assert_frame_equal(data, before)
    assert plan.compute(data[data.columns[::-1]]).equals(computed)
    computed.loc[0, "timestamp"] = pd.Timestamp(0, tz="UTC")
    pd.testing.assert_frame_equal(data, before)


def test_the_legacy_dialect_knows_no_unknown(spec, data):
    plan = compile_labels([spec], dialect="legacy")
    computed = plan.compute(data)
    assert tuple(computed.columns) == ("timestamp", *plan.names)
    assert computed.notna().all(axis=None)
    assert computed[list(plan.names)].any(axis=None)
