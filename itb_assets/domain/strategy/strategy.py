"""A strategy as a value: what its file asks for, frozen, with nothing left to look up in the file.

Reading and checking the file belong to its neighbours, doing what it asks to the rooms it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from itb_assets.domain.specs import (
    AlgorithmSpec,
    CrossValidationSpec,
    Dialect,
    GeneratorSpec,
    TradingSpec,
    WalkForwardSpec,
)


@dataclass(frozen=True)
class Strategy:
    """One variant: how its features, labels, models and signals are made."""

    variant: str
    origin: str
    """The file it was read from."""
    digest: str
    """sha256 of the file's text."""
    description: str
    dialect: Dialect
    feature_sets: tuple[GeneratorSpec, ...]
    label_sets: tuple[GeneratorSpec, ...]
    signal_sets: tuple[GeneratorSpec, ...]
    train_features: tuple[str, ...]
    """Features in the order the models take them."""
    labels: tuple[str, ...]
    algorithms: tuple[AlgorithmSpec, ...]
    label_horizon: int
    """Rows at the end that no model is trained on, because their labels may still change."""
    features_horizon: int
    train_length: int | None
    """Most rows a model is trained on; None means all."""
    walk_forward: WalkForwardSpec
    cross_validation: CrossValidationSpec | None = None
    """Asks for k-fold evidence beside the walk-forward one."""
    trading: TradingSpec = field(default_factory=TradingSpec)
    """How signals become positions on paper."""
    unused: tuple[str, ...] = ()
    """Keys that were accepted and have no effect here, each as `line:column key`."""

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the score columns: every label with every algorithm."""
        return tuple(f"{label}_{algorithm.name}" for label in self.labels for algorithm in self.algorithms)
