"""Tops and bottoms of a series: the points from which it falls, or rises, by a level on both sides.

Only the search lives here; which rows around such a point are labelled belongs to `topbot`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb_assets.domain.labels.group import Bools, Floats

_FIRST_STRIDE = 64


@dataclass(frozen=True)
class Extreme:
    """One top or bottom at row `at`.

    `left` and `right` are the nearest rows on either side that lie beyond the level; `first` and `last`
    bound the stretch of rows in which it was searched and found to be the extreme.
    """

    at: int
    left: int
    right: int
    first: int
    last: int


@dataclass(frozen=True)
class Ridge:
    """A series seen so that its extremes are maxima: bottoms are the tops of the negated series."""

    values: Floats
    filled: Floats
    is_top: bool

    @classmethod
    def of(cls, values: Floats, *, is_top: bool) -> Ridge:
        """Negate the values where bottoms are asked for; NaN is never an extreme and never beyond a level."""
        seen = values if is_top else -values
        return cls(seen, np.where(np.isnan(seen), -np.inf, seen), is_top)

    def beyond(self, row: int, fraction: float) -> float:
        """Return the value below which a row lies further than `fraction` from the extreme at `row`."""
        value = float(self.values[row])
        return value * (1 - fraction) if self.is_top else value / (1 - fraction)

    def last_below(self, limit: float, first: int, stop: int) -> int | None:
        """Return the last row in [first, stop) whose value is under `limit`."""
        stride = _FIRST_STRIDE
        while stop > first:
            start = max(first, stop - stride)
            found: Bools = self.values[start:stop] < limit
            if found.any():
                return stop - 1 - int(found[::-1].argmax())
            stop, stride = start, stride * 4
        return None

    def first_below(self, limit: float, first: int, stop: int) -> int | None:
        """Return the first row in [first, stop) whose value is under `limit`."""
        stride = _FIRST_STRIDE
        while first < stop:
            end = min(stop, first + stride)
            found: Bools = self.values[first:end] < limit
            if found.any():
                return first + int(found.argmax())
            first, stride = end, stride * 4
        return None


def find_extremes(ridge: Ridge, level: float, *, zero_is_missing: bool) -> list[Extreme]:
    """Return every extreme, ascending: no row from `left` to `right` exceeds it; of equal rows the first.

    The maximum of a stretch splits it into what lies left of its left level row and right of its right one,
    and both are searched in turn. `zero_is_missing` repeats the old bot, for which row 0 is never a level
    row.
    """
    extremes: list[Extreme] = []
    rows = len(ridge.values)
    stretches = [(0, rows - 1)] if rows and np.isfinite(ridge.filled).any() else []
    while stretches:
        first, last = stretches.pop()
        at = first + int(ridge.filled[first : last + 1].argmax())
        limit = ridge.beyond(at, level)
        left = ridge.last_below(limit, first, at)
        right = ridge.first_below(limit, at + 1, last + 1)
        if zero_is_missing and left == 0:
            left = None
        if left is not None and right is not None:
            extremes.append(Extreme(at, left, right, first, last))
        if left is not None and first < left:
            stretches.append((first, left))
        if right is not None and right < last:
            stretches.append((right, last))
    return sorted(extremes, key=lambda extreme: extreme.at)
