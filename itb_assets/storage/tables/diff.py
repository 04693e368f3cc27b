"""Which rows of a frame are not those that are stored: by time, and bit by bit.

Where either lies does not matter here; what is then written belongs to `write`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from itb_assets.storage.files.dtypes import TIME, from_ns

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Difference:
    """Rows of the new frame that are not stored like that, and times that are stored and no longer there."""

    new: Bools
    altered: Bools
    vanished: Ints
    first: pd.Timestamp
    """The earliest time that was added, altered or removed."""

    @property
    def rows(self) -> int:
        """How many rows have to travel."""
        return int((self.new | self.altered).sum())


def difference(stored: pl.DataFrame, fresh: pl.DataFrame) -> Difference | None:
    """Compare two tables of the same columns, both in the order of their times; None where they are equal."""
    old, new = _times(stored), _times(fresh)
    known, altered = _compare(stored, old, fresh, new)
    vanished = old[~_found(old, new)] if len(old) > known.sum() else old[:0]
    touched = ~known | altered
    if not touched.any() and not len(vanished):
        return None
    earliest = [int(new[touched.argmax()])] if touched.any() else []
    earliest += [int(vanished[0])] if len(vanished) else []
    return Difference(~known, altered, vanished, from_ns(min(earliest)))


def _compare(stored: pl.DataFrame, old: Ints, fresh: pl.DataFrame, new: Ints) -> tuple[Bools, Bools]:
    """Tell which new rows have a stored one of their time, and which of these say something else."""
    known = _found(new, old)
    altered = np.zeros(len(new), dtype=bool)
    if not known.any():
        return known, altered
    place = np.searchsorted(old, new[known])
    differs = np.zeros(len(place), dtype=bool)
    whole = bool(known.all())
    first, rows = int(place[0]), len(place)
    together = int(place[-1]) - first + 1 == rows
    for column in fresh:
        if column.name == TIME:
            continue
        left = stored[column.name]
        left = left.slice(first, rows) if together else left.gather(place)
        right = column if whole else column.filter(pl.Series(known))
        differs |= _differs(left, right)
    altered[known] = differs
    return known, altered


def _differs(left: pl.Series, right: pl.Series) -> Bools:
    if right.dtype == pl.Float64:  # by their bits: 0.0 equals -0.0, yet they are not the same
        return np.asarray(left.to_numpy().view(np.int64) != right.to_numpy().view(np.int64))
    return left.ne_missing(right).to_numpy()


def _times(table: pl.DataFrame) -> Ints:
    return np.asarray(table[TIME].to_physical().to_numpy(), dtype=np.int64)


def _found(times: Ints, among: Ints) -> Bools:
    """Tell which sorted times are among other sorted ones."""
    if not len(among) or not len(times):
        return np.zeros(len(times), dtype=bool)
    if len(times) == len(among) and np.array_equal(times, among):
        return np.ones(len(times), dtype=bool)
    place = np.minimum(np.searchsorted(among, times), len(among) - 1)
    found: Bools = among[place] == times
    return found
