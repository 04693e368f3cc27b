"""A rule is complete or refused, and what a strategy leaves open comes from its labels."""

from __future__ import annotations

import pytest
from trading_making import rule

from itb_assets.domain.labels.plan import compile_labels
from itb_assets.domain.specs import GeneratorSpec, TradingSpec
from itb_assets.domain.trading.resolve import label_facts, resolve_label_rule, resolve_rule
from itb_assets.errors import ConfigError


def crossing(function, thresholds, names, *, tolerance=0.05, horizon=4) -> GeneratorSpec:
    return GeneratorSpec(
        "highlow2",
        {
            "columns": ["close", "high", "low"],
            "function": function,
            "thresholds": thresholds,
            "tolerance": tolerance,
            "horizon": horizon,
            "names": names,
        },
    )


def definitions(*specs) -> dict[str, str]:
    return compile_labels(specs, dialect="causal").definitions


UP, DOWN = crossing("high", [0.4], ["up"]), crossing("low", [0.4], ["down"])
FULL = TradingSpec(take_profit_pct=2.0, stop_loss_pct=1.0, time_limit_rows=3)
SCORES = {"up_lgbm": "up", "down_lgbm": "down"}
COMBINE = GeneratorSpec("combine", {"columns": ["up_lgbm", "down_lgbm"], "names": "trade_score"})


def threshold(column, names=("buy", "sell"), **more) -> GeneratorSpec:
    limits = {"buy_signal_threshold": 0.1, "sell_signal_threshold": -0.1}
    return GeneratorSpec(
        "threshold_rule", {"columns": column, "names": list(names), "parameters": limits, **more}
    )


SIGNALS = (COMBINE, threshold("trade_score"))


def resolved(spec, *, labels=(UP, DOWN), signals=SIGNALS, scores=None):
    return resolve_rule(
        spec,
        signal_sets=signals,
        scores=SCORES if scores is None else scores,
        definitions=definitions(*labels),
    )


def test_values_left_open_come_from_the_labels_behind_the_signals():
    found = resolved(TradingSpec(fee_pct=0.1, notional=50.0, max_positions=2))
    assert (found.take_profit_pct, found.stop_loss_pct, found.time_limit_rows) == (0.4, 0.02, 4)
    assert (found.buy, found.sell, found.score) == ("buy", "sell", "trade_score")
    assert (found.fee_pct, found.notional, found.max_positions) == (0.1, 50.0, 2)


def test_values_that_are_set_win_and_need_no_label():
    found = resolved(FULL, labels=())
    assert (found.take_profit_pct, found.stop_loss_pct, found.time_limit_rows) == (2.0, 1.0, 3)
    partly = resolved(TradingSpec(stop_loss_pct=0.3))
    assert (partly.take_profit_pct, partly.stop_loss_pct) == (0.4, 0.3)


@pytest.mark.parametrize(("direction", "target"), [("long", 0.4), ("short", 0.5)])
def test_long_takes_the_label_upwards_and_short_the_one_downwards(direction, target):
    labels = (UP, crossing("low", [0.5], ["down"]))
    assert resolved(TradingSpec(direction=direction), labels=labels).take_profit_pct == target


def test_labels_that_disagree_are_refused_by_the_keys_to_set():
    labels = (UP, crossing("low", [0.5], ["down"], horizon=6))
    with pytest.raises(ConfigError) as caught:
        resolved(TradingSpec(), labels=labels)
    for words in (
        "paper_trading: 3 problems",
        "disagree (up 0.4, down 0.5): set take_profit_pct in paper_trading",
        "(up 0.02, down 0.025): set stop_loss_pct",
        "(up 4, down 6): set time_limit_rows",
    ):
        assert words in str(caught.value)


def test_a_side_without_a_label_is_refused_by_the_keys_to_set():
    with pytest.raises(
        ConfigError, match=r"\(up\) gives one for short positions: set take_profit_pct in paper"
    ):
        resolved(TradingSpec(), labels=(UP,))
    with pytest.raises(ConfigError, match=r"\(none found\) gives one for long and short positions"):
        resolved(TradingSpec(), scores={})


def test_labels_that_give_no_stop_leave_that_key_alone_to_be_set():
    highlow = GeneratorSpec("highlow", {"horizon": 12})
    signals = (GeneratorSpec("combine", {"columns": ["a", "b"], "names": "s"}), threshold("s"))
    scores = {"a": "high_15", "b": "low_15"}
    with pytest.raises(ConfigError, match=r"1 problem found\s+- stop_loss_pct is not set"):
        resolved(TradingSpec(), labels=(highlow,), signals=signals, scores=scores)
    found = resolved(TradingSpec(stop_loss_pct=1.0), labels=(highlow,), signals=signals, scores=scores)
    assert (found.take_profit_pct, found.time_limit_rows) == (1.5, 12)


def test_columns_left_open_are_those_of_the_last_rule():
    signals = (COMBINE, threshold("trade_score"), threshold("up_lgbm", ("late_buy", "late_sell")))
    found = resolved(FULL, signals=signals)
    assert (found.buy, found.sell) == ("late_buy", "late_sell")
    assert found.score is None  # the signals hold what rules wrote, not the models' scores
    named = resolved(TradingSpec(buy="buy", sell="sell", take_profit_pct=1.0), signals=signals)
    assert named.score == "trade_score"


@pytest.mark.parametrize(
    ("spec", "signals", "message"),
    [
        (TradingSpec(buy="bye"), None, "buy 'bye' is no column that signal_sets make; use one of buy, sell"),
        (TradingSpec(sell="trade_score"), None, "sell 'trade_score' is no column"),
        (TradingSpec(score="x"), None, "score 'x' is no column .* use one of trade_score, buy, sell"),
        (TradingSpec(), (COMBINE,), "signal_sets make no buy and sell: add a rule such as threshold_rule"),
        (TradingSpec(direction="up"), None, "direction must be one of long, short, both, found 'up'"),
        (TradingSpec(buy="sell", sell="sell"), None, "buy and sell both name 'sell'"),
    ],
)
def test_columns_that_signals_lack_are_refused(spec, signals, message):
    with pytest.raises(ConfigError, match=message):
        resolved(spec, signals=signals or SIGNALS)


def test_each_label_says_its_side():
    known = definitions(
        UP,
        DOWN,
        GeneratorSpec("highlow", {"horizon": 6}),
        GeneratorSpec(
            "topbot2",
            {"columns": "close", "function": "top", "level": 0.02, "tolerances": [0.1], "names": ["peak"]},
        ),
    )
    sides = {name: label_facts(known[name]).side for name in known}
    assert (sides["up"], sides["down"], sides["high_10"], sides["low_10"]) == (
        "long",
        "short",
        "long",
        "short",
    )
    assert (sides["peak"], sides["high_01"], sides["low_01"]) == ("short", None, None)
    assert label_facts(known["peak"]).take_profit_pct is None


def test_one_label_alone_makes_a_rule_for_its_own_side():
    found = resolve_label_rule(
        TradingSpec(exit_on_opposite=True), label="down", definition=definitions(DOWN)["down"]
    )
    assert (found.direction, found.sell, found.score, found.exit_on_opposite) == (
        "short",
        "sell",
        "score",
        False,
    )
    assert (found.take_profit_pct, found.stop_loss_pct, found.time_limit_rows) == (0.4, 0.02, 4)


def test_a_label_without_a_side_makes_no_rule():
    known = definitions(GeneratorSpec("highlow", {"horizon": 6}))
    with pytest.raises(ConfigError, match="high_01 says neither up nor down"):
        resolve_label_rule(FULL, label="high_01", definition=known["high_01"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "flat"}, "direction must be one of"),
        ({"sell": None}, "sell names no column"),
        ({"direction": "long", "sell": None, "exit_on_opposite": True}, "sell names no column"),
        ({"take_profit_pct": 0.0}, "take_profit_pct must be a number above 0, found 0.0"),
        ({"stop_loss_pct": float("nan")}, "stop_loss_pct must be a number above 0"),
        ({"notional": float("inf")}, "notional must be a number above 0"),
        ({"take_profit_pct": 100.0}, "take_profit_pct must be below 100 for short"),
        ({"stop_loss_pct": 101.0}, "stop_loss_pct must be at most 100 for long"),
        ({"fee_pct": -0.1}, "fee_pct must be a percentage from 0"),
        ({"slippage_pct": float("nan")}, "slippage_pct must be a percentage"),
        ({"time_limit_rows": 0}, "time_limit_rows must be a whole number from 1 on, found 0"),
        ({"max_positions": 1.0}, "max_positions must be a whole number from 1 on, found 1.0"),
    ],
)
def test_values_that_make_no_rule_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rule(**changes)


def test_one_direction_needs_one_column():
    assert rule(direction="long", sell=None).trades_long
    assert not rule(direction="short", buy=None).trades_long


def test_the_fingerprint_names_everything_that_decides_the_trades():
    digests = {
        rule().digest,
        rule(fee_pct=0.1).digest,
        rule(buy="other").digest,
        rule(max_positions=2).digest,
    }
    assert len(digests) == 4
    assert rule().digest == rule().digest
    assert rule().definition["time_limit_rows"] == 3
    assert rule().lookback_rows == 4
