"""Frozen values a strategy hands to the rooms that compute: generators, algorithms, windows, paper trading.

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
    """The last `folds` x `window_rows` rows, each window scored by a model fitted on earlier rows only.

    `expanding` fits on all earlier rows, `rolling` on the last `train_rows` of them; so does the final fit.
    """

    folds: int = 4
    window_rows: int = 4032
    min_train_rows: int = 1000
    mode: Literal["expanding", "rolling"] = "expanding"
    train_rows: int | None = None


def mode_problems(spec: WalkForwardSpec) -> tuple[str, ...]:
    """Say what does not fit together in `mode`, `train_rows` and `min_train_rows`."""
    if spec.mode == "expanding" and spec.train_rows is not None:
        problem = (
            f"train_rows is {spec.train_rows} and mode 'expanding', which trains on all earlier rows: "
            "expected mode 'rolling', or no train_rows"
        )
        return (problem,)
    if spec.mode == "rolling" and spec.train_rows is None:
        return ("mode is 'rolling' and train_rows is missing: say how many rows every model is trained on",)
    if spec.train_rows is not None and spec.train_rows < spec.min_train_rows:
        problem = (
            f"train_rows is {spec.train_rows} and min_train_rows {spec.min_train_rows}: expected at least as "
            "many; raise train_rows or lower min_train_rows"
        )
        return (problem,)
    return ()


@dataclass(frozen=True)
class CrossValidationSpec:
    """Every row scored once, in `folds` blocks of time, by a model fitted before and after its block.

    Around each block the label horizon is purged; `embargo_rows` more are left out after it.
    """

    folds: int = 5
    embargo_rows: int = 12


@dataclass(frozen=True)
class TradingSpec:
    """How signals become positions on paper: entry at the next kline's open, and the rule that ends them.

    `buy`, `sell` and `score` name columns of the signals; None stands for the last rule's. Percentages are of
    the entry price; `take_profit_pct`, `stop_loss_pct` and `time_limit_rows` of None come from the definition
    of the label. `fee_pct` and `slippage_pct` are charged on each side, `notional` is in quote currency.
    """

    direction: Literal["long", "short", "both"] = "both"
    buy: str | None = None
    sell: str | None = None
    score: str | None = None
    take_profit_pct: float | None = None
    stop_loss_pct: float | None = None
    time_limit_rows: int | None = None
    fee_pct: float = 0.04
    slippage_pct: float = 0.0
    notional: float = 1000.0
    max_positions: int = 1
    exit_on_opposite: bool = False
