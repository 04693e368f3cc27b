"""Spreads and volatility regimes equal what a slow, literal reading of their definitions gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from feature_making import HLC, make_data, talib, without_rows

from itb_assets.domain.features import compile_features
from itb_assets.domain.features.market_state import TIE_MARGIN
from itb_assets.domain.specs import GeneratorSpec

ATR = talib(HLC, "ATR", 14)


def regimes(data, **config):
    plan = compile_features([ATR, GeneratorSpec("regime", config)])
    return plan.compute(data)


def literal_regime(features, data, step, window, least):
    """Classify row by row from every `step`-th of the `window` rows before the row's day."""
    ratio = (features["high_low_close_ATR_14"] / data["close"]).to_numpy()
    days = data["timestamp"].dt.floor("D")
    starts = {day: position for position, day in reversed(list(enumerate(days))) if day >= days[0]}
    result = np.full(len(data), np.nan)
    for row, day in enumerate(days):
        if data["timestamp"].iloc[starts[day]] != day or np.isnan(ratio[row]):
            continue  # the day began before the frame did
        places = [starts[day] - 1 - step * back for back in range(window // step)]
        known = np.sort([ratio[place] for place in places if place >= 0 and not np.isnan(ratio[place])])
        known = known.astype(np.float32).astype(np.float64)
        if len(known) * step < least:
            continue
        low, high = (known[int(quantile * len(known))] * (1 - TIE_MARGIN) for quantile in (0.35, 0.70))
        result[row] = int(ratio[row] >= low) + int(ratio[row] >= high)
    return result


@pytest.mark.parametrize(
    ("freq", "step", "window", "least"),
    [
        ("5min", 12, 600, 144),
        ("15min", 12, 300, 48),
        ("1h", 12, 240, 48),
        ("4h", 6, 120, 30),
        ("12h", 2, 60, 20),
        ("1D", 1, 90, 30),
    ],
)
def test_regimes_are_those_of_the_days_before(freq, step, window, least):
    """Whole and broken days, gaps, and starts inside a day, at several freqs."""
    data = without_rows(make_data(2000, freq=freq, start="2024-03-01 00:00"), 900, 903)
    data = data.iloc[7:].reset_index(drop=True)
    features = regimes(data, window=window, min_rows=least)
    expected = literal_regime(features, data, step, window, least)
    np.testing.assert_array_equal(features["vol_regime"], expected)
    assert set(expected[~np.isnan(expected)]) == {0.0, 1.0, 2.0}


def test_a_market_that_never_moves_is_not_split_by_rounding():
    """Where all values tie with the thresholds, every row is high on any part of the history."""
    data = make_data(4000)
    data[["open", "close"]] = 100.0
    data["high"], data["low"] = 100.1, 99.9
    whole = regimes(data, window=576, min_rows=144)["vol_regime"]
    part = regimes(data.iloc[1111:].reset_index(drop=True), window=576, min_rows=144)["vol_regime"]
    assert set(whole.dropna()) == set(part.dropna()) == {2.0}


def test_regimes_are_unknown_until_enough_rows_are_known():
    """By default a day of 5m rows must be known before a day's thresholds are."""
    data = make_data(288 * 4, start="2024-03-01 00:00")
    regime = regimes(data)["vol_regime"]
    assert regime.first_valid_index() == 2 * 288  # the first day lacks the warm-up of the ATR
    assert regime.loc[2 * 288 :].notna().all()


def test_legacy_regimes_are_the_quantiles_of_the_frame():
    data = make_data(3000)
    plan = compile_features([ATR, GeneratorSpec("regime", {})], dialect="legacy")
    features = plan.compute(data)
    atr_pct = features["high_low_close_ATR_14"] / data["close"] * 100
    low, high = atr_pct.quantile(0.35), atr_pct.quantile(0.70)
    expected = (
        pd.cut(atr_pct, [-np.inf, low, high, np.inf], labels=[0, 1, 2], right=False).astype(float).fillna(1)
    )
    np.testing.assert_array_equal(features["vol_regime"], expected)


@pytest.mark.parametrize(("dialect", "least"), [("causal", 6), ("legacy", 1)])
def test_spreads_are_means_of_the_range_in_percent_of_the_close(dialect, least):
    data = make_data(200)
    features = compile_features([GeneratorSpec("spread", {"windows": [1, 6]})], dialect=dialect).compute(data)
    spread = (data["high"] - data["low"]) / data["close"] * 100
    np.testing.assert_allclose(features["spread_pct_1"], spread, rtol=2.0**-31)
    np.testing.assert_allclose(
        features["spread_pct_6"], spread.rolling(6, min_periods=least).mean(), rtol=1e-9
    )


def test_a_price_of_zero_spoils_only_the_windows_that_hold_it():
    data = make_data(100)
    data.loc[50, "close"] = 0.0
    spread = compile_features([GeneratorSpec("spread", {"windows": [3]})]).compute(data)["spread_pct_3"]
    assert spread.index[spread.isna()].tolist() == [0, 1, 50, 51, 52]
