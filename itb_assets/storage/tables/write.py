"""The statements that bring rows of a table to those of a frame, inside an open transaction.

Which rows differ belongs to `diff`, the record beside them to `records`.
"""

# ruff: noqa: S608 - symbols, freqs, assets and columns were checked or quoted where they became values

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from itb_assets.errors import StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.database.sql_text import identifier
from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME, first_time, from_ns
from itb_assets.storage.files.manifest import EVERYTHING
from itb_assets.storage.tables.columns_catalogue import catalogue
from itb_assets.storage.tables.diff import Difference, difference
from itb_assets.storage.tables.placing import Kept, Table
from itb_assets.storage.tables.read import Window, frame_rows, newest_time, row_count
from itb_assets.storage.tables.rows import rows_of

_STAGING = "staging"
ANEW_SHARE = 0.5
"""Where more than this share of the stored rows differs, deleting and copying costs less than an upsert."""
_MAX_RUNS = 500
_DECOMPRESSED = "timescaledb.max_tuples_decompressed_per_dml_transaction"


@dataclass(frozen=True)
class Written:
    """What a write did: from when on rows changed (None: nothing did), and how many it found in its place."""

    changed_from: pd.Timestamp | None
    replaced: int


def write_frame(
    cursor: Cursor,
    kept: Kept,
    frame: pl.DataFrame,
    dtypes: Mapping[str, str],
    *,
    start: pd.Timestamp | None,
    present: Sequence[str] | None,
) -> Written:
    """Bring an asset's rows from a time on, or all, to those of a frame; equal rows are left alone.

    `frame` holds the columns `dtypes` that lie in this table, `present` names those that the stored rows
    fill (None: unknown).
    """
    newest = newest_time(cursor, kept)
    if newest is None or (start is not None and newest < start):
        _insert(cursor, kept, frame)
        return Written(first_time(frame), 0)
    wanted = _columns_to_compare(cursor, kept, dtypes, present)
    stored = None if wanted is None else _stored(cursor, kept, wanted, start)
    if wanted is None or stored is None:
        return _write_anew(cursor, kept, frame, start)
    absent = [pl.lit(None, POLARS_DTYPES[wanted[name]]).alias(name) for name in wanted if name not in dtypes]
    fresh = frame.with_columns(*absent, *_without_negative_zero(kept, dtypes))
    found = difference(stored, fresh)
    if found is None:
        return Written(None, stored.height)
    _bring(cursor, kept, fresh, stored, found)
    return Written(found.first, stored.height)


def merge_rows(cursor: Cursor, table: Table, condition: str, rows: pl.DataFrame) -> None:
    """Make the rows that meet a condition (on the alias `t`) exactly these, equal rows left alone."""
    _allow_decompression(cursor)
    _stage(cursor, table, rows)
    matched = " AND ".join(f"s.{name} = t.{name}" for name in table.keys)
    cursor.execute(
        f"DELETE FROM {table.name} t WHERE {condition} "
        f"AND NOT EXISTS (SELECT 1 FROM {_STAGING} s WHERE {matched})"
    )
    values = [name for name in rows.columns if name not in table.keys]
    stored = ", ".join(f"t.{identifier(name)}" for name in values)
    fresh = ", ".join(f"excluded.{identifier(name)}" for name in values)
    _upsert(cursor, table, rows.columns, unless_equal=f" WHERE ({stored}) IS DISTINCT FROM ({fresh})")


def _columns_to_compare(
    cursor: Cursor, kept: Kept, dtypes: Mapping[str, str], present: Sequence[str] | None
) -> Mapping[str, str] | None:
    """Return the columns of the frame, and those that must be unknown from now on; None: cannot be told."""
    if kept.table.form == "scores":
        return dtypes if present is not None and set(present) == set(dtypes) else None
    if not kept.table.on_demand or (present is not None and set(present) <= set(dtypes)):
        return dtypes
    known = {one.name: one.dtype for one in catalogue(cursor, kept.table.name).values()}
    names = known if present is None else present
    return dict(dtypes) | {name: known[name] for name in names if name in known and name not in dtypes}


def _stored(
    cursor: Cursor, kept: Kept, wanted: Mapping[str, str], start: pd.Timestamp | None
) -> pl.DataFrame | None:
    try:
        return frame_rows(cursor, kept, wanted, Window(start))
    except StorageError:  # rows that are no frame: they are replaced, whatever they are
        return None


def _without_negative_zero(kept: Kept, dtypes: Mapping[str, str]) -> list[pl.Expr]:
    return [(pl.col(name) + 0.0).alias(name) for name, dtype in dtypes.items() if kept.blurs(name, dtype)]


def _write_anew(cursor: Cursor, kept: Kept, frame: pl.DataFrame, start: pd.Timestamp | None) -> Written:
    _allow_decompression(cursor)
    replaced = row_count(cursor, kept, Window(start))
    cursor.execute(f"DELETE FROM {kept.table.name} WHERE {kept.condition(start=start)}")
    _insert(cursor, kept, frame)
    return Written(EVERYTHING if start is None else start, replaced)


def _bring(cursor: Cursor, kept: Kept, fresh: pl.DataFrame, stored: pl.DataFrame, found: Difference) -> None:
    """Write what differs: rows after all that are stored go straight in."""
    _allow_decompression(cursor)
    later = _times(stored) >= found.first.value
    appended = _times(fresh) > (_times(stored)[-1] if stored.height else -1)
    altered = (found.altered | found.new) & ~appended
    touched = int(altered.sum()) + len(found.vanished)
    runs = _runs(_times(stored), found.vanished)
    if touched > ANEW_SHARE * later.sum() or len(runs) > _MAX_RUNS:
        cursor.execute(f"DELETE FROM {kept.table.name} WHERE {kept.condition(start=found.first)}")
        _insert(cursor, kept, fresh.filter(pl.Series(_times(fresh) >= found.first.value)))
        return
    for first, last in runs:
        cursor.execute(
            f"DELETE FROM {kept.table.name} WHERE {kept.condition(start=first)} "
            f"AND time <= '{last.isoformat()}'"
        )
    if altered.any():
        rows = rows_of(kept, fresh.filter(pl.Series(altered)))
        _stage(cursor, kept.table, rows)
        _upsert(cursor, kept.table, rows.columns)
    _insert(cursor, kept, fresh.filter(pl.Series(appended)))


def _allow_decompression(cursor: Cursor) -> None:
    """Let TimescaleDB unpack as many compressed rows as a write needs: 100,000 at most otherwise."""
    cursor.execute(
        f"SELECT set_config('{_DECOMPRESSED}', '0', true) "
        f"WHERE current_setting('{_DECOMPRESSED}', true) IS NOT NULL"
    )
    cursor.fetchall()


def _runs(stored: np.ndarray, vanished: np.ndarray) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return vanished times as ranges without a stored time between them that stays."""
    if not len(vanished):
        return []
    place = np.searchsorted(stored, vanished)
    breaks = np.flatnonzero(np.diff(place) > 1)
    firsts = vanished[np.concatenate([[0], breaks + 1])]
    lasts = vanished[np.concatenate([breaks, [len(vanished) - 1]])]
    return [(from_ns(int(a)), from_ns(int(b))) for a, b in zip(firsts, lasts, strict=True)]


def _insert(cursor: Cursor, kept: Kept, frame: pl.DataFrame) -> None:
    """Add rows whose keys are not there yet."""
    if not frame.height:
        return
    rows = rows_of(kept, frame)
    if not kept.table.casts:
        cursor.adbc_ingest(kept.table.name, rows.to_arrow(), mode="append")
        return
    _stage(cursor, kept.table, rows)
    _upsert(cursor, kept.table, rows.columns)


def _stage(cursor: Cursor, table: Table, rows: pl.DataFrame) -> None:
    columns = ", ".join(
        f"NULL::text AS {name}" if name in table.casts else identifier(name) for name in rows.columns
    )
    cursor.execute(f"DROP TABLE IF EXISTS {_STAGING}")
    cursor.execute(
        f"CREATE TEMPORARY TABLE {_STAGING} ON COMMIT DROP AS SELECT {columns} FROM {table.name} WITH NO DATA"
    )
    cursor.adbc_ingest(_STAGING, rows.to_arrow(), mode="append", temporary=True)


def _upsert(cursor: Cursor, table: Table, names: Sequence[str], *, unless_equal: str = "") -> None:
    columns = ", ".join(identifier(name) for name in names)
    fresh = ", ".join(
        f"{name}::{table.casts[name]}" if name in table.casts else identifier(name) for name in names
    )
    values = [identifier(name) for name in names if name not in table.keys]
    taken = ", ".join(f"{name} = excluded.{name}" for name in values)
    cursor.execute(
        f"INSERT INTO {table.name} AS t ({columns}) SELECT {fresh} FROM {_STAGING} "
        f"ON CONFLICT ({', '.join(table.keys)}) "
        + (f"DO UPDATE SET {taken}{unless_equal}" if values else "DO NOTHING")
    )


def _times(table: pl.DataFrame) -> np.ndarray:
    return np.asarray(table[TIME].to_physical().to_numpy(), dtype=np.int64)
