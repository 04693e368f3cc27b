"""A label plan names, defines and fingerprints its labels before any data; what is wrong is refused."""

from __future__ import annotations

import pytest
from label_making import answers, crossing_spec, frame_of

from itb_assets.domain.labels import compile_labels, generator_names, output_names
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError, DataContractError

HIGHLOW_NAMES = [
    "high_10",
    "high_15",
    "high_20",
    "high_25",
    "high_30",
    "high_01",
    "high_02",
    "high_03",
    "high_04",
    "high_05",
    "low_01",
    "low_02",
    "low_03",
    "low_04",
    "low_05",
    "low_10",
    "low_15",
    "low_20",
    "low_25",
    "low_30",
]


def test_names_horizon_and_ties():
    specs = [crossing_spec(horizon=7), GeneratorSpec("highlow", {"horizon": 30})]
    plan = compile_labels(specs, dialect="causal")
    assert list(plan.names) == ["x", *HIGHLOW_NAMES]
    assert plan.columns == (*plan.names, "x_tie")
    assert (plan.horizon_rows, plan.lookback_rows) == (30, 0)
    assert compile_labels(specs, dialect="legacy").columns == plan.names
    assert compile_labels([], dialect="causal").horizon_rows == 0


def test_the_digest_follows_what_decides_the_values_and_nothing_else():
    base = compile_labels([crossing_spec()], dialect="causal")
    assert compile_labels([crossing_spec(thresholds=1)], dialect="causal").digest == base.digest
    different = [crossing_spec("low"), crossing_spec(horizon=4), crossing_spec(tolerance=0.2)]
    digests = {compile_labels([spec], dialect="causal").digest for spec in different}
    digests |= {base.digest, compile_labels([crossing_spec()], dialect="legacy").digest}
    assert len(digests) == 5


def test_every_mistake_is_listed_at_once():
    specs = [
        crossing_spec(horizon=0, function="up", extra=1),
        GeneratorSpec("os:system", {}),
        crossing_spec(names=["a", "b"], tolerance=0),
        GeneratorSpec("topbot2", {"columns": "close", "function": "top", "names": ["t"], "tolerances": 0.1}),
        crossing_spec(),
        crossing_spec(),
    ]
    with pytest.raises(ConfigError) as caught:
        compile_labels(specs, dialect="causal")
    text = str(caught.value)
    for words in (
        "config.function: input should be 'high' or 'low', found 'up'",
        "config.horizon: input should be greater than or equal to 1, found 0",
        "config.extra is not a key of this generator; its keys are columns, function",
        "label generator 'os:system' is not known; use one of highlow, highlow2",
        "one name for each threshold: found 2 names for 1",
        "leave no stop",
        "topbot2: config.level is missing",
        "label column 'x' is generated 2 times",
    ):
        assert words in text
    assert len(caught.value.problems) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": ["1"]},
        {"thresholds": []},
        {"thresholds": [0.0]},
        {"thresholds": [float("nan")]},
        {"thresholds": [True]},
        {"tolerance": -0.1},
        {"tolerance": 1e-9},
        {"horizon": 2.5},
        {"columns": ["close", "high"]},
        {"names": [""]},
        {"names": "x"},
    ],
)
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(ConfigError, match="highlow2: config"):
        output_names(crossing_spec(**wrong))


def test_a_tie_column_must_not_be_named_like_a_label():
    specs = [crossing_spec(), crossing_spec(names=["x_tie"])]
    with pytest.raises(ConfigError, match="'x_tie' is generated 2 times"):
        compile_labels(specs, dialect="causal")
    assert compile_labels(specs, dialect="legacy").columns == ("x", "x_tie")


def test_a_column_the_data_lacks_is_named():
    plan = compile_labels([crossing_spec(columns=["close", "hi", "low"])], dialect="causal")
    with pytest.raises(
        DataContractError, match="need the column 'hi', found only timestamp, close, high, low"
    ):
        plan.compute(frame_of([1.0, 2.0]))


def test_output_names_need_no_data():
    assert output_names(crossing_spec()) == ("x",)
    assert len(output_names(GeneratorSpec("topbot", {}))) == 100
    assert set(generator_names()) >= {"highlow", "highlow2", "topbot", "topbot2"}


def test_frozen_configs_are_read_like_plain_ones():
    spec = crossing_spec(columns=("close", "high", "low"), names=("x",))
    assert output_names(spec) == ("x",)


def test_highlow_compares_the_extremes_of_the_horizon_with_fixed_percentages():
    """Two rows ahead: +1.5 % and -0.25 % of the first close; both dialects agree where all is known."""
    frame = frame_of([100, 100, 100, 100], high=[100, 101.5, 101, 100], low=[100, 99.75, 99.9, 100])
    first = {}
    for dialect in ("causal", "legacy"):
        plan = compile_labels([GeneratorSpec("highlow", {"horizon": 2})], dialect=dialect)
        computed = plan.compute(frame)
        first[dialect] = {name for name in plan.names if computed[name].iloc[0]}
        tail = [answers(computed[name])[2:] for name in plan.names]
        assert tail == [[2, 2] if dialect == "causal" else [0, 0]] * 20
    assert first["causal"] == first["legacy"]
    assert first["causal"] == {"high_10", "high_15", "low_03", "low_04", "low_05"}
