"""Rolling statistics equal what pandas and scipy give for each window, one by one."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from feature_making import make_data, without_rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from itb_assets.domain.features import compile_features
from itb_assets.domain.features import windows as w
from itb_assets.domain.features.itblib import change_pct
from itb_assets.domain.features.itbstats import block_function
from itb_assets.domain.specs import GeneratorSpec


def longest_run_below_mean(values):
    longest = run = 0
    for below in values < values.mean():
        run = run + 1 if below else 0
        longest = max(longest, run)
    return longest


def area(values):
    difference = values - values[-1]
    return difference.sum() / np.abs(difference).sum()


ORACLES = {
    "scipy_skew": lambda x: stats.skew(x, bias=False),
    "pandas_skew": lambda x: pd.Series(x).skew(),
    "scipy_kurtosis": lambda x: stats.kurtosis(x, fisher=False, bias=True),
    "pandas_kurtosis": lambda x: pd.Series(x).kurtosis(),
    "lsbm": longest_run_below_mean,
    "fmax": lambda x: np.argmax(x) / len(x),
    "mean": np.mean,
    "std": np.std,
    "area": area,
    "slope": lambda x: stats.linregress(np.arange(len(x)), x).slope,
}


def one_by_one(column, window, function, least):
    return pd.Series(column).rolling(window, min_periods=least).apply(function, raw=True)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("window", [4, 25])
def test_full_windows(name, window):
    column = make_data(400)["close"].to_numpy()
    found = w.roll(column, window, block_function(name), min_rows=window, partial=False)
    expected = one_by_one(column, window, ORACLES[name], window)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["mean", "std", "area", "slope", "pandas_skew", "pandas_kurtosis", "fmax", "lsbm"]
)
def test_windows_that_are_not_full(name):
    column = make_data(60)["close"].to_numpy()
    with np.errstate(all="ignore"):
        found = w.roll(column, 12, block_function(name), min_rows=6, partial=True)
    assert np.isnan(found[:5]).all()
    np.testing.assert_allclose(found, one_by_one(column, 12, ORACLES[name], 6), rtol=1e-9, atol=1e-12)


@given(
    arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3) | st.just(np.nan)), st.integers(1, 9)
)
def test_means_leave_out_what_was_not_observed(column, window):
    with np.errstate(all="ignore"):
        found = w.roll(column, window, w.mean, min_rows=max(1, window // 2), partial=True)
        spread = w.roll(column, window, w.std, min_rows=max(1, window // 2), partial=True)
    rolling = pd.Series(column).rolling(window, min_periods=max(1, window // 2))
    np.testing.assert_allclose(found, rolling.mean(), atol=1e-9)
    np.testing.assert_allclose(spread, rolling.apply(np.nanstd, raw=True), atol=1e-9)


def test_flat_windows():
    flat = np.full((1, 20), 60_000.0)
    with np.errstate(all="ignore"):
        for name in ("scipy_skew", "scipy_kurtosis", "area"):
            assert np.isnan(block_function(name)(flat)).all(), name
        for name in ("pandas_skew", "pandas_kurtosis", "std", "slope", "lsbm", "fmax"):
            assert block_function(name)(flat).tolist() == [0.0], name


def test_bias_reaches_scipy_as_the_legacy_bot_passed_it():
    """For skewness it is the bias; for kurtosis it lands on scipy's `fisher`."""
    column = make_data(20)["close"].to_numpy()[None, :]
    assert block_function("scipy_skew", bias=True)(column)[0] == pytest.approx(
        stats.skew(column[0], bias=True)
    )
    expected = stats.kurtosis(column[0], fisher=True, bias=True)
    assert block_function("scipy_kurtosis", bias=True)(column)[0] == pytest.approx(expected)


@pytest.mark.parametrize("dialect", ["causal", "legacy"])
def test_itblib_sets_short_aggregates_against_the_base(dialect):
    """Each family in percent of the base window's aggregate; `causal` knows full windows only."""
    data = make_data(300)
    config = {"base_window": 60, "windows": [10], "use_differences": False}
    features = compile_features([GeneratorSpec("itblib", config)], dialect=dialect).compute(data)
    weighted = data["close"] * data["volume"]
    share = data["tb_base_av"] / data["volume"]
    span = data["high"] - data["low"]

    def against_base(aggregate):
        return 100 * (aggregate(10) - aggregate(60)) / aggregate(60)

    expected = {
        "close_10": against_base(lambda n: weighted.rolling(n).sum() / data["volume"].rolling(n).sum()),
        "close_std_10": against_base(lambda n: data["close"].rolling(n).std(ddof=0)),
        "volume_10": against_base(lambda n: data["volume"].rolling(n).mean()),
        "span_10": against_base(lambda n: span.rolling(n).mean()),
        "trades_10": against_base(lambda n: data["trades"].rolling(n).mean()),
        "tb_base_10": against_base(lambda n: share.rolling(n).mean()),
        "close_area_10": data["close"].rolling(10).apply(area, raw=True),
        "close_trend_10": data["close"].rolling(10).apply(ORACLES["slope"], raw=True),
        "volume_trend_10": data["volume"].rolling(10).apply(ORACLES["slope"], raw=True),
    }
    assert list(features.columns[1:]) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(
            features[name].iloc[59:], values.iloc[59:], rtol=1e-7, atol=1e-9, err_msg=name
        )
    first_known = 59 if dialect == "causal" else 29
    assert features["volume_10"].first_valid_index() == first_known


def test_itblib_differences_are_percent_of_the_row_before_and_start_a_row_later():
    data = make_data(300)
    config = {"base_window": 60, "windows": [10], "functions": ["volume_SMA"]}
    plan = compile_features([GeneratorSpec("itblib", config)])
    change = data["volume"].pct_change() * 100
    base = change.rolling(60).mean()
    expected = 100 * (change.rolling(10).mean() - base) / base
    np.testing.assert_allclose(plan.compute(data)["volume_10"], expected, rtol=1e-8, atol=1e-8)
    assert plan.lookback_rows == 60


def test_a_bar_without_volume_leaves_its_share_out_and_a_missing_bar_empties_the_window():
    data = make_data(300)
    data.loc[150, ["volume", "tb_base_av"]] = 0.0
    config = {"base_window": 60, "windows": [10], "functions": ["tb_base_SMA"], "use_differences": False}
    plan = compile_features([GeneratorSpec("itblib", config)])
    assert plan.compute(data)["tb_base_10"].iloc[59:].notna().all()
    gapped = plan.compute(without_rows(data, 150, 150))["tb_base_10"]
    assert gapped.iloc[150:210].isna().all()
    assert gapped.iloc[210:].notna().all()


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1e6)))
def test_changes_are_those_of_pandas(column):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        found = change_pct(column)
        expected = 100 * (pd.Series(column).diff() / pd.Series(column).shift())
    np.testing.assert_allclose(found, expected, rtol=1e-12)
