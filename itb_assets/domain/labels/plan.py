"""The compiled labels of a strategy: names and definitions before any data, values from data.

Single generators belong to their own modules; reading a strategy's file belongs to `domain.strategy`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from itb_assets.domain.labels.group import TIE_SUFFIX, Bools, LabelGroup, LabelValues, Prices
from itb_assets.domain.labels.registry import parse
from itb_assets.domain.specs import Dialect, GeneratorSpec
from itb_assets.errors import ConfigError


@dataclass(frozen=True)
class LabelPlan:
    """What a strategy's label_sets compute, in one dialect."""

    groups: tuple[LabelGroup, ...]
    dialect: Dialect

    @property
    def names(self) -> tuple[str, ...]:
        """Labels in the order of the config, without ties."""
        return tuple(name for group in self.groups for name in group.names)

    @property
    def ties(self) -> tuple[str, ...]:
        """Columns that mark same-candle ties; none in the legacy dialect."""
        if self.dialect == "legacy":
            return ()
        return tuple(f"{name}{TIE_SUFFIX}" for group in self.groups if group.has_ties for name in group.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that `compute` gives beside the timestamp: the labels, then their ties."""
        return self.names + self.ties

    @property
    def horizon_rows(self) -> int:
        """Later rows that a label depends on, of the longest label; 0 where there is none."""
        return max((group.horizon_rows for group in self.groups), default=0)

    @property
    def lookback_rows(self) -> int:
        """Earlier rows that a label depends on: what an update needs before its first new row."""
        return max((group.lookback_rows for group in self.groups), default=0)

    @property
    def definitions(self) -> dict[str, str]:
        """Give each label the canonical text of all that decides its values; equal texts, equal values."""
        return {
            name: json.dumps(
                {"dialect": self.dialect, **facts}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
            )
            for group in self.groups
            for name, facts in group.definitions.items()
        }

    @property
    def digest(self) -> str:
        """Fingerprint of all definitions, as sha256 in hex."""
        text = json.dumps(self.definitions, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def joined(self, other: LabelPlan) -> LabelPlan:
        """Return a plan of everything both compute, what they share once; its names are this plan's first.

        Raises ConfigError naming the labels that the two define differently.
        """
        mine, theirs = self.definitions, other.definitions
        differing = [name for name in theirs if mine.get(name, theirs[name]) != theirs[name]]
        if differing:
            raise ConfigError([f"label {name} is defined in two ways: rename one" for name in differing])
        parts = (
            _part(group, tuple(name for name in group.names if name not in mine)) for group in other.groups
        )
        return LabelPlan((*self.groups, *(part for part in parts if part.names)), self.dialect)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Return `timestamp` and every column of the plan for every row of a data frame.

        Columns are pandas `boolean`, NA where unknown (columns share their masks, which are therefore
        read-only); the legacy dialect knows no NA. `data` is on the full grid with a missing kline as a row
        of NaN, and is not changed. Raise DataContractError where a column that a label reads is absent.
        """
        prices = Prices(data)
        known = _read_only_zeros(len(data))
        labels: dict[str, pd.arrays.BooleanArray] = {}
        ties: dict[str, pd.arrays.BooleanArray] = {}
        for group in self.groups:
            for name, result in group.compute(prices, self.dialect).items():
                mask = known if result.unknown is None else result.unknown.mask
                labels[name] = pd.arrays.BooleanArray(result.values, mask)
                if result.tie is not None:
                    ties[f"{name}{TIE_SUFFIX}"] = pd.arrays.BooleanArray(result.tie, mask)
        columns = {"timestamp": data["timestamp"].array.copy(), **labels, **ties}
        return pd.DataFrame(columns, index=data.index, copy=False)


@dataclass(frozen=True)
class _Part:
    """Some of the labels of a group."""

    group: LabelGroup
    names: tuple[str, ...]

    @property
    def has_ties(self) -> bool:
        return self.group.has_ties

    @property
    def horizon_rows(self) -> int:
        return self.group.horizon_rows

    @property
    def lookback_rows(self) -> int:
        return self.group.lookback_rows

    @property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: self.group.definitions[name] for name in self.names}

    def compute(self, prices: Prices, dialect: Dialect) -> Mapping[str, LabelValues]:
        values = self.group.compute(prices, dialect)
        return {name: values[name] for name in self.names}


def _part(group: LabelGroup, names: tuple[str, ...]) -> LabelGroup:
    return group if names == group.names else _Part(group, names)


def compile_labels(specs: Sequence[GeneratorSpec], *, dialect: Dialect) -> LabelPlan:
    """Compile label_sets; raise ConfigError listing every mistake and every name given twice."""
    groups: list[LabelGroup] = []
    problems: list[str] = []
    for spec in specs:
        try:
            groups.append(parse(spec))
        except ConfigError as error:
            problems += error.problems
    plan = LabelPlan(tuple(groups), dialect)
    for column, count in Counter(plan.columns).items():
        if count > 1:
            problems.append(
                f"label column {column!r} is generated {count} times: give each a name of its own"
            )
    if problems:
        raise ConfigError(problems, origin="label_sets")
    return plan


def _read_only_zeros(rows: int) -> Bools:
    """Return the mask of a column without unknown rows."""
    mask = np.zeros(rows, dtype=np.bool_)
    mask.flags.writeable = False
    return mask
