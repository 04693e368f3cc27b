"""`topbot` and `topbot2`: is a row near a top or a bottom of the price.

The search for tops and bottoms lies in `extremes`; labels of a price reaching a threshold belong to
`crossing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from itb_assets.domain.generator_config import (
    GeneratorConfig,
    Name,
    Names,
    Number,
    Numbers,
    Rows,
    input_name,
    output_name,
    read_config,
)
from itb_assets.domain.labels.extremes import Extreme, Ridge, find_extremes
from itb_assets.domain.labels.group import Bools, LabelValues, Prices
from itb_assets.domain.specs import Dialect, GeneratorSpec

DEFAULT_HORIZON_ROWS = 288
"""One day of 5m klines: how long a top may wait for its fall where the config names no `horizon`."""

_LEVELS = (0.01, 0.02, 0.03, 0.04, 0.05)
_TOLERANCES = {
    "025": 0.0025,
    "05": 0.005,
    "075": 0.0075,
    "1": 0.01,
    "125": 0.0125,
    "15": 0.015,
    "175": 0.0175,
    "2": 0.02,
    "25": 0.025,
    "3": 0.03,
}


class TopBotConfig(GeneratorConfig):
    """Config of `topbot`: the column to search; levels, tolerances and names are fixed."""

    columns: Name = "close"
    horizon: Rows = DEFAULT_HORIZON_ROWS


class TopBot2Config(GeneratorConfig):
    """Config of `topbot2`: level as a fraction of the extreme, tolerances as fractions of the level."""

    columns: Name
    function: Literal["top", "bot"]
    level: Number
    tolerances: Numbers
    names: Names
    horizon: Rows = DEFAULT_HORIZON_ROWS

    @model_validator(mode="after")
    def _check(self) -> TopBot2Config:
        """Refuse a level that is none and names that do not match."""
        problems = list(self._breaches())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _breaches(self) -> Iterable[str]:
        if not 0 < abs(self.level) < 1:
            yield f"level must be a fraction between 0 and 1, such as 0.02 for 2 %, found {self.level}"
        elif any(not 0 <= abs(self.level) * tolerance < 1 for tolerance in self.tolerances):
            yield f"tolerances must be fractions of the level, such as 0.1, found {self.tolerances}"
        if len(self.names) != len(self.tolerances):
            yield f"one name for each tolerance: found {len(self.names)} names for {len(self.tolerances)}"


@dataclass(frozen=True)
class TopBotLabel:
    """One label; `level` and `tolerance` are fractions of the extreme's own value."""

    name: str
    is_top: bool
    level: float
    tolerance: float


@dataclass(frozen=True)
class TopBotGroup:
    """The labels of one `topbot` or `topbot2` entry.

    A top of a level is a row from which the price falls by the level on both sides before it exceeds that
    row; of equal rows the first counts. Bottoms mirror this.

    `causal`: row t is True where, inside rows t-horizon to t+horizon, such a top shows itself complete,
    with its falls on both sides, and t belongs to its neighbourhood: every row from t to the top lies
    within the tolerance, and t lies between the two falls, so a tolerance wider than the level counts as
    the level. The row is unknown unless all of those 2 x horizon + 1 rows exist. A slower top than
    `horizon` is no top: that bounds what the label knows of the future, which the old bot's definition does
    not. `legacy`: the whole series decides on every row, the first rows beyond the tolerance are labelled
    too, row 0 is never a fall, and a tolerance that is not met inside the searched stretch reaches to the
    end of the series. There `horizon_rows` is nominal, for there is no bound.
    """

    column: str
    horizon_rows: int
    labels: tuple[TopBotLabel, ...]
    has_ties: bool = field(default=False, init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Label columns, in the order of the config."""
        return tuple(label.name for label in self.labels)

    @property
    def lookback_rows(self) -> int:
        """Earlier rows that a causal value depends on: as many as later ones."""
        return self.horizon_rows

    @property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """What decides each label."""
        return {
            label.name: {
                "rule": "top" if label.is_top else "bottom",
                "columns": [self.column],
                "level": label.level,
                "tolerance": label.tolerance,
                "horizon_rows": self.horizon_rows,
            }
            for label in self.labels
        }

    def compute(self, prices: Prices, dialect: Dialect) -> dict[str, LabelValues]:
        """Return every label of the group over all rows of `prices`."""
        values = prices.column(self.column)
        ridges = {
            is_top: Ridge.of(values, is_top=is_top) for is_top in {label.is_top for label in self.labels}
        }
        found = {
            (is_top, level): find_extremes(ridges[is_top], level, zero_is_missing=dialect == "legacy")
            for is_top, level in {(label.is_top, label.level) for label in self.labels}
        }
        results = {}
        for label in self.labels:
            ridge, extremes = ridges[label.is_top], found[label.is_top, label.level]
            if dialect == "legacy":
                results[label.name] = LabelValues(_legacy_rows(ridge, extremes, label.tolerance))
                continue
            unknown = prices.unknown((self.column,), horizon=self.horizon_rows, lookback=self.lookback_rows)
            near = _causal_rows(ridge, extremes, label.tolerance, self.horizon_rows)
            results[label.name] = LabelValues(unknown.clear(near), unknown)
        return results


def parse_topbot(spec: GeneratorSpec) -> TopBotGroup:
    """Read a `topbot` entry: tops and bottoms of five levels in ten tolerances."""
    config = read_config(spec, TopBotConfig)
    labels = tuple(
        TopBotLabel(
            name=output_name(spec, f"{side}{number}_{suffix}"),
            is_top=side == "top",
            level=level,
            tolerance=tolerance,
        )
        for suffix, tolerance in _TOLERANCES.items()
        for side in ("top", "bot")
        for number, level in enumerate(_LEVELS, start=1)
    )
    return TopBotGroup(input_name(spec, config.columns), config.horizon, labels)


def parse_topbot2(spec: GeneratorSpec) -> TopBotGroup:
    """Read a `topbot2` entry; raise ConfigError listing every mistake."""
    config = read_config(spec, TopBot2Config)
    level = abs(config.level)
    labels = tuple(
        TopBotLabel(output_name(spec, name), config.function == "top", level, level * tolerance)
        for name, tolerance in zip(config.names, config.tolerances, strict=True)
    )
    return TopBotGroup(input_name(spec, config.columns), config.horizon, labels)


def _causal_rows(ridge: Ridge, extremes: Iterable[Extreme], tolerance: float, horizon: int) -> Bools:
    """Mark the rows that see one of the extremes complete within `horizon` rows on either side."""
    near = np.zeros(len(ridge.values), dtype=np.bool_)
    for extreme in extremes:
        if extreme.right - extreme.left > 2 * horizon:
            continue
        limit = ridge.beyond(extreme.at, tolerance)
        before = ridge.last_below(limit, extreme.left + 1, extreme.at)
        after = ridge.first_below(limit, extreme.at + 1, extreme.right)
        first = extreme.left + 1 if before is None else before + 1
        stop = extreme.right if after is None else after
        near[max(first, extreme.right - horizon) : min(stop, extreme.left + horizon + 1)] = True
    return near


def _legacy_rows(ridge: Ridge, extremes: Iterable[Extreme], tolerance: float) -> Bools:
    """Mark the rows around each extreme up to and including the first ones beyond the tolerance."""
    near = np.zeros(len(ridge.values), dtype=np.bool_)
    for extreme in extremes:
        limit = ridge.beyond(extreme.at, tolerance)
        before = ridge.last_below(limit, extreme.first, extreme.at)
        after = ridge.first_below(limit, extreme.at + 1, extreme.last + 1)
        near[(0 if before is None else before) : (len(near) if after is None else after + 1)] = True
    return near
