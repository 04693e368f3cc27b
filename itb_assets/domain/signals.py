"""Signals: rules that turn the scores of models into one score and into buy and sell, row by row.

A signal looks at its own row and earlier ones, never at prices or labels. Single rules belong to
`signal_rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from itb_assets.domain.signal_rules import RULES, Floats, Rule, parse_rule
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError, DataContractError

Columns = dict[str, NDArray[Any]]


def generator_names() -> tuple[str, ...]:
    """Return the names that `generator` may have in signal_sets."""
    return tuple(RULES)


def output_names(spec: GeneratorSpec) -> tuple[str, ...]:
    """Return the columns that one entry of signal_sets writes; raise ConfigError listing every mistake."""
    return parse_rule(spec).outputs


def lookback_rows(specs: Sequence[GeneratorSpec]) -> int | None:
    """Return the earlier rows a value depends on, through all rules; None where all of them count."""
    depth: dict[str, int] = {}
    for rule in _rules(specs):
        if rule.lookback_rows is None:
            return None
        before = max((depth.get(name, 0) for name in rule.inputs), default=0)
        depth |= dict.fromkeys(rule.outputs, before + rule.lookback_rows)
    return max(depth.values(), default=0)


def compute_signals(scores: pd.DataFrame, specs: Sequence[GeneratorSpec]) -> pd.DataFrame:
    """Return `timestamp` and every output of signal_sets for every row of `scores`.

    Rules apply in order and may read what earlier ones wrote. Scores are float64, NaN where unknown; buy
    and sell are bool, False where their score is unknown. `scores` is not changed. Raise ConfigError for
    wrong entries and DataContractError where a column that a rule reads is absent.
    """
    known: Columns = {}
    written: Columns = {}
    for rule in _rules(specs):
        inputs = [_read(scores, known, name) for name in rule.inputs]
        written |= dict(zip(rule.outputs, map(_unsigned_zero, rule.compute(inputs)), strict=True))
        known |= written
    return pd.DataFrame({"timestamp": scores["timestamp"].array.copy(), **written}, index=scores.index)


def _unsigned_zero(values: NDArray[Any]) -> NDArray[Any]:
    """Return -0.0 as 0.0: a score of nothing has no sign, and JSON in a database keeps none."""
    return values if values.dtype == np.bool_ else values + 0.0


def _read(scores: pd.DataFrame, known: Columns, name: str) -> Floats:
    """Return a column as float64, from earlier rules or from the frame."""
    if name not in known:
        if name not in scores.columns:
            raise DataContractError(
                f"signals need the column {name!r}, found only {', '.join(map(str, scores.columns))}: "
                "correct `columns` in signal_sets, or train the model that gives this score"
            )
        known[name] = scores[name].to_numpy(dtype=np.float64)
    return known[name].astype(np.float64, copy=False)


def _rules(specs: Sequence[GeneratorSpec]) -> list[Rule]:
    """Parse all entries; raise ConfigError listing every mistake and every output written twice."""
    rules: list[Rule] = []
    problems: list[str] = []
    for spec in specs:
        try:
            rules.append(parse_rule(spec))
        except ConfigError as error:
            problems += error.problems
    outputs = Counter(name for rule in rules for name in rule.outputs)
    problems += [
        f"signal column {name!r} is generated {count} times: give each a name of its own"
        for name, count in outputs.items()
        if count > 1
    ]
    if problems:
        raise ConfigError(problems, origin="signal_sets")
    return rules
