"""Whether every row of a matrix holds what its parts hold at that time: klines, features, labels.

Which rows to look at, and what a fault means for a run, belongs to the callers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.klines import open_times_ns

MAX_SHIFT_ROWS = 60
"""How far rows are looked for that a column could have been joined to by mistake."""

FEWEST_CHANGES = 10
"""A column that follows a label through fewer changes of its value may do so by chance."""

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JoinFault:
    """One column that does not hold what it should, or holds what it must not.

    `rows` of the `compared` ones are wrong. `what` says it in words; `shift_rows` is set when every row of
    the column holds the value that many rows later (negative: earlier), `label` when it holds that label.
    """

    column: str
    what: str
    rows: int
    compared: int
    first_time: pd.Timestamp | None = None
    shift_rows: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        """Say it in one line, for a check's message."""
        since = "" if self.first_time is None else f", first at {self.first_time}"
        return f"{self.column}: {self.what}, {self.rows} of {self.compared} rows{since}{self._because()}"

    def _because(self) -> str:
        if self.label is not None:
            return f": it is the label {self.label}"
        if self.shift_rows is None:
            return ""
        rows, way = abs(self.shift_rows), "later" if self.shift_rows > 0 else "earlier"
        return f": it holds the values of {rows} row{'s' if rows > 1 else ''} {way}"


def find_join_faults(
    matrix: pd.DataFrame, parts: Mapping[str, pd.DataFrame], *, labels: Collection[str]
) -> list[JoinFault]:
    """Compare a matrix with its parts, each by name with `timestamp` first; equal is equal bit for bit.

    Found are: times that a part does not have; columns that are missing, of no part, or differ from their
    part at the same time; and features that tell a label, wherever they come from. `labels` are the columns
    that hold what comes later. Rows of the parts around those of the matrix serve to explain shifts.
    """
    times = open_times_ns(matrix)
    answers = {name: _floats(matrix[name]) for name in labels if name in matrix.columns}
    faults: list[JoinFault] = []
    for name, part in parts.items():
        places = _places(open_times_ns(part), times)
        faults += _absent_times(matrix, name, places)
        faults += [
            JoinFault(column, "it is missing", len(matrix), len(matrix))
            for column in part.columns
            if column not in matrix.columns
        ]
        for column in part.columns[1:]:
            if column in matrix.columns:
                fault = _difference(matrix, name, part[column], places, answers)
                faults += [] if fault is None else [fault]
    known = {column for part in parts.values() for column in part.columns}
    faults += [
        JoinFault(str(column), f"it is in none of {', '.join(parts)}", len(matrix), len(matrix))
        for column in matrix.columns
        if column not in known
    ]
    blamed = {fault.column for fault in faults if fault.label is not None}
    return [*faults, *(copy for copy in _copies(matrix, answers, labels) if copy.column not in blamed)]


def _places(there: Positions, wanted: Positions) -> Positions:
    """Return where each wanted time is among sorted times, -1 where it is not."""
    places = np.searchsorted(there, wanted)
    inside = places < len(there)
    found = np.zeros(len(wanted), dtype=np.bool_)
    found[inside] = there[places[inside]] == wanted[inside]
    return np.where(found, places, -1)


def _absent_times(matrix: pd.DataFrame, part: str, places: Positions) -> Iterator[JoinFault]:
    absent = np.flatnonzero(places < 0)
    if len(absent):
        first = matrix["timestamp"].iloc[int(absent[0])]
        yield JoinFault("timestamp", f"not a time of {part}", len(absent), len(places), first)


def _difference(
    matrix: pd.DataFrame, part: str, expected: pd.Series, places: Positions, answers: Mapping[str, Floats]
) -> JoinFault | None:
    """Return how a column differs from its part, and why where that can be told."""
    column = str(expected.name)
    found, values = _floats(matrix[column]), _floats(expected)
    here = np.flatnonzero(places >= 0)
    wrong = here[~_same(found[here], values[places[here]])]
    if not len(wrong):
        return None
    span = here[(here >= wrong[0]) & (here <= wrong[-1])]
    return JoinFault(
        column,
        f"not what {part} holds at the same time",
        len(wrong),
        len(here),
        matrix["timestamp"].iloc[int(wrong[0])],
        shift_rows=_shift(found[span], values, places[span]),
        label=None if column in answers else _label_told(found, answers),
    )


def _shift(found: Floats, values: Floats, places: Positions) -> int | None:
    """Return the nearest shift under which all rows agree that lie inside the part, at least half of them."""
    for distance in range(1, MAX_SHIFT_ROWS + 1):
        for shift in (distance, -distance):
            moved = places + shift
            inside = (moved >= 0) & (moved < len(values))
            if 2 * inside.sum() > len(places) and _same(found[inside], values[moved[inside]]).all():
                return shift
    return None


def _copies(
    matrix: pd.DataFrame, answers: Mapping[str, Floats], labels: Collection[str]
) -> Iterator[JoinFault]:
    for column in matrix.columns[1:]:
        if column not in labels:
            label = _label_told(_floats(matrix[column]), answers)
            if label is not None:
                yield JoinFault(
                    str(column), "it tells what comes later", len(matrix), len(matrix), label=label
                )


def _label_told(found: Floats, answers: Mapping[str, Floats]) -> str | None:
    """Return the label that a column of two values is equal to, or opposite to, wherever both are known."""
    known = found[~np.isnan(found)]
    if not len(known) or not ((known == known.min()) | (known == known.max())).all():
        return None
    high = found == known.max()
    for label, answer in answers.items():
        both = ~np.isnan(found) & ~np.isnan(answer)
        told, truth = high[both], answer[both] == 1.0
        changes = np.count_nonzero(truth[1:] != truth[:-1])
        if changes >= FEWEST_CHANGES and ((told == truth).all() or (told != truth).all()):
            return label
    return None


def _same(left: Floats, right: Floats) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (left == right) | (np.isnan(left) & np.isnan(right))
    return same


def _floats(column: pd.Series) -> Floats:
    """Return a column as numbers; NaN stands for unknown, 1 for true."""
    if str(column.dtype) == "boolean":
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.to_numpy(np.float64)
