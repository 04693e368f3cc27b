"""What every label generator gives back, and the price columns it reads.

How a label is decided does not belong here: that is `crossing`, `highlow` and `topbot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from itb_assets.domain.specs import Dialect
from itb_assets.errors import DataContractError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TIE_SUFFIX = "_tie"


@dataclass(frozen=True)
class Unknown:
    """Rows without an answer: a read-only mask, which columns share, and the stretches it is made of."""

    mask: Bools
    spans: tuple[slice, ...]

    def clear(self, values: Bools) -> Bools:
        """Set the unknown rows of `values`, along its last axis, to False in place, and return it."""
        for span in self.spans:
            values[..., span] = False
        return values


@dataclass(frozen=True)
class LabelValues:
    """One label over all rows; `unknown` rows hold no answer, whatever `values` says there."""

    values: Bools
    unknown: Unknown | None = None
    tie: Bools | None = None


class LabelGroup(Protocol):
    """The labels of one entry of `label_sets`.

    `definitions` gives each name the facts that decide its values, as plain JSON values.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Label columns, in the order of the config."""
        ...

    @property
    def has_ties(self) -> bool:
        """Whether the causal dialect marks same-candle ties of these labels in `{name}_tie`."""
        ...

    @property
    def horizon_rows(self) -> int:
        """Later rows that a value of the causal dialect depends on."""
        ...

    @property
    def lookback_rows(self) -> int:
        """Earlier rows that a value of the causal dialect depends on."""
        ...

    @property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """What decides each label, as JSON values."""
        ...

    def compute(self, prices: Prices, dialect: Dialect) -> Mapping[str, LabelValues]:
        """Return every label of the group over all rows of `prices`."""
        ...


@dataclass(frozen=True)
class Prices:
    """The numeric columns of one data frame; each is converted once, the rows around gaps are found once."""

    data: pd.DataFrame
    _values: dict[str, Floats] = field(default_factory=dict)
    _unknown: dict[tuple[frozenset[str], int, int], Unknown] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.data)

    def column(self, name: str) -> Floats:
        """Return a column as float64; raise DataContractError where the frame has none of that name."""
        if name not in self._values:
            if name not in self.data.columns:
                raise DataContractError(
                    f"labels need the column {name!r}, found only {', '.join(map(str, self.data.columns))}: "
                    "correct `columns` or `column_prefix` in label_sets"
                )
            self._values[name] = self.data[name].to_numpy(dtype=np.float64)
        return self._values[name]

    def has_missing(self, name: str) -> bool:
        """Tell whether any row of a column is missing."""
        return _has_nan(self.column(name))

    def unknown(self, names: tuple[str, ...], *, horizon: int, lookback: int = 0) -> Unknown:
        """Find each row t unless all of rows t-lookback to t+horizon exist and hold all of these columns."""
        key = (frozenset(names), horizon, lookback)
        if key not in self._unknown:
            columns = [self.column(name) for name in names]
            self._unknown[key] = _near_missing(columns, horizon, lookback)
        return self._unknown[key]


def _has_nan(values: Floats) -> bool:
    """Tell whether any value is NaN: then, and only then unless infinities cancel, their sum is."""
    return bool(np.isnan(values.sum()))


def _near_missing(columns: Sequence[Floats], horizon: int, lookback: int) -> Unknown:
    """Find the rows whose window t-lookback..t+horizon leaves the frame or holds a missing value."""
    rows = len(columns[0])
    missing = np.isnan(columns[0])
    absent = np.empty_like(missing)
    for column in columns[1:]:
        missing |= np.isnan(column, out=absent)
    edges = np.flatnonzero(np.diff(missing, prepend=False, append=False)).reshape(-1, 2).tolist()
    stretches = [(-lookback, 0), *edges, (rows, rows + horizon)]  # what lies outside the frame is missing too
    mask = np.zeros(rows, dtype=np.bool_)
    spans = tuple(slice(max(start - horizon, 0), stop + lookback) for start, stop in stretches)
    for span in spans:
        mask[span] = True
    mask.flags.writeable = False
    return Unknown(mask, spans)
