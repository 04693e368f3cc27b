"""Frozen values a strategy hands to the rooms that compute: generators, algorithms, walk-forward windows.

Parsing them from a file belongs to `domain.strategy`; what a generator's config means belongs to the
room that computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dialect = Literal["causal", "legacy"]
"""`causal`: no look-ahead, unknown is NaN. `legacy`: bit-exact with the old bot, faults included."""


@dataclass(frozen=True)
class GeneratorSpec:
    """One entry of `feature_sets`, `label_sets` or `signal_sets`."""

    generator: str
    config: Mapping[str, Any] = field(default_factory=dict)
    column_prefix: str = ""
    feature_prefix: str = ""


@dataclass(frozen=True)
class AlgorithmSpec:
    """One entry of `algorithms`: a score column is named `{label}_{name}`, so `name` holds no underscore."""

    name: str
    algo: str
    params: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WalkForwardSpec:
    """The last `folds` x `window_rows` rows, each window scored by a model fitted on earlier rows only."""

    folds: int = 4
    window_rows: int = 4032
    min_train_rows: int = 1000
