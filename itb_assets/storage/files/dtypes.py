"""The border between pandas frames and polars tables: five dtypes, exact both ways.

How a table lies in a file or a database belongs to the modules that write them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from itb_assets.errors import DataContractError

TIME = "timestamp"
"""Every stored frame's first column: sorted, unique, whole seconds, UTC."""

TIME_DTYPE = "datetime64[ns, UTC]"
POLARS_DTYPES: dict[str, pl.DataType] = {
    TIME_DTYPE: pl.Datetime("ns", "UTC"),
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "bool": pl.Boolean(),
    "boolean": pl.Boolean(),
    "str": pl.String(),
}
"""What pandas calls a stored dtype, and what polars calls it; `str` is an object column of text or None."""

Column = np.ndarray[Any, Any] | pd.DatetimeIndex | pd.api.extensions.ExtensionArray
_NAMES = {"object": "str"}
_SECOND_NS = 1_000_000_000


def dtypes_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return column name -> dtype, in order; raise DataContractError naming all that cannot be stored."""
    dtypes = {str(name): _name(dtype) for name, dtype in frame.dtypes.items()}
    problems = [
        f"column {name!r} is {dtype}: expected one of {', '.join(POLARS_DTYPES)}"
        for name, dtype in dtypes.items()
        if dtype not in POLARS_DTYPES
    ]
    problems += [
        f"column name {name!r} is not one line of text" for name in frame.columns if not _one_line(name)
    ]
    if len(dtypes) != len(frame.columns):
        problems.append("a column name appears twice")
    if next(iter(dtypes.items()), None) != (TIME, TIME_DTYPE):
        problems.append(f"the first column is not {TIME!r} of {TIME_DTYPE}")
    if problems:
        raise DataContractError("a frame cannot be stored:\n" + "\n".join(f"  - {p}" for p in problems))
    return dtypes


@functools.lru_cache(maxsize=64)
def _name(dtype: object) -> str:
    return _NAMES.get(str(dtype), str(dtype))


def to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """Return the frame as a polars table, NaN as null; raise DataContractError for what cannot be stored."""
    dtypes = dtypes_of(frame)
    try:
        table = pl.DataFrame(
            [
                _series(column, name, POLARS_DTYPES[dtype])
                for (name, dtype), (_, column) in zip(dtypes.items(), frame.items(), strict=True)
            ]
        )
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataContractError(
            f"a frame cannot be stored: a column of text holds something else: {error}"
        ) from error
    _check_times(table[TIME])
    _check_text(table)
    return table


def _series(column: pd.Series, name: str, dtype: pl.DataType) -> pl.Series:
    """Return one column; floats without NaN and integers share their memory with the frame."""
    if dtype in (pl.Float64, pl.Int64):
        values = column.to_numpy()
        return pl.Series(name, pa.array(values, from_pandas=_holds_nan(values)), dtype=dtype)
    if dtype == pl.String:
        return _text_series(name, column.to_numpy(dtype=object))
    return pl.from_pandas(column, nan_to_null=True).cast(dtype).rename(name)


def _text_series(name: str, values: np.ndarray[Any, Any]) -> pl.Series:
    """Convert text run by run: what a row says is mostly what the row before it said."""
    if not len(values):
        return pl.Series(name, [], dtype=pl.String)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    runs = pl.from_pandas(pd.Series(values[starts], dtype=object), nan_to_null=True).cast(pl.String)
    lengths = np.diff(starts, append=len(values))
    return runs.gather(np.repeat(np.arange(len(starts)), lengths)).rename(name)


def _holds_nan(values: np.ndarray[Any, Any]) -> bool:
    """Tell whether a column has a NaN; a finite sum proves that it has none and costs no array."""
    with np.errstate(over="ignore", invalid="ignore"):
        return not math.isfinite(values.sum()) and bool(np.isnan(values).any())


def to_pandas(
    table: pl.DataFrame, dtypes: Mapping[str, str], *, times: pd.DatetimeIndex | None = None
) -> pd.DataFrame:
    """Return the table's columns as a pandas frame of exactly `dtypes`, null as NaN, NA or None.

    `times` are put first, as the column of the times.
    """
    columns: dict[str, Column] = {} if times is None else {TIME: times}
    columns |= {name: _TO_PANDAS[dtypes[name]](table[name]) for name in table.columns}
    return pd.DataFrame(columns, copy=False)


def first_time(table: pl.DataFrame) -> pd.Timestamp | None:
    """Return the first row's time, or None of an empty table."""
    return from_ns(int(table[TIME].to_physical()[0])) if table.height else None


def last_time(table: pl.DataFrame) -> pd.Timestamp | None:
    """Return the last row's time, or None of an empty table."""
    return from_ns(int(table[TIME].to_physical()[-1])) if table.height else None


def from_ns(value: int) -> pd.Timestamp:
    """Return nanoseconds since the epoch as a UTC time."""
    return pd.Timestamp(value, unit="ns", tz="UTC")


def step_of(times: pl.Series) -> int | None:
    """Return the seconds from each time to the next where they are all the same, or None."""
    values = times.to_physical().to_numpy()
    if len(values) < 2 or values[1] <= values[0]:  # noqa: PLR2004 - two ends make one step
        return None
    step, rest = divmod(int(values[1] - values[0]), _SECOND_NS)
    return step if not rest and bool((np.diff(values) == values[1] - values[0]).all()) else None


def regular_times(first: pd.Timestamp, step_s: int, rows: int) -> pd.DatetimeIndex:
    """Return `rows` times from `first` on, `step_s` seconds apart: what `step_of` found, made again."""
    values = np.arange(rows, dtype=np.int64) * (step_s * _SECOND_NS) + first.value
    return pd.DatetimeIndex(values.view("datetime64[ns]"), tz="UTC")


def first_difference(old: pl.DataFrame, new: pl.DataFrame) -> pd.Timestamp | None:
    """Return the earliest time whose row was added, removed or altered, or None when both are the same."""
    shared = min(old.height, new.height)
    left, right = old.head(shared), new.head(shared)
    differs = np.zeros(shared, dtype=bool)
    for name in new.columns:
        differs |= _differs(left[name], right[name])
    position = int(differs.argmax()) if differs.any() else shared
    times = [t for table in (old, new) if (t := first_time(table.slice(position, 1))) is not None]
    return min(times, default=None)


def _differs(left: pl.Series, right: pl.Series) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if left.dtype == pl.Float64:  # by their bits: 0.0 equals -0.0, yet they are not the same bytes
        return np.asarray(left.to_numpy().view(np.int64) != right.to_numpy().view(np.int64))
    return left.ne_missing(right).to_numpy()


def _one_line(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not set(name) & set('\r\n"')


def _check_times(times: pl.Series) -> None:
    if times.null_count():
        raise DataContractError(f"{times.null_count()} rows have no {TIME}: expected one in every row")
    values = times.to_physical().to_numpy()
    if step_of(times) and not values[0] % _SECOND_NS:
        return
    unsorted = np.flatnonzero(np.diff(values) <= 0)
    if unsorted.size:
        where = from_ns(int(values[unsorted[0] + 1]))
        raise DataContractError(
            f"{unsorted.size} rows are out of order or repeated, the first at {where}: "
            "sort and deduplicate them"
        )
    broken = np.flatnonzero(values % _SECOND_NS)
    if broken.size:
        where = from_ns(int(values[broken[0]]))
        raise DataContractError(f"{broken.size} times are not whole seconds, the first {where}")


def _check_text(table: pl.DataFrame) -> None:
    for name, dtype in table.schema.items():
        if dtype == pl.String and table[name].rle().struct.field("value").str.contains(r"[\r\n]").any():
            raise DataContractError(f"column {name!r} holds text of several lines: expected one line")


def _time_to_pandas(column: pl.Series) -> Column:
    return pd.DatetimeIndex(column.to_physical().to_numpy(writable=True).view("datetime64[ns]"), tz="UTC")


def _number_to_pandas(column: pl.Series) -> Column:
    return column.to_numpy(writable=True)


def _boolean_to_pandas(column: pl.Series) -> Column:
    values = column.fill_null(value=False).to_numpy(writable=True)
    return pd.arrays.BooleanArray(values, column.is_null().to_numpy(writable=True))


def _text_to_pandas(column: pl.Series) -> Column:
    runs = column.rle().struct
    values = np.array(runs.field("value").to_list(), dtype=object)
    return np.repeat(values, runs.field("len").to_numpy())


_TO_PANDAS: dict[str, Callable[[pl.Series], Column]] = {
    TIME_DTYPE: _time_to_pandas,
    "float64": _number_to_pandas,
    "int64": _number_to_pandas,
    "bool": _number_to_pandas,
    "boolean": _boolean_to_pandas,
    "str": _text_to_pandas,
}
