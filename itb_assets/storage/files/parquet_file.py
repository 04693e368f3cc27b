"""Frames as parquet: row groups small enough that a tail is read without the rest.

Whole numbers and times are stored as differences, floats as they are: on klines that takes the space of
snappy, half the time to write and a third of the time to read. Atomicity belongs to the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq

from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME, TIME_DTYPE

ROW_GROUP_ROWS = 65_536


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a whole table and force it to disk."""
    with path.open("wb") as file:
        pq.write_table(
            table.to_arrow(),
            file,
            compression="none",
            row_group_size=ROW_GROUP_ROWS,
            use_dictionary=[name for name in table.columns if _repeats(table[name])],
            column_encoding={
                name: "DELTA_BINARY_PACKED"
                for name, dtype in table.schema.items()
                if dtype.is_integer() or dtype.is_temporal()
            },
            write_statistics=[TIME],  # by which a tail is found
            write_batch_size=ROW_GROUP_ROWS,
            store_schema=False,
        )
        file.flush()
        os.fsync(file.fileno())


def splice(source: int, path: Path, start: pd.Timestamp, tail: pl.DataFrame) -> int:
    """Write to `path` the rows of `source` before `start` and then `tail`; return 0: all bytes are new."""
    before = _scan(source).filter(pl.col(TIME) < _literal(start)).collect()
    write(pl.concat([before, tail]), path)
    return 0


def read(source: int, dtypes: Mapping[str, str], columns: Sequence[str]) -> pl.DataFrame:
    """Read some columns of all rows."""
    del dtypes
    return _scan(source).select(columns).collect()


def tail(source: int, dtypes: Mapping[str, str], columns: Sequence[str], rows: int) -> pl.DataFrame:
    """Read the last `rows` rows from the last row groups."""
    del dtypes
    return _scan(source).select(columns).tail(rows).collect()


def since(
    source: int, dtypes: Mapping[str, str], columns: Sequence[str], start: pd.Timestamp
) -> pl.DataFrame:
    """Read the rows at or after `start` from the row groups that reach it."""
    del dtypes
    return _scan(source).filter(pl.col(TIME) >= _literal(start)).select(columns).collect()


def _repeats(column: pl.Series) -> bool:
    """Tell whether a column is worth a dictionary: text, and a float that is the same in every row."""
    if column.dtype == pl.String:
        return True
    return column.dtype == pl.Float64 and column.min() == column.max()


def _scan(source: int) -> pl.LazyFrame:
    return pl.scan_parquet(f"/dev/fd/{source}", cache=False, glob=False)


def _literal(time: pd.Timestamp) -> pl.Expr:
    return pl.lit(time.value).cast(POLARS_DTYPES[TIME_DTYPE])
