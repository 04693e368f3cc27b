"""Plans: generators in sequence, what they reach back to, what identifies them, and what they refuse."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from feature_making import HLC, aggressive, make_data, talib

from itb_assets.domain.features import Step, compile_features, output_names, plan, registered_generators
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError, DataContractError

PLUGIN = """
import numpy as np
from itb_assets.domain.features import Step

class CloseChange:
    def steps(self, spec, dialect):
        rows = spec.config["rows"]
        def kernel(columns):
            close = columns["close"]
            out = np.full(len(close), 7.0)
            out[rows:] = close[rows:] / close[:-rows] - 1.0
            return (out,)
        return (Step((f"change_{rows}",), ("close",), ({"change": rows},), kernel, rows, warmup_rows=rows),)

not_a_generator = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with these lines of entry points for this test."""

    def run(*lines: str) -> None:
        (tmp_path / "feature_plugin.py").write_text(PLUGIN)
        folder = tmp_path / "feature_plugin-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: feature-plugin\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("\n".join(["[itb_assets.features]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)
        registered_generators.cache_clear()

    yield run
    registered_generators.cache_clear()
    sys.modules.pop("feature_plugin", None)


def test_a_registered_generator_of_ones_own_is_found_by_its_name_and_by_its_path(install):
    install("close_change = feature_plugin:CloseChange")
    data = make_data(50)
    for name in ("close_change", "feature_plugin:CloseChange"):
        plan = compile_features([GeneratorSpec(name, {"rows": 3})])
        change = plan.compute(data)["change_3"]
        assert plan.lookback_rows == 3
        assert change.head(3).isna().all()  # warm-up, whatever the kernel put there
        np.testing.assert_allclose(change.tail(47), data["close"].pct_change(3).tail(47), rtol=1e-9)


def test_a_module_that_nobody_registered_is_not_imported(install):
    install("close_change = feature_plugin:CloseChange")
    with pytest.raises(ConfigError, match=r"feature_plugin:other is not known.*close_change"):
        output_names(GeneratorSpec("feature_plugin:other", {}))
    assert "feature_plugin_other" not in sys.modules


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wrong = feature_plugin:not_a_generator", "has no steps"),
        ("wrong = feature_plugin:absent", "cannot be loaded: AttributeError"),
        ("talib = feature_plugin:CloseChange", "takes a name in use: talib"),
    ],
)
def test_a_bad_entry_point_is_reported(install, line, said):
    install(line)
    with pytest.raises(ConfigError, match=said):
        registered_generators()


def test_later_generators_read_the_features_of_earlier_ones_and_reach_as_far_back():
    atr = talib(HLC, "ATR", 14)
    smooth = talib("high_low_close_ATR_14", "SMA", 5)
    both, alone = compile_features([atr, smooth]), compile_features([atr])
    assert both.lookback_rows == alone.lookback_rows + 4
    features = both.compute(make_data(100))
    expected = features["high_low_close_ATR_14"].rolling(5).mean()
    np.testing.assert_allclose(features["high_low_close_ATR_14_SMA_5"], expected, rtol=2 * 2.0**-31)
    assert both.inputs == ("high", "low", "close")


def test_every_problem_of_all_generators_is_reported_at_once():
    specs = [
        talib(["close"], "SMAA", 3),
        talib(["close"], "SMA", 3),
        talib(["close"], "SMA", 3, 3),
        talib(["closed"], "RSI", 14),
        talib(["open"], "SMA", names="close"),
        GeneratorSpec("regime", {}),
        GeneratorSpec("depth", {}),
    ]
    with pytest.raises(ConfigError) as refused:
        compile_features(specs)
    said = [
        "SMAA is not a function",
        "close_SMA_3 is generated twice",
        "close_SMA_3 is generated twice",
        "input column closed is neither",
        "feature close has the name of a data column",
        "input column high_low_close_ATR_14 is neither",
        "generator depth is not supported",
    ]
    assert len(refused.value.problems) == len(said)
    for text, problem in zip(said, refused.value.problems, strict=True):
        assert text in problem


def test_a_dialect_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="expected causal or legacy"):
        compile_features([], dialect="modern")


def test_definitions_are_those_of_each_feature_alone():
    """Variants that ask for other windows beside it agree on a feature; other inputs or dialects do not."""

    def definition(*specs, dialect="causal", name="close_SMA_3", **options):
        return compile_features(specs, dialect=dialect, **options).definitions[name]

    narrow, wide = talib(["close"], "SMA", 3), talib(["close"], "SMA", 3, 48)
    assert definition(narrow) == definition(wide) == definition(talib({"real": "close"}, "SMA", 3))
    assert definition(narrow) != definition(narrow, dialect="legacy")
    relative = {"rel_base": "next", "rel_func": "rel"}
    assert definition(narrow) != definition(talib(["close"], "SMA", 3, 48, parameters=relative))
    other = GeneratorSpec("talib", narrow.config, column_prefix="BTC")
    assert definition(narrow) != definition(other, data_columns=["BTC_close"])
    smooth = talib("close_SMA_3", "SMA", 2)
    plain, log = (talib(["close"], "SMA", 3, parameters={"log": flag}) for flag in (False, True))
    name = "close_SMA_3_SMA_2"
    assert definition(plain, smooth, name=name) != definition(log, smooth, name=name)
    assert json.loads(definition(narrow))["function"] == "SMA"


def test_the_digest_follows_definitions_and_order():
    first, second = talib(["close"], "SMA", 3), talib(["close"], "RSI", 14)
    digest = compile_features([first, second]).digest
    assert digest == compile_features([first, second]).digest
    assert digest != compile_features([second, first]).digest
    assert digest != compile_features([first, second], dialect="legacy").digest
    assert len(digest) == 64


@pytest.mark.parametrize("dialect", ["causal", "legacy"])
@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_short_frames_give_short_frames(dialect, rows):
    plan = compile_features(aggressive(), dialect=dialect)
    features = plan.compute(make_data(100).head(rows))
    assert features.shape == (rows, 18)
    assert features["close_SMA_3"].notna().sum() == max(0, rows - 2)


def test_the_index_of_the_data_does_not_matter():
    plan = compile_features(aggressive())
    data = make_data(400)
    expected = plan.compute(data.tail(300).reset_index(drop=True))
    pd.testing.assert_frame_equal(plan.compute(data.tail(300)), expected, check_exact=True)


def test_data_without_the_columns_or_off_the_grid_is_refused():
    plan = compile_features(aggressive())
    data = make_data(100)
    with pytest.raises(DataContractError, match="lacks the columns close, low"):
        plan.compute(data.drop(columns=["low", "close"]))
    with pytest.raises(DataContractError, match="put it on the grid first"):
        plan.compute(data.drop(index=[40, 41]))
    with pytest.raises(DataContractError, match="expected datetime64"):
        plan.compute(data.assign(timestamp=data["timestamp"].dt.tz_localize(None)))


class OneKernel:
    """A generator whose two features are what `kernel` returns."""

    def __init__(self, kernel):
        """Keep the kernel."""
        self.kernel = kernel

    def steps(self, spec, dialect):  # noqa: ARG002 - the protocol's signature
        return (Step(("a", "b"), ("close",), ({}, {}), self.kernel, 0),)


def run_kernel(kernel, data):
    plan = compile_features([GeneratorSpec("mine")], generators={"mine": OneKernel(kernel)})
    return plan.compute(data)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_kernel_that_returns_other_shapes_is_refused(outputs, lost):
    with pytest.raises(DataContractError, match="generator of a, b returned columns of the shapes"):
        run_kernel(lambda columns: [columns["close"][lost:]] * outputs, make_data(10))


def test_a_kernel_cannot_change_the_data():
    """It gets read-only views, and what it passes through is copied."""
    data = make_data(10)

    def spoil(columns):
        columns["close"][0] = 0.0

    with pytest.raises(ValueError, match="read-only"):
        run_kernel(spoil, data)
    features = run_kernel(lambda columns: [columns["close"], -columns["close"]], data)
    features["a"] += 1.0
    features.loc[0, "b"] = np.nan
    pd.testing.assert_frame_equal(data, make_data(10), check_exact=True)


def test_infinities_become_unknown():
    features = run_kernel(lambda columns: [1 / (columns["close"] * 0), columns["close"]], make_data(10))
    assert features["a"].isna().all()
    assert features["b"].notna().all()


def test_the_rounding_of_a_running_sum_does_not_grow_with_history(monkeypatch):
    """TRIMA starts afresh every 65,536 rows in `causal`; `legacy` keeps its drift."""
    monkeypatch.setattr(plan, "round_in_place", lambda _: None)  # it would hide either
    data = make_data(140_000)
    specs = [talib(["close"], "TRIMA", 9)]
    weights = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25
    exact = np.convolve(data["close"], weights, mode="valid")
    errors = {}
    for dialect in ("causal", "legacy"):
        found = compile_features(specs, dialect=dialect).compute(data)["close_TRIMA_9"]
        assert found.isna().sum() == 8
        errors[dialect] = np.abs(found.to_numpy()[8:] - exact)[-1000:].max() / exact.max()
    assert errors["causal"] * 10 < errors["legacy"]


def test_args_reach_ta_lib():
    data = make_data(300)
    specs = [
        talib(["close"], "BBANDS", 20),
        talib(["close"], "BBANDS", 20, names="wide", args={"nbdevup": 3, "nbdevdn": 3.0}),
    ]
    features = compile_features(specs).compute(data)
    narrow = features["close_BBANDS_20_upper"] - features["close_BBANDS_20_lower"]
    wide = features["close_BBANDS_wide_20_upper"] - features["close_BBANDS_wide_20_lower"]
    bands_rounded = 5 * data["close"].max() * 2.0**-31
    np.testing.assert_allclose(wide, narrow * 1.5, rtol=0, atol=bands_rounded)
