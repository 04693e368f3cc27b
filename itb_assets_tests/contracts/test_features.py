"""What every registered feature promises in the causal dialect: every TA-Lib function and every generator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from itb_assets.domain.features import compile_features, output_names, registered_generators
from itb_assets.domain.features.registry import ALIASES, BUILT_IN
from itb_assets.domain.features.talib_catalogue import describe, function_names
from itb_assets.domain.lookahead import compare_features
from itb_assets.domain.specs import GeneratorSpec

ROWS = 1500
LAST = 50
GAP = slice(700, 705)
ZERO_VOLUME, FLAT = 300, slice(1000, 1040)
ARGUMENTS = {"real": "close", "real0": "high", "real1": "low", "periods": "trades"}
NEEDS_ALL_HISTORY = {
    *("AD", "CUMSUM", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD"),  # running totals
    *("SAR", "SAREXT", "SUPERTREND"),  # stop and reverse
}
ATR = GeneratorSpec("talib", {"columns": ["high", "low", "close"], "functions": ["ATR"], "windows": [14]})
STATISTICS = (
    *("scipy_skew", "pandas_skew", "scipy_kurtosis", "pandas_kurtosis"),
    *("lsbm", "fmax", "mean", "std", "area", "slope"),
)


def talib_spec(function: str) -> GeneratorSpec:
    """Return the function over columns that fit it, with its default window and, where it has one, 9."""
    known = describe(function)
    columns = {name: ARGUMENTS.get(name, name) for name in known.inputs}
    windows = [None, 9] if known.takes_window else [None]
    return GeneratorSpec("talib", {"columns": columns, "functions": [function], "windows": windows})


CASES: dict[str, tuple[GeneratorSpec, ...]] = {
    **{name: (talib_spec(name),) for name in sorted(function_names())},
    "itbstats": (
        GeneratorSpec("itbstats", {"columns": "close", "functions": list(STATISTICS), "windows": [7, 30]}),
    ),
    "itblib": (GeneratorSpec("itblib", {"windows": [5, 20], "base_window": 120}),),
    "itblib of levels": (
        GeneratorSpec("itblib", {"windows": [1, 20], "base_window": 120, "use_differences": False}),
    ),
    "spread": (GeneratorSpec("spread", {"windows": [1, 3, 12]}),),
    "regime": (ATR, GeneratorSpec("regime", {"window": 576, "min_rows": 144})),
    "relative": (
        GeneratorSpec(
            "talib",
            {
                "columns": ["close"],
                "functions": ["SMA", "STDDEV"],
                "windows": [3, 12, 48],
                "parameters": {"rel_base": "first", "rel_func": "rel_diff", "percentage": True},
            },
        ),
    ),
    "of a feature": (
        ATR,
        GeneratorSpec("itbstats", {"columns": "high_low_close_ATR_14", "functions": "mean", "windows": 9}),
    ),
}
FORGETFUL = sorted(CASES.keys() - NEEDS_ALL_HISTORY)


@lru_cache(maxsize=4)
def market(rows: int) -> pd.DataFrame:
    """Return klines of a random market with a bar without volume and a stretch in which nothing moves."""
    rng = np.random.default_rng(11)
    close = 60_000 * np.exp(np.cumsum(rng.standard_t(5, rows) * 0.001))
    close[FLAT] = close[FLAT.start]
    opened = np.concatenate([close[:1], close[:-1]])
    wick = np.abs(rng.normal(0, 0.0008, (2, rows)))
    wick[:, FLAT] = 0.0
    volume = rng.lognormal(3, 1, rows)
    volume[ZERO_VOLUME] = 0.0
    columns = {
        "timestamp": pd.date_range("2024-02-28 21:05", periods=rows, freq="5min", tz="UTC", unit="ns"),
        "open": opened,
        "high": np.maximum(opened, close) * (1 + wick[0]),
        "low": np.minimum(opened, close) * (1 - wick[1]),
        "close": close,
        "volume": volume,
        "trades": rng.integers(2, 30, rows).astype(float),
        "tb_base_av": volume * rng.random(rows),
    }
    columns |= dict.fromkeys(("close_time", "quote_av", "tb_quote_av", "ignore"), np.ones(rows))
    return pd.DataFrame(columns)


def with_gap(data: pd.DataFrame) -> pd.DataFrame:
    gapped = data.copy()
    gapped.loc[GAP.start : GAP.stop - 1, gapped.columns != "timestamp"] = np.nan
    return gapped


def plan_of(case: str):
    return compile_features(CASES[case], dialect="causal")


def test_every_registered_generator_is_among_the_cases():
    covered = {spec.generator for specs in CASES.values() for spec in specs}
    assert covered | set(ALIASES) >= set(registered_generators()) >= set(BUILT_IN)


@pytest.mark.parametrize("case", CASES)
def test_rows_are_the_same_whether_or_not_later_rows_exist(case):
    plan, data = plan_of(case), with_gap(market(ROWS))
    whole = plan.compute(data)
    for cut in (1, 250, GAP.start + 2, GAP.stop + 30, ROWS - 1):
        alone = plan.compute(data.iloc[:cut].reset_index(drop=True))
        pd.testing.assert_frame_equal(alone, whole.iloc[:cut], check_exact=True)


@pytest.mark.parametrize("case", FORGETFUL)
def test_the_tail_equals_the_batch(case):
    """The last rows computed on lookback + those rows are those of the whole history."""
    plan = plan_of(case)
    data = market(max(ROWS, plan.lookback_rows + 600))
    tail = plan.compute(data.tail(plan.lookback_rows + LAST).reset_index(drop=True))
    whole = plan.compute(data).tail(plan.lookback_rows + LAST)
    assert [str(found) for found in compare_features(plan.names, whole, tail, last_rows=LAST)] == []


def test_the_functions_that_need_all_history_are_the_ones_that_never_forget():
    assert {case for case in CASES if plan_of(case).lookback_rows is None} == NEEDS_ALL_HISTORY


@pytest.mark.parametrize("case", CASES)
def test_shape_names_and_values_are_as_specified_and_the_input_is_left_alone(case):
    plan, data = plan_of(case), with_gap(market(ROWS))
    before = data.copy(deep=True)
    features = plan.compute(data)
    pd.testing.assert_frame_equal(data, before, check_exact=True)
    assert plan.names == tuple(name for spec in CASES[case] for name in output_names(spec))
    assert tuple(features.columns) == ("timestamp", *plan.names)
    assert tuple(plan.definitions) == plan.names
    assert set(features.dtypes[list(plan.names)]) == {np.dtype("float64")}
    assert not np.isinf(features[list(plan.names)]).to_numpy().any()
    features.iloc[:, 1:] = -1.0  # the output shares no memory with the input
    pd.testing.assert_frame_equal(data, before, check_exact=True)


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_columns_has_no_effect(case):
    plan, data = plan_of(case), market(ROWS)
    turned = plan.compute(data[data.columns[::-1]])
    pd.testing.assert_frame_equal(plan.compute(data), turned, check_exact=True)


@pytest.mark.parametrize("case", CASES)
def test_a_gap_is_unknown_and_what_follows_starts_anew(case):
    """No value inside the gap, and after it what a market that began there would have."""
    plan, data = plan_of(case), with_gap(market(ROWS))
    features = plan.compute(data)
    assert features.loc[GAP.start : GAP.stop - 1, list(plan.names)].isna().all(axis=None)
    names = [name for name in plan.names if name != "vol_regime"]  # its thresholds outlast a gap
    anew = plan.compute(data.iloc[GAP.stop :].reset_index(drop=True))
    after = features.iloc[GAP.stop :].reset_index(drop=True)
    pd.testing.assert_frame_equal(after[names], anew[names], check_exact=True)
