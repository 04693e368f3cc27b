"""Rows of numbers out of PostgreSQL as its binary COPY has them: all of one width, taken apart at once.

Rows with text, or of tables where anything else may be NULL, come as Arrow; that belongs to `read`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from itb_assets.errors import StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.files.dtypes import TIME_DTYPE

# The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_US = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL counts from."""

_UNKNOWN = -1
_FORMS = {
    TIME_DTYPE: ("{}", ">i8"),
    "float64": ("coalesce({}, 'NaN')", ">f8"),
    "int64": ("{}", ">i8"),
    "bool": (f"coalesce(({{}})::int, {_UNKNOWN})::smallint", ">i2"),
    "boolean": (f"coalesce(({{}})::int, {_UNKNOWN})::smallint", ">i2"),
}
"""How each dtype is asked for, so that no value is missing, and how wide its bytes are."""


def are_numbers(dtypes: Mapping[str, str]) -> bool:
    """Return whether all columns have values of one width."""
    return all(dtype in _FORMS for dtype in dtypes.values())


def copies_numbers(cursor: Cursor) -> bool:
    """Return whether a cursor is one that `fetch_numbers` can be asked with."""
    return hasattr(cursor, "copy_expert")


def fetch_numbers(
    cursor: Cursor, expressions: Mapping[str, str], dtypes: Mapping[str, str], source: str
) -> pl.DataFrame:
    """Return SQL expressions of the rows of `source` as columns of `dtypes`; an unknown double is NaN.

    `cursor` is psycopg2's. Raises StorageError for bytes that are not the rows asked for.
    """
    asked = ", ".join(_FORMS[dtypes[name]][0].format(sql) for name, sql in expressions.items())
    sink = io.BytesIO()
    cursor.copy_expert(f"COPY (SELECT {asked} FROM {source}) TO STDOUT (FORMAT binary)", sink)  # noqa: S608
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for place, name in enumerate(expressions):
        layout += [(f"bytes{place}", ">i4"), (f"value{place}", _FORMS[dtypes[name]][1])]
    rows = _taken_apart(sink.getbuffer(), np.dtype(layout))
    return pl.DataFrame(
        [_column(name, rows[f"value{place}"], dtypes[name]) for place, name in enumerate(expressions)]
    )


def _taken_apart(content: memoryview, row: np.dtype[np.void]) -> np.ndarray:
    """Return the rows of a COPY, all of one width: any value of another makes the bytes not add up."""
    body = len(content) - len(_HEADER) - len(_TRAILER)
    whole = content[: len(_HEADER)] == _HEADER and content[-len(_TRAILER) :] == _TRAILER
    if not whole or body % row.itemsize:
        raise StorageError(
            f"the database gave {len(content)} bytes that are not rows of {row.itemsize}: read again"
        )
    rows = np.frombuffer(content, dtype=row, count=body // row.itemsize, offset=len(_HEADER))
    fields = (len(row.names or ()) - 1) // 2
    if len(rows) and not all(found["fields"] == fields for found in (rows[0], rows[-1])):
        raise StorageError(f"the database gave rows that have not {fields} fields: read again")
    return rows


def _column(name: str, values: np.ndarray, dtype: str) -> pl.Series:
    if dtype == TIME_DTYPE:
        micros = values.astype(np.int64)
        micros += _EPOCH_US
        micros *= 1_000
        return pl.Series(name, pa.array(micros)).cast(pl.Datetime("ns", "UTC"))
    if dtype in ("bool", "boolean"):
        known = values != _UNKNOWN
        return pl.DataFrame({name: values == 1, "known": known}).select(
            pl.when(pl.col("known")).then(pl.col(name)).alias(name)
        )[name]
    # by way of Arrow, which takes the array over as it is; polars would copy it
    return pl.Series(name, pa.array(values.astype(values.dtype.newbyteorder("="))))
