"""The matrix as one C-ordered float64 array, checked once, with what is usable in it.

Choosing windows belongs to `walk_forward`; fitting belongs to `train`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.training.protocol import Bools, Floats
from itb_assets.errors import DataContractError

_Item = TypeVar("_Item", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Table:
    """Features as an array (rows x features), row-wise complete or not, and labels with what is known.

    `bar` is the length of one kline: the smallest step between rows.
    """

    timestamps: pd.DatetimeIndex
    bar: pd.Timedelta
    x: Floats
    complete: Bools
    known: dict[str, Bools]
    outcomes: dict[str, Bools]


@dataclass(frozen=True, eq=False)
class UsableRows:
    """Rows with every feature and the label known, packed; labels known on the same rows share one.

    `positions` are the rows' places in the table; `x` is a view of the table where they lie side by side.
    """

    labels: tuple[str, ...]
    positions: npt.NDArray[np.int64]
    x: Floats
    y: dict[str, Bools]


def read_features(frame: pd.DataFrame, features: Sequence[str]) -> Floats:
    """Return the named columns in that order as one C-ordered array; DataContractError lists every breach."""
    problems = [f"feature {name!r} is missing" for name in features if name not in frame.columns]
    if duplicates := sorted({name for name in features if list(features).count(name) > 1}):
        problems.append(f"features {duplicates} are named twice")
    if not features:
        problems.append("no features are named: expected at least one")
    problems += [
        f"feature {name!r} is of type {frame[name].dtype}: expected float64"
        for name in features
        if name in frame.columns and not pd.api.types.is_numeric_dtype(frame[name])
    ]
    if problems:
        raise DataContractError("; ".join(problems))
    x = np.empty((len(frame), len(features)), dtype=np.float64)
    for j, name in enumerate(features):
        x[:, j] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return x


def read_table(matrix: pd.DataFrame, features: Sequence[str], labels: Sequence[str]) -> Table:
    """Check the matrix and turn it into arrays; DataContractError lists every breach."""
    problems = [f"label {name!r} is missing" for name in labels if name not in matrix.columns]
    problems += [
        f"label {name!r} is of type {matrix[name].dtype}: expected boolean"
        for name in labels
        if name in matrix.columns and not pd.api.types.is_bool_dtype(matrix[name])
    ]
    problems += [
        f"label {name!r} is also a feature: a model would read the answer"
        for name in labels
        if name in features
    ]
    problems += _timestamp_problems(matrix)
    if problems:
        raise DataContractError("; ".join(problems))
    x = read_features(matrix, features)
    complete = np.asarray(np.isfinite(x).all(axis=1), dtype=np.bool_)
    odd = x[~complete]
    names = [name for j, name in enumerate(features) if np.isinf(odd[:, j]).any()]
    if names:
        raise DataContractError(f"features {names} hold inf: expected finite values, or NaN for unknown")
    return Table(
        timestamps=pd.DatetimeIndex(matrix["timestamp"]),
        bar=pd.Timedelta(matrix["timestamp"].diff().min()),
        x=x,
        complete=complete,
        known={name: matrix[name].notna().to_numpy(np.bool_) for name in labels},
        outcomes={name: matrix[name].fillna(False).to_numpy(np.bool_) for name in labels},  # noqa: FBT003 - a value
    )


def usable_rows(table: Table) -> Iterator[UsableRows]:
    """Pack the usable rows, once for all labels that are known on the same rows."""
    groups: dict[bytes, list[str]] = {}
    for name, known in table.known.items():
        groups.setdefault(known.tobytes(), []).append(name)
    for names in groups.values():
        positions = np.flatnonzero(table.complete & table.known[names[0]]).astype(np.int64)
        yield UsableRows(
            labels=tuple(names),
            positions=positions,
            x=take(table.x, positions),
            y={name: take(table.outcomes[name], positions) for name in names},
        )


def take(array: npt.NDArray[_Item], positions: npt.NDArray[np.int64]) -> npt.NDArray[_Item]:
    """Return the rows at sorted `positions`: a view where they lie side by side, else a copy."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return array[positions[0] : positions[-1] + 1]
    return array[positions]


def most_unknown(table: Table, features: Sequence[str], count: int = 3) -> str:
    """Name the features with the most unknown rows: what to look at when too few rows are usable."""
    unknown = np.isnan(table.x).sum(axis=0)
    worst = np.argsort(-unknown, kind="stable")[:count]
    return ", ".join(f"{features[j]} ({unknown[j]} rows)" for j in worst if unknown[j])


def _timestamp_problems(matrix: pd.DataFrame) -> list[str]:
    if "timestamp" not in matrix.columns:
        return ["column 'timestamp' is missing"]
    times = matrix["timestamp"]
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        return [f"timestamp is of type {times.dtype}: expected datetime64[ns, UTC]"]
    if not (times.is_monotonic_increasing and times.is_unique):
        return ["timestamp is not sorted and unique: expected one row a kline, oldest first"]
    return []
