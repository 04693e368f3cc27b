"""The rules that `signal_sets` may name: their configs and what each makes of its columns.

Applying several in order belongs to `signals`; what a signal earns belongs to backtests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from itb_assets.domain.generator_config import (
    GeneratorConfig,
    Name,
    Number,
    OneOrMoreNames,
    input_name,
    output_name,
    read_config,
)
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import ConfigError

Floats = NDArray[np.float64]

OneName = Annotated[OneOrMoreNames, Field(max_length=1)]
TwoNames = Annotated[list[Name], Field(min_length=2, max_length=2)]


class SmoothenConfig(GeneratorConfig):
    """Mean of `columns`, made 0 or 1 by `point_threshold`, then averaged over `window` rows.

    An integer window is a moving mean, a float one the span of an exponential mean.
    """

    columns: OneOrMoreNames
    names: Name
    point_threshold: Number | None = None
    window: Annotated[int, Field(ge=1)] | Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None


class CombineConfig(GeneratorConfig):
    """One score in [-1, 1] from a score for a rise and one for a fall."""

    columns: TwoNames
    names: Name
    combine: Literal["relative", "difference", "none"] | None = None
    coefficient: Number | None = None
    constant: Number | None = None


class Thresholds(GeneratorConfig):
    """Buy at or above the one, sell at or below the other."""

    buy_signal_threshold: Number
    sell_signal_threshold: Number


class Thresholds2(Thresholds):
    """The same for a second score."""

    buy_signal_threshold_2: Number
    sell_signal_threshold_2: Number


class ThresholdConfig(GeneratorConfig):
    """Buy and sell by one score; `columns` is a name or a list of one."""

    columns: OneName
    names: TwoNames
    parameters: Thresholds


class Threshold2Config(GeneratorConfig):
    """Buy and sell where two scores agree."""

    columns: TwoNames
    names: TwoNames
    parameters: Thresholds2


@dataclass(frozen=True)
class Rule(ABC):
    """One entry of `signal_sets`: columns read, columns written, earlier rows needed (None: all of them)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def lookback_rows(self) -> int | None:
        """Earlier rows that a value depends on; None where every earlier row counts."""
        return 0

    @abstractmethod
    def compute(self, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Return the outputs in order, given the inputs in order."""


@dataclass(frozen=True)
class Smoothen(Rule):
    """A smoothed score."""

    config: SmoothenConfig

    @property
    def lookback_rows(self) -> int | None:
        """The rows of the window before the row itself."""
        window = self.config.window
        if window is None:
            return 0
        return window - 1 if isinstance(window, int) else None

    def compute(self, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Average over columns, then over rows; what is unknown is left out of both means."""
        score = _row_mean(inputs)
        if self.config.point_threshold:
            reached = (score >= self.config.point_threshold).astype(np.float64)
            score = np.where(np.isnan(score), np.nan, reached)
        window = self.config.window
        if isinstance(window, int):
            return [_moving_mean(score, window)]
        if isinstance(window, float):
            exponential = pd.Series(score).ewm(span=window, min_periods=int(window // 2), adjust=False)
            return [exponential.mean().to_numpy(dtype=np.float64)]
        return [score]


@dataclass(frozen=True)
class Combine(Rule):
    """One score from a score for a rise and one for a fall; NaN where either is."""

    config: CombineConfig

    def compute(self, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Combine row by row, then scale and shift."""
        up, down = inputs
        if self.config.combine == "relative":
            total = up + down
            score = np.divide(up, total, out=np.full(len(up), np.nan), where=total != 0) * 2 - 1.0
        elif self.config.combine == "difference":
            score = up - down
        else:
            score = np.where(up >= down, up, -down)
            score[np.isnan(up) | np.isnan(down)] = np.nan
        if self.config.coefficient:
            score = score * self.config.coefficient
        if self.config.constant:
            score = score + self.config.constant
        return [score]


@dataclass(frozen=True)
class ThresholdRule(Rule):
    """Buy and sell by one score; NaN gives neither."""

    limits: Thresholds

    def compute(self, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Compare, limits included."""
        (score,) = inputs
        return [score >= self.limits.buy_signal_threshold, score <= self.limits.sell_signal_threshold]


@dataclass(frozen=True)
class ThresholdRule2(Rule):
    """Buy and sell where two scores agree; NaN in either gives neither."""

    limits: Thresholds2

    def compute(self, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Compare both, limits included."""
        first, second = inputs
        limits = self.limits
        return [
            (first >= limits.buy_signal_threshold) & (second >= limits.buy_signal_threshold_2),
            (first <= limits.sell_signal_threshold) & (second <= limits.sell_signal_threshold_2),
        ]


def _row_mean(columns: Sequence[Floats]) -> Floats:
    """Return the mean of the known values of each row, NaN where there is none."""
    values = np.stack(columns)
    count = np.count_nonzero(~np.isnan(values), axis=0)
    total: Floats = np.nansum(values, axis=0)
    mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean


def _moving_mean(values: Floats, window: int) -> Floats:
    """Return the mean of the known values among the last `window`, NaN under half a window of them.

    Each row adds its own window, newest first, so that no row carries rounding from before it: the tail of a
    series has, bit for bit, the values of the whole.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    total, count = np.zeros(len(values)), np.zeros(len(values), dtype=np.int64)
    for age in range(min(window, len(values))):
        total[age:] += filled[: len(values) - age]
        count[age:] += known[: len(values) - age]
    enough = count >= max(window // 2, 1)
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=enough)
    return mean


def parse_rule(spec: GeneratorSpec) -> Rule:
    """Return the rule of one entry of signal_sets; raise ConfigError listing every mistake."""
    parser = RULES.get(spec.generator)
    if parser is None:
        raise ConfigError(
            [f"signal generator {spec.generator!r} is not known; use one of {', '.join(RULES)}"]
        )
    return parser(spec)


def _names(
    spec: GeneratorSpec, columns: Sequence[str], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inputs = tuple(input_name(spec, column) for column in columns)
    return inputs, tuple(output_name(spec, name) for name in names)


def _smoothen(spec: GeneratorSpec) -> Rule:
    config = read_config(spec, SmoothenConfig)
    return Smoothen(*_names(spec, config.columns, [config.names]), config)


def _combine(spec: GeneratorSpec) -> Rule:
    config = read_config(spec, CombineConfig)
    return Combine(*_names(spec, config.columns, [config.names]), config)


def _threshold_rule(spec: GeneratorSpec) -> Rule:
    config = read_config(spec, ThresholdConfig)
    return ThresholdRule(*_names(spec, config.columns, config.names), config.parameters)


def _threshold_rule2(spec: GeneratorSpec) -> Rule:
    config = read_config(spec, Threshold2Config)
    return ThresholdRule2(*_names(spec, config.columns, config.names), config.parameters)


RULES: Mapping[str, Callable[[GeneratorSpec], Rule]] = {
    "smoothen": _smoothen,
    "combine": _combine,
    "threshold_rule": _threshold_rule,
    "threshold_rule2": _threshold_rule2,
}
