"""What a strategy leaves open about trading, filled in from its signals and from its labels' definitions.

What the resolved values mean belongs to `rule`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from itb_assets.domain.signal_rules import Rule, parse_rule
from itb_assets.domain.specs import GeneratorSpec, TradingSpec
from itb_assets.domain.trading.rule import ORIGIN, TradingRule
from itb_assets.errors import ConfigError

Definition = Mapping[str, Any] | str
"""A label's facts, or the JSON text of them that a compiled label plan gives."""

BUY, SELL, SCORE = "buy", "sell", "score"
"""The columns of signals made from the scores of one model."""

_SIDES: Mapping[str, tuple[Literal["long", "short"], ...]] = {
    "long": ("long",),
    "short": ("short",),
    "both": ("long", "short"),
}
_KEYS = ("take_profit_pct", "stop_loss_pct", "time_limit_rows")
_FLAG_OUTPUTS = 2  # a rule that writes two columns writes buy and sell


@dataclass(frozen=True)
class LabelFacts:
    """What a label's definition says about a position; None where it says nothing."""

    side: Literal["long", "short"] | None
    take_profit_pct: float | None = None
    stop_loss_pct: float | None = None
    time_limit_rows: int | None = None


def label_facts(definition: Definition) -> LabelFacts:
    """Read target, stop and horizon out of one label's definition.

    A first touch gives all three. An extreme of the horizon gives no stop, and only where it lies beyond the
    threshold. Tops are for short positions and bottoms for long ones, but neither is a target.
    """
    facts = json.loads(definition) if isinstance(definition, str) else definition
    kind, threshold = facts.get("rule"), float(facts.get("threshold_pct", 0.0))
    if kind in ("top", "bottom"):
        return LabelFacts("short" if kind == "top" else "long")
    beyond = facts.get("comparison") in (None, ">=" if threshold > 0 else "<=")
    if kind not in ("first_touch", "max_high", "min_low") or not threshold or not beyond:
        return LabelFacts(None)
    return LabelFacts(
        side="long" if threshold > 0 else "short",
        take_profit_pct=abs(threshold),
        stop_loss_pct=abs(float(facts["stop_pct"])) if "stop_pct" in facts else None,
        time_limit_rows=int(facts["horizon_rows"]),
    )


def buys_and_sells(signal_sets: Sequence[GeneratorSpec]) -> bool:
    """Tell whether any of the signals buys and sells, so that there is something a rule can follow."""
    return bool(_deciding([parse_rule(entry) for entry in signal_sets]))


def resolve_rule(
    spec: TradingSpec,
    *,
    signal_sets: Sequence[GeneratorSpec],
    scores: Mapping[str, str],
    definitions: Mapping[str, Definition],
) -> TradingRule:
    """Return the rule that `spec` asks for, its open values filled in.

    `scores` gives the label of each score column, `definitions` each label's definition, both of the whole
    strategy. Columns left open are those of the last rule that buys and sells, and the score it reads, where
    the signals hold it. Values left open come from the labels behind the signals: long positions take those
    of labels upwards, short ones those of labels downwards, and all of them must agree.

    Raises ConfigError that names every key to set in `paper_trading`.
    """
    rules = [parse_rule(entry) for entry in signal_sets]
    buy, sell, score = _columns(spec, rules)
    behind = _labels_behind(rules, scores)
    labels = list(dict.fromkeys(label for column in (buy, sell) if column for label in behind[column]))
    known = {label: label_facts(definitions[label]) for label in labels if label in definitions}
    values = _values(spec, known, sides=_SIDES[spec.direction])
    return _rule(spec, direction=spec.direction, columns=(buy, sell, score), values=values)


def resolve_label_rule(spec: TradingSpec, *, label: str, definition: Definition) -> TradingRule:
    """Return the rule for positions that follow one label's scores alone, on the label's own side.

    It reads the columns `buy`, `sell` and `score`, and never leaves at an opposite signal, since one label
    gives none. Raises ConfigError where the label says neither up nor down, or a value stays open.
    """
    facts = label_facts(definition)
    if facts.side is None:
        raise ConfigError(
            [f"label {label} says neither up nor down: no position can follow its scores"], origin=ORIGIN
        )
    values = _values(spec, {label: facts}, sides=(facts.side,))
    return _rule(spec, direction=facts.side, columns=(BUY, SELL, SCORE), values=values, opposite=False)


def _columns(spec: TradingSpec, rules: Sequence[Rule]) -> tuple[str | None, str | None, str | None]:
    """Name the columns of the signals to buy, sell and weigh by."""
    deciding = _deciding(rules)
    outputs = [name for rule in rules for name in rule.outputs]
    flags = [name for rule in deciding for name in rule.outputs]
    problems = [
        f"{key} {name!r} is no column that signal_sets make; use one of {', '.join(legal) or '(none there)'}"
        for key, legal in ((BUY, flags), (SELL, flags), (SCORE, outputs))
        if (name := getattr(spec, key)) is not None and name not in legal
    ]
    if spec.direction not in _SIDES:
        problems.append(f"direction must be one of {', '.join(_SIDES)}, found {spec.direction!r}")
    if not deciding:
        problems.append("signal_sets make no buy and sell: add a rule such as threshold_rule")
    if problems:
        raise ConfigError(problems, origin=ORIGIN)
    buy, sell = spec.buy or deciding[-1].outputs[0], spec.sell or deciding[-1].outputs[1]
    opener = sell if spec.direction == "short" else buy
    read = next(rule.inputs[0] for rule in deciding if opener in rule.outputs)
    return buy, sell, spec.score or (read if read in outputs else None)


def _deciding(rules: Sequence[Rule]) -> list[Rule]:
    return [rule for rule in rules if len(rule.outputs) == _FLAG_OUTPUTS]


def _labels_behind(rules: Iterable[Rule], scores: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Give each column the labels whose scores it is made from, in the order they are read."""
    behind: dict[str, tuple[str, ...]] = {score: (label,) for score, label in scores.items()}
    for rule in rules:
        labels = tuple(dict.fromkeys(label for name in rule.inputs for label in behind.get(name, ())))
        behind |= dict.fromkeys(rule.outputs, labels)
    return behind


def _values(
    spec: TradingSpec, labels: Mapping[str, LabelFacts], *, sides: Sequence[Literal["long", "short"]]
) -> dict[str, Any]:
    """Return the three values, from the spec or else from the labels; raise ConfigError where that fails."""
    values = {key: getattr(spec, key) for key in _KEYS}
    problems = []
    for key in (key for key in _KEYS if values[key] is None):
        said = {
            side: {
                name: value
                for name, facts in labels.items()
                if facts.side == side and (value := getattr(facts, key)) is not None
            }
            for side in sides
        }
        silent = [side for side in sides if not said[side]]
        found = {name: value for side in sides for name, value in said[side].items()}
        if silent:
            problems.append(
                f"{key} is not set, and no label behind the signals ({', '.join(labels) or 'none found'}) "
                f"gives one for {' and '.join(silent)} positions: set {key} in paper_trading"
            )
        elif len(set(found.values())) > 1:
            listed = ", ".join(f"{name} {value:g}" for name, value in found.items())
            problems.append(
                f"{key} is not set, and the labels behind the signals disagree ({listed}): "
                f"set {key} in paper_trading"
            )
        else:
            values[key] = next(iter(found.values()))
    if problems:
        raise ConfigError(problems, origin=ORIGIN)
    return values


def _rule(
    spec: TradingSpec,
    *,
    direction: Literal["long", "short", "both"],
    columns: tuple[str | None, str | None, str | None],
    values: Mapping[str, Any],
    opposite: bool | None = None,
) -> TradingRule:
    buy, sell, score = columns
    return TradingRule(
        direction=direction,
        buy=buy,
        sell=sell,
        score=score,
        **values,
        fee_pct=spec.fee_pct,
        slippage_pct=spec.slippage_pct,
        notional=spec.notional,
        max_positions=spec.max_positions,
        exit_on_opposite=spec.exit_on_opposite if opposite is None else opposite,
    )
