"""Features are named as the legacy bot names them, in both of its branches."""

from __future__ import annotations

import pytest
from feature_making import HLC, make_data, talib
from talib import get_functions

from itb_assets.domain.features import compile_features, output_names
from itb_assets.domain.features.talib_catalogue import describe
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError

OHLC = ["open", *HLC]
ITBLIB_STEMS = (
    *("close", "close_std", "volume", "span", "trades", "tb_base"),
    *("close_area", "close_trend", "volume_trend"),
)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (talib(["close"], "SMA", 3, 48), "close_SMA_3 close_SMA_48"),
        (talib("close", "SMA", 3), "close_SMA_3"),
        (talib({"real": "close"}, "SMA", 3), "close_SMA_3"),
        (talib(HLC, "ATR", 14), "high_low_close_ATR_14"),
        (
            talib(["close"], "BBANDS", 20),
            "close_BBANDS_20_upper close_BBANDS_20_middle close_BBANDS_20_lower",
        ),
        (talib(["close"], "MACD", 1), "close_MACD_1_macd close_MACD_1_macdsignal close_MACD_1_macdhist"),
        (talib(HLC, "STOCH", 1), "high_low_close_STOCH_1_slowk high_low_close_STOCH_1_slowd"),
        (talib(HLC, "STOCHF", 1), "high_low_close_STOCHF_1_fastk high_low_close_STOCHF_1_fastd"),
        (talib(["close"], "STOCHRSI", 14), "close_STOCHRSI_14_fastk close_STOCHRSI_14_fastd"),
        (talib(["high", "low"], "AROON", 14), "high_low_AROON_14_aroondown high_low_AROON_14_aroonup"),
        (talib(["close", "volume"], "OBV", 1), "close_volume_OBV_1"),
        (talib([*HLC, "volume"], "MFI", 14), "high_low_close_volume_MFI_14"),
        (talib(OHLC, "CDLDOJI"), "open_high_low_close_CDLDOJI"),
        (talib(["close"], "SMA", 3, 9, names="mean"), "close_SMA_mean_3 close_SMA_mean_9"),
        (talib(["close"], "SMA", names="mean"), "mean"),
        (talib(["close"], "SMA", 3, 9, names=["fast", "slow"]), "close_SMA_fast close_SMA_slow"),
        (talib(["close"], "SMA", 3, 9, names=["fast", "slow"], naming="upstream"), "fast slow"),
        (talib(["close"], "MACD", 1, names=["m"]), "m_macd m_macdsignal m_macdhist"),
        (GeneratorSpec("spread", {}), "spread_pct_3 spread_pct_5 spread_pct_10"),
        (GeneratorSpec("regime", {}), "vol_regime"),
        (
            GeneratorSpec("itbstats", {"columns": ["close"], "functions": ["lsbm", "fmax"], "windows": 60}),
            "close_lsbm_60 close_fmax_60",
        ),
        (
            GeneratorSpec("itblib", {"base_window": 1440, "windows": [5]}),
            " ".join(f"{stem}_5" for stem in ITBLIB_STEMS),
        ),
        (
            GeneratorSpec("spread", {"windows": 3}, column_prefix="BTC", feature_prefix="btc"),
            "btc_spread_pct_3",
        ),
    ],
)
def test_names(spec, names):
    assert output_names(spec) == tuple(names.split())


def test_every_function_of_ta_lib_has_names():
    """Each function over its own inputs is accepted and its outputs have names of their own."""
    for function in get_functions():
        columns = {"real": "close", "real0": "high", "real1": "low", "periods": "trades"}
        inputs = {name: columns.get(name, name) for name in describe(function).inputs}
        names = output_names(talib(inputs, function))
        assert len(names) == len(set(names)) == len(describe(function).outputs)


def test_prefixes_choose_the_columns_and_mark_the_results():
    """`column_prefix` selects the data's columns of that prefix, `feature_prefix` goes before the names."""
    data = make_data(60)
    data["BTC_close"] = data["close"] * 2
    spec = GeneratorSpec(
        "talib",
        {"columns": ["close"], "functions": ["SMA"], "windows": [3]},
        column_prefix="BTC",
        feature_prefix="b",
    )
    plan = compile_features([spec], data_columns=("close", "BTC_close"))
    features = plan.compute(data)
    assert plan.names == ("b_close_SMA_3",)
    assert plan.inputs == ("BTC_close",)
    assert features["b_close_SMA_3"].iloc[-1] == pytest.approx(2 * data["close"].tail(3).mean())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (talib(["close"], "SMAA", 3), "SMAA is not a function of TA-Lib"),
        (
            talib(["close"], "WILLR", 14),
            "WILLR takes the columns high, low, close in this order, found ['close']",
        ),
        (talib({"x": "close"}, "SMA", 3), "SMA takes the columns real"),
        (talib(HLC, "ATR", 0), "greater than or equal to 1"),
        (talib(["close"], "SMA", 3, window=3), "config.window is not a key"),
        (talib(["close"], "SMA", "3"), "valid integer"),
        (talib(["close"], "SMA", 3, 9, names=["one"]), "1 names for 2 windows"),
        (talib(["close"], "SMA", 3, args={"speed": 2}), "SMA has no parameter speed; it has timeperiod"),
        (talib(["close"], "BBANDS", 3, args={"matype": 99}), "TA-Lib refuses BBANDS"),
        (
            talib(["close"], "MACD", args={"fastperiod": 2.5}),
            "MACD takes a whole number as fastperiod, found 2.5",
        ),
        (talib(["close"], "SMA", 3, parameters={"rel_base": "last"}), "rel_base needs rel_func"),
        (talib(["close"], "SMA", 3, parameters={"rel_base": "middle"}), "rel_base"),
        (GeneratorSpec("talib", {"functions": ["SMA"]}), "config.columns is missing"),
        (
            GeneratorSpec("itbstats", {"columns": "close", "functions": "mode", "windows": 3}),
            "mode is not one of",
        ),
        (GeneratorSpec("itblib", {"windows": [5]}), "base_window is missing"),
        (GeneratorSpec("itblib", {"windows": [5], "base_window": 5}), "base_window 5 is among the windows"),
        (GeneratorSpec("itblib", {"windows": [5], "functions": ["open_WMA"]}), "open_WMA"),
        (GeneratorSpec("regime", {"window": 5, "min_rows": 6}), "min_rows 6 is more than window 5"),
        (GeneratorSpec("tsfresh", {"columns": "close", "windows": [5]}), "not supported: itbstats"),
        (GeneratorSpec("depth", {}), "not supported: register a generator of your own"),
        (GeneratorSpec("os:system", {}), "generator os:system is not known"),
    ],
)
def test_a_wrong_config_is_refused_and_says_why(spec, said):
    with pytest.raises(ConfigError) as refused:
        output_names(spec)
    assert said in str(refused.value)
