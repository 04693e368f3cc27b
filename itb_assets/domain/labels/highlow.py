"""`highlow`: does the highest high or the lowest low of a horizon go beyond fixed percentages of the close.

Labels with a target and a stop belong to `crossing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from itb_assets.domain.generator_config import GeneratorConfig, Rows, input_name, output_name, read_config
from itb_assets.domain.labels.group import Bools, Floats, LabelValues, Prices
from itb_assets.domain.specs import Dialect, GeneratorSpec

_LARGE_PCT = (1.0, 1.5, 2.0, 2.5, 3.0)
_SMALL_PCT = (0.1, 0.2, 0.3, 0.4, 0.5)


class HighLowConfig(GeneratorConfig):
    """Config of `highlow`: later rows to look at; thresholds and names are fixed."""

    horizon: Rows


@dataclass(frozen=True)
class HighLowLabel:
    """One label: how the extreme of the horizon, in percent of the close, must stand to the threshold."""

    name: str
    extreme: Literal["max_high", "min_low"]
    comparison: Literal[">=", "<="]
    threshold_pct: float


@dataclass(frozen=True)
class HighLowGroup:
    """The twenty fixed labels: `high_10` at least +1.0 %, `high_01` at most +0.1 %, and so for the lows.

    Both dialects look at the next `horizon_rows` rows. `causal`: unknown unless the row and all of them
    exist. `legacy`: False then. Its float columns `high_max_N` and `low_min_N` are quantities, not labels,
    and are left out.
    """

    close: str
    high: str
    low: str
    horizon_rows: int
    labels: tuple[HighLowLabel, ...]
    has_ties: bool = field(default=False, init=False)
    lookback_rows: int = field(default=0, init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Label columns, in the old bot's order."""
        return tuple(label.name for label in self.labels)

    @property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """What decides each label."""
        return {
            label.name: {
                "rule": label.extreme,
                "columns": [self.close, self.high if label.extreme == "max_high" else self.low],
                "comparison": label.comparison,
                "threshold_pct": label.threshold_pct,
                "horizon_rows": self.horizon_rows,
            }
            for label in self.labels
        }

    def compute(self, prices: Prices, dialect: Dialect) -> dict[str, LabelValues]:
        """Return every label of the group over all rows of `prices`."""
        close = prices.column(self.close)
        extremes = {
            "max_high": _relative_pct(_later_max(prices.column(self.high), self.horizon_rows), close),
            "min_low": _relative_pct(-_later_max(-prices.column(self.low), self.horizon_rows), close),
        }
        results = {}
        for label in self.labels:
            values = _compare(extremes[label.extreme], label)
            unknown = None
            if dialect == "causal":
                unknown = prices.unknown((self.close, self.high, self.low), horizon=self.horizon_rows)
                unknown.clear(values)
            results[label.name] = LabelValues(values, unknown)
        return results


def parse_highlow(spec: GeneratorSpec) -> HighLowGroup:
    """Read a `highlow` entry; raise ConfigError listing every mistake."""
    config = read_config(spec, HighLowConfig)
    close, high, low = (input_name(spec, column) for column in ("close", "high", "low"))
    labels = tuple(
        HighLowLabel(output_name(spec, label.name), label.extreme, label.comparison, label.threshold_pct)
        for label in _fixed_labels()
    )
    return HighLowGroup(close, high, low, config.horizon, labels)


def _fixed_labels() -> list[HighLowLabel]:
    """Twenty names in the old bot's order: tenths of a percent in two digits."""
    highs_large = [HighLowLabel(f"high_{pct * 10:02.0f}", "max_high", ">=", pct) for pct in _LARGE_PCT]
    highs_small = [HighLowLabel(f"high_{pct * 10:02.0f}", "max_high", "<=", pct) for pct in _SMALL_PCT]
    lows_small = [HighLowLabel(f"low_{pct * 10:02.0f}", "min_low", ">=", -pct) for pct in _SMALL_PCT]
    lows_large = [HighLowLabel(f"low_{pct * 10:02.0f}", "min_low", "<=", -pct) for pct in _LARGE_PCT]
    return highs_large + highs_small + lows_small + lows_large


def _later_max(values: Floats, horizon: int) -> Floats:
    """Return the maximum over rows t+1 to t+horizon; NaN where one of them is missing."""
    result = np.full(len(values), np.nan)
    if len(values) > horizon:
        trailing = pd.Series(values).rolling(horizon).max().to_numpy()
        result[:-horizon] = trailing[horizon:]
    return result


def _relative_pct(values: Floats, close: Floats) -> Floats:
    """Return the distance from the close in percent, rounded in the old bot's order of operations."""
    return 100.0 * (values - close) / close


def _compare(distance_pct: Floats, label: HighLowLabel) -> Bools:
    if label.comparison == ">=":
        return distance_pct >= label.threshold_pct
    return distance_pct <= label.threshold_pct
