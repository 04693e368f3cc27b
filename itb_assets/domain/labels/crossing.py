"""`highlow2`: does the price reach a threshold before it moves against it, within a horizon.

The arithmetic of touching lies in `kernel`; here are the config, the rule for missing klines and both
dialects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from itb_assets.domain.generator_config import (
    GeneratorConfig,
    Names,
    Number,
    Numbers,
    Rows,
    input_name,
    output_name,
    read_config,
)
from itb_assets.domain.labels.group import Bools, Floats, LabelValues, Prices
from itb_assets.domain.labels.kernel import Lines, first_touches
from itb_assets.domain.specs import Dialect, GeneratorSpec

_COLUMN_COUNT = 3  # close, high, low
_CHUNK_CELLS = 4_000_000


class CrossingConfig(GeneratorConfig):
    """Config of `highlow2`: thresholds in percent of the close, tolerance as a fraction of the threshold."""

    columns: Names
    function: Literal["high", "low"]
    thresholds: Numbers
    tolerance: Number
    horizon: Rows
    names: Names

    @model_validator(mode="after")
    def _check(self) -> CrossingConfig:
        """Refuse lines that do not exist and names that do not match."""
        problems = list(self._breaches())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _breaches(self) -> Iterable[str]:
        if len(self.columns) != _COLUMN_COUNT:
            yield f"columns must name close, high and low, found {self.columns}"
        if len(self.names) != len(self.thresholds):
            yield f"one name for each threshold: found {len(self.names)} names for {len(self.thresholds)}"
        if any(stop_pct(threshold, self.tolerance) >= 0 for threshold in self.thresholds):
            yield (
                f"thresholds {self.thresholds} with tolerance {self.tolerance} leave no stop: "
                "neither may be 0, and the tolerance is a positive fraction of the threshold, such as 0.05"
            )


class AggressiveConfig(CrossingConfig):
    """Config of the old bot's own label module: as `highlow2`, with a tolerance of 0.05 by default."""

    tolerance: Number = 0.05


def stop_pct(threshold_pct: float, tolerance: float) -> float:
    """Return the negative percent at which an upward label is lost: a fraction of its threshold, rounded.

    >>> stop_pct(0.4, 0.05)  # five percent of 0.4 %, not 0.05 %
    -0.02
    """
    return round(-abs(threshold_pct) * tolerance, 6)


@dataclass(frozen=True)
class CrossingLabel:
    """One label; percents are positive for `high` and negative for `low`, the stop on the other side."""

    name: str
    threshold_pct: float
    stop_pct: float

    @property
    def lines(self) -> Lines:
        """Both lines as factors of the close, rounded the way the old bot rounds them."""
        return Lines(target=1 + self.threshold_pct / 100.0, stop=1 + self.stop_pct / 100.0)


@dataclass(frozen=True)
class CrossingGroup:
    """The labels of one `highlow2` entry: same columns, direction and horizon, several thresholds.

    A label is True where, within the next `horizon_rows` rows, `ahead` goes beyond the threshold before
    `behind` goes beyond the stop; both are strict and relative to `close` of the row itself.

    `causal`: unknown unless the row itself and all `horizon_rows` later rows exist, even where the outcome
    would be decided before a gap, so that the rows with an answer are never chosen by their answer. Both
    lines touched first in one candle: False, and `{name}_tie` is True, for a candle does not tell which
    came first. `legacy`: such a tie counts as won, the last `horizon_rows` rows are False, and a row whose
    own close, or whose next price, is missing counts as if the line had been touched at once.
    """

    close: str
    ahead: str
    behind: str
    horizon_rows: int
    labels: tuple[CrossingLabel, ...]
    has_ties: bool = field(default=True, init=False)
    lookback_rows: int = field(default=0, init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Label columns, in the order of the config."""
        return tuple(label.name for label in self.labels)

    @property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """What decides each label."""
        return {
            label.name: {
                "rule": "first_touch",
                "columns": [self.close, self.ahead, self.behind],
                "threshold_pct": label.threshold_pct,
                "stop_pct": label.stop_pct,
                "horizon_rows": self.horizon_rows,
            }
            for label in self.labels
        }

    def compute(self, prices: Prices, dialect: Dialect) -> dict[str, LabelValues]:
        """Return every label of the group over all rows of `prices`."""
        columns = (self.close, self.ahead, self.behind)
        close, ahead, behind = map(prices.column, columns)
        lines = [label.lines for label in self.labels]
        reached, ties = first_touches(close, ahead, behind, lines, self.horizon_rows)
        if dialect == "causal":
            unknown = prices.unknown(columns, horizon=self.horizon_rows)
            np.greater(reached, ties, out=reached)  # a tie is resolved against us
            unknown.clear(reached), unknown.clear(ties)
            results = zip(self.names, reached, ties, strict=True)
            return {name: LabelValues(won, unknown, tie) for name, won, tie in results}
        if any(map(prices.has_missing, columns)):
            for values, pair in zip(reached, lines, strict=True):
                _legacy_gaps(close, ahead, behind, pair, self.horizon_rows, values)
        return dict(zip(self.names, map(LabelValues, reached), strict=True))


def parse_crossing(spec: GeneratorSpec) -> CrossingGroup:
    """Read a `highlow2` entry; raise ConfigError listing every mistake."""
    return _group(spec, read_config(spec, CrossingConfig))


def parse_aggressive(spec: GeneratorSpec) -> CrossingGroup:
    """Read an entry of the old bot's own label module, `highlow2` under another name."""
    return _group(spec, read_config(spec, AggressiveConfig))


def _group(spec: GeneratorSpec, config: CrossingConfig) -> CrossingGroup:
    close, high, low = (input_name(spec, column) for column in config.columns)
    sign = 1 if config.function == "high" else -1
    labels = tuple(
        CrossingLabel(
            name=output_name(spec, name),
            threshold_pct=float(sign * abs(threshold)),
            stop_pct=sign * stop_pct(threshold, config.tolerance),
        )
        for name, threshold in zip(config.names, config.thresholds, strict=True)
    )
    ahead, behind = (high, low) if config.function == "high" else (low, high)
    return CrossingGroup(close, ahead, behind, config.horizon, labels)


def _legacy_gaps(
    close: Floats, ahead: Floats, behind: Floats, lines: Lines, horizon: int, reached: Bools
) -> None:
    """Correct `reached` in place to what the old bot makes of missing values.

    It looks for the first True in a comparison and takes "none" for row 0 unless row 0 compares the other
    way, which NaN never does; and it answers only where horizon // 2 closes of the window are present.
    """
    rows = len(close) - horizon
    if rows <= 0:
        return
    absent = np.isnan(close)
    doubtful = absent[:rows] | np.isnan(ahead[1 : rows + 1]) | np.isnan(behind[1 : rows + 1])
    affected = np.flatnonzero(doubtful)
    chunk = max(_CHUNK_CELLS // horizon, 1)
    for start in range(0, len(affected), chunk):
        part = affected[start : start + chunk]
        window = part[:, None] + np.arange(1, horizon + 1)
        first = _legacy_location(ahead[window], close[part] * lines.target, upwards=lines.upwards)
        second = _legacy_location(behind[window], close[part] * lines.stop, upwards=not lines.upwards)
        reached[part] = np.isfinite(first) & (first <= second)
    present = np.concatenate(([0], np.cumsum(~absent)))
    enough = present[horizon + 1 :] - present[:rows] >= horizon // 2
    reached[:rows] &= enough


def _legacy_location(window: Floats, line: Floats, *, upwards: bool) -> Floats:
    """Return where each window first goes beyond its line as the old bot locates it, infinity for nowhere."""
    beyond = window > line[:, None] if upwards else window < line[:, None]
    location: Floats = beyond.argmax(axis=1).astype(np.float64)
    clear = window[:, 0] <= line if upwards else window[:, 0] >= line
    location[(location == 0) & clear] = np.inf
    return location
