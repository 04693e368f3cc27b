"""Each fault of the legacy bot's features: there in `legacy`, gone in `causal`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from feature_making import HLC, aggressive, make_data, talib, without_rows

from itb_assets.domain.features import compile_features
from itb_assets.domain.lookahead import find_serve_differences
from itb_assets.domain.specs import GeneratorSpec

ATR_REGIME = (talib(HLC, "ATR", 14), GeneratorSpec("regime", {}))
FEATURES_HORIZON = 24  # what the legacy config of these features states
LIVE_ROWS = 84  # what its service keeps in memory: features_horizon and 60 rows to predict


def compute(specs, data, dialect):
    return compile_features(specs, dialect=dialect).compute(data)


@pytest.mark.parametrize(("dialect", "revised"), [("legacy", True), ("causal", False)])
def test_thirty_more_days_revise_the_volatility_regime_of_past_rows(dialect, revised):
    """The legacy thresholds are quantiles of the whole frame, later rows included."""
    data = make_data(12_000 + 30 * 288)
    before = compute(ATR_REGIME, data.head(12_000), dialect)["vol_regime"]
    after = compute(ATR_REGIME, data, dialect)["vol_regime"].head(12_000)
    assert (before.fillna(-1) != after.fillna(-1)).any() == revised
    assert set(after.dropna()) == {0.0, 1.0, 2.0}


def test_an_unknown_atr_is_medium_in_legacy_and_unknown_in_causal():
    data = without_rows(make_data(3000), 2000, 2009)
    legacy, causal = (compute(ATR_REGIME, data, dialect)["vol_regime"] for dialect in ("legacy", "causal"))
    assert (legacy.loc[2000:2009] == 1.0).all()
    assert (legacy.head(14) == 1.0).all()
    assert causal.loc[2000:2023].isna().all()
    assert causal.loc[2024:].notna().all()


@pytest.mark.parametrize(("dialect", "knows"), [("legacy", True), ("causal", False)])
def test_features_inside_a_gap_know_the_first_price_after_it(dialect, knows):
    """The legacy bot interpolates before it calls TA-Lib."""
    data = without_rows(make_data(300), 100, 105)
    moved = data.copy()
    moved.loc[106:, "close"] *= 2
    specs = [talib(["close"], "SMA", 3)]
    plain, doubled = (compute(specs, frame, dialect)["close_SMA_3"] for frame in (data, moved))
    assert plain.loc[100:105].notna().all() == knows
    assert (plain.loc[100:105] != doubled.loc[100:105]).any() == knows or plain.loc[100:105].isna().all()
    assert plain.loc[106:107].isna().all() != knows


def test_a_gap_of_raw_columns_is_filled_in_no_feature_of_causal():
    """Every feature is NaN where its klines are missing; legacy leaves one value of 51 unknown."""
    data = without_rows(make_data(8000), 7000, 7002)
    features = compute(aggressive(), data, "causal")
    assert features.loc[7000:7002].drop(columns="timestamp").isna().all(axis=None)
    legacy = compute(aggressive(), data, "legacy").loc[7000:7002]
    assert legacy.isna().sum()[lambda unknown: unknown > 0].to_dict() == {"spread_pct_3": 1}


@pytest.mark.parametrize("dialect", ["legacy", "causal"])
def test_rel_base_first_means_the_first_output_but_in_legacy_the_last(dialect):
    data = make_data(60)
    relative = {"rel_base": "first", "rel_func": "diff"}
    features = compute([talib(["close"], "SMA", 2, 4, 8, parameters=relative)], data, dialect)
    averages = {rows: data["close"].rolling(rows).mean() for rows in (2, 4, 8)}
    base = averages[8] if dialect == "legacy" else averages[2]
    pd.testing.assert_series_equal(features["close_SMA_2"], averages[2], check_names=False)
    for rows in (4, 8):
        difference = averages[rows] - base
        np.testing.assert_allclose(features[f"close_SMA_{rows}"], difference, atol=1e-9)


def test_features_horizon_is_shorter_than_the_longest_window_where_the_plan_knows_its_reach():
    """On the rows that the legacy config keeps, SMA 48 is never known; the plan asks for enough."""
    data = make_data(500)
    specs = [talib(["close"], "SMA", 3, 48)]
    online = compute(specs, data.tail(FEATURES_HORIZON).reset_index(drop=True), "legacy")
    assert online["close_SMA_48"].isna().all()
    plan = compile_features(specs, dialect="causal")
    assert plan.lookback_rows == 47
    served = plan.compute(data.tail(plan.lookback_rows + 1).reset_index(drop=True))
    assert served["close_SMA_48"].notna().sum() == 1
    assert compile_features(specs, dialect="legacy").lookback_rows is None


def test_recursive_indicators_differ_online_in_legacy_and_not_on_the_rows_the_plan_asks_for():
    data = make_data(9000)
    specs = [talib(["close"], "RSI", 14), talib(HLC, "ATR", 14)]
    batch = compute(specs, data, "legacy").tail(60).reset_index(drop=True)
    online = (
        compute(specs, data.tail(LIVE_ROWS).reset_index(drop=True), "legacy").tail(60).reset_index(drop=True)
    )
    assert (batch["close_RSI_14"] - online["close_RSI_14"]).abs().max() > 0.01
    assert (batch["high_low_close_ATR_14"] / online["high_low_close_ATR_14"] - 1).abs().max() > 1e-4
    plan = compile_features(aggressive(), dialect="causal")
    assert plan.lookback_rows < len(data) - 60
    assert find_serve_differences(plan, data, plan.compute(data).tail(60), 60) == []


@pytest.mark.parametrize("dialect", ["legacy", "causal"])
def test_patterns_read_zero_during_warm_up_only_in_legacy(dialect):
    data = make_data(100)
    pattern = compute([talib(["open", *HLC], "CDLDOJI")], data, dialect)["open_high_low_close_CDLDOJI"]
    assert pattern.head(10).isna().all() == (dialect == "causal")
    assert set(pattern.dropna()) <= {-100.0, 0.0, 100.0}


def test_row_numbers_count_from_the_start_of_the_frame_only_in_legacy():
    """Counted back from the row, where the maximum stood is the same on any tail of the history."""
    data = make_data(200)
    specs = [talib(["close"], "MAXINDEX", 10)]
    legacy, causal = (compute(specs, data, dialect)["close_MAXINDEX_10"] for dialect in ("legacy", "causal"))
    assert legacy.iloc[-1] > 100
    np.testing.assert_array_equal(causal.iloc[9:], np.arange(9, 200) - legacy.iloc[9:])
