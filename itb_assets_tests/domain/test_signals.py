"""Signals are what the old bot's rules made of the same scores, and no row looks ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb_assets.domain.signals import compute_signals, generator_names, lookback_rows, output_names
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError, DataContractError

NAN = float("nan")


def spec(generator, **config) -> GeneratorSpec:
    return GeneratorSpec(generator, config)


def scores(**columns) -> pd.DataFrame:
    frame = pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})
    frame.insert(0, "timestamp", pd.date_range("2024-01-01", periods=len(frame), freq="1h", tz="UTC"))
    return frame


def combine(how=None, **more) -> GeneratorSpec:
    return spec("combine", columns=["up", "down"], names="trade", combine=how, **more)


def rule(buy=0.1, sell=-0.1, columns="trade") -> GeneratorSpec:
    parameters = {"buy_signal_threshold": buy, "sell_signal_threshold": sell}
    return spec("threshold_rule", columns=columns, names=["buy", "sell"], parameters=parameters)


RULE2 = spec(
    "threshold_rule2",
    columns=["up", "down"],
    names=["buy", "sell"],
    parameters={
        "buy_signal_threshold": 0.5,
        "sell_signal_threshold": 0.2,
        "buy_signal_threshold_2": 0.4,
        "sell_signal_threshold_2": 0.1,
    },
)
SPECS = {
    "smoothen": [spec("smoothen", columns=["up", "down"], names="smooth", window=5)],
    "combine": [combine("relative")],
    "threshold_rule": [combine("difference"), rule()],
    "threshold_rule2": [RULE2],
}
CHAIN = [
    combine("difference"),
    spec("smoothen", columns="trade", names="calm", window=6),
    spec("smoothen", columns=["calm"], names="calmer", point_threshold=0.01, window=3),
    rule(columns="calmer"),
]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("difference", [0.5, -0.25, 0.0]),
        ("relative", [2 / 3, -1 / 3, 0.0]),
        ("none", [0.625, -0.5, 0.25]),
        (None, [0.625, -0.5, 0.25]),
    ],
)
def test_combine(how, expected):
    frame = scores(up=[0.625, 0.25, 0.25], down=[0.125, 0.5, 0.25])
    assert compute_signals(frame, [combine(how)])["trade"].tolist() == pytest.approx(expected, abs=1e-15)


def test_a_score_of_nothing_has_no_sign():
    """-0.0 would not come back from a database that keeps scores as JSON."""
    specs = [combine("difference", coefficient=-1.0), rule(columns="trade")]
    computed = compute_signals(scores(up=[0.25], down=[0.25]), specs)
    assert computed["trade"].tolist() == [0.0]
    assert not np.signbit(computed["trade"]).any()


def test_combine_scales_and_shifts():
    frame = scores(up=[0.5], down=[0.25])
    computed = compute_signals(frame, [combine("difference", coefficient=4.0, constant=-0.5)])
    assert computed["trade"].tolist() == [0.5]


@pytest.mark.parametrize("how", ["difference", "relative", "none"])
def test_an_unknown_score_gives_an_unknown_score_and_no_signal(how):
    frame = scores(up=[NAN, 0.9, NAN, 0.0], down=[0.1, NAN, NAN, 0.0])
    computed = compute_signals(frame, [combine(how), rule(buy=-9, sell=9)])
    known = [False, False, False, how != "relative"]  # 0 / 0 is as unknown as NaN
    assert computed["trade"].notna().tolist() == known
    assert computed["buy"].tolist() == known
    assert computed["sell"].tolist() == known
    assert computed["buy"].dtype == np.bool_


def test_thresholds_are_included():
    frame = scores(trade=[0.1, np.nextafter(0.1, 0), -0.1, 0.0])
    computed = compute_signals(frame, [rule()])
    assert computed["buy"].tolist() == [True, False, False, False]
    assert computed["sell"].tolist() == [False, False, True, False]


def test_a_list_of_one_column_is_that_column():
    """Fault 17: the old bot wrapped a list once more and failed."""
    frame = scores(trade=[0.2, -0.2])
    pd.testing.assert_frame_equal(
        compute_signals(frame, [rule(columns=["trade"])]), compute_signals(frame, [rule()])
    )
    with pytest.raises(ConfigError, match=r"config\.columns: value should have at most 1 item"):
        output_names(rule(columns=["trade", "other"]))


def test_threshold_rule2_wants_both_scores():
    frame = scores(up=[0.5, 0.5, 0.2, 0.2, NAN], down=[0.4, 0.3, 0.1, 0.2, 0.4])
    computed = compute_signals(frame, [RULE2])
    assert computed["buy"].tolist() == [True, False, False, False, False]
    assert computed["sell"].tolist() == [False, False, True, False, False]


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), max_size=40),
    window=st.one_of(st.integers(1, 12), st.floats(1, 12)),
    threshold=st.sampled_from([None, 0.5]),
)
def test_smoothen_equals_the_pandas_windows_of_the_old_bot(values, window, threshold):
    frame = scores(up=values)
    base = frame["up"]
    if threshold:
        base = (base >= threshold).astype(float).where(base.notna())
    if isinstance(window, int):
        expected = base.rolling(window, min_periods=window // 2).mean()
    else:
        expected = base.ewm(span=window, min_periods=window // 2, adjust=False).mean()
    made = spec("smoothen", columns="up", names="x", window=window, point_threshold=threshold)
    computed = compute_signals(frame, [made])["x"]
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-12)


def test_smoothen_averages_the_columns_it_knows():
    frame = scores(up=[0.2, NAN, NAN], down=[0.6, 0.6, NAN])
    made = spec("smoothen", columns=["up", "down"], names="x")
    np.testing.assert_allclose(compute_signals(frame, [made])["x"], [0.4, 0.6, NAN])


def test_lookback_adds_up_along_a_chain():
    assert lookback_rows([]) == 0
    assert lookback_rows([combine(), rule()]) == 0
    assert lookback_rows(CHAIN) == 5 + 2
    assert lookback_rows([spec("smoothen", columns="up", names="x", window=5.0)]) is None


@pytest.mark.parametrize("specs", [*SPECS.values(), CHAIN], ids=[*SPECS, "chain"])
def test_no_rule_looks_ahead_and_the_tail_equals_the_whole(specs):
    """Bit for bit, for every registered generator and a chain of them."""
    rng = np.random.default_rng(2)
    frame = scores(up=rng.random(300), down=rng.random(300))
    frame.loc[100:104, "up"] = NAN
    before = frame.copy()
    whole = compute_signals(frame, specs)
    pd.testing.assert_frame_equal(frame, before)
    assert tuple(whole.columns) == ("timestamp", *(name for one in specs for name in output_names(one)))
    for row in (50, 102, 200):
        assert compute_signals(frame.iloc[: row + 1], specs).equals(whole.iloc[: row + 1])
        tail = compute_signals(frame.iloc[row - (lookback_rows(specs) or 0) :], specs)
        assert tail.loc[row:].equals(whole.loc[row:])


def test_the_contract_covers_every_registered_rule():
    assert set(SPECS) == set(generator_names())


def test_prefixes_choose_inputs_and_name_outputs():
    made = GeneratorSpec("smoothen", {"columns": "up", "names": "x"}, column_prefix="m", feature_prefix="f")
    computed = compute_signals(scores(m_up=[0.5]), [made])
    assert computed["f_x"].tolist() == [0.5]


def test_mistakes_are_listed_at_once():
    specs = [
        spec("smoothen", columns="a", names="x", windows=3),
        spec("combine", columns=["a"], names="y", combine="both"),
        spec("threshold_rule", columns="a", names=["b", "c"], parameters={"buy_signal_threshold": "1"}),
        spec("common.evil:run"),
        rule(),
        rule(),
    ]
    with pytest.raises(ConfigError) as caught:
        compute_signals(scores(a=[1.0]), specs)
    text = str(caught.value)
    for words in (
        "smoothen: config.windows is not a key of this generator",
        "combine: config.columns",
        "combine: config.combine: input should be 'relative', 'difference' or 'none', found 'both'",
        "config.parameters.buy_signal_threshold: input should be a valid number, found '1'",
        "config.parameters.sell_signal_threshold is missing",
        "signal generator 'common.evil:run' is not known",
        "signal column 'buy' is generated 2 times",
    ):
        assert words in text


def test_a_missing_score_is_named():
    with pytest.raises(DataContractError, match="need the column 'down', found only timestamp, up"):
        compute_signals(scores(up=[0.5]), [combine()])
