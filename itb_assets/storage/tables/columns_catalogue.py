"""The columns of `features` and `labels`: what they are called in SQL, what defines them, and how they come.

Rows belong to `write`; what a definition says belongs to whoever compiled it.
"""

# ruff: noqa: S608 - identifiers and texts are quoted where they become part of a statement

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

import adbc_driver_manager
import polars as pl

from itb_assets.errors import DataContractError, MarketBusy, StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.database.sql_text import identifier, literal

ON_DEMAND = ("features", "labels")
"""Tables that get a column for every name that they have not met."""

MAX_COLUMNS = 1590
"""PostgreSQL has room for 1,600, dropped ones included."""
MAX_ROW_BYTES = 8160
"""A row of numbers has to fit one page."""

LOCK_TIMEOUT_S = 2.0
LOCK_WAIT_S = 30.0
_LOCK_PAUSE_S = 0.1
_LOCK_TAKEN = "55P03"
_MAX_NAME_BYTES = 63
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = {"symbol", "freq", "time", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
_TYPES = {
    "float64": "double precision",
    "int64": "bigint",
    "bool": "boolean",
    "boolean": "boolean",
    "str": "text",
}
_HEADER_BYTES = 24
_KEY_BYTES = 48  # symbol, freq and time with their padding
_BYTES = {"double precision": 8, "bigint": 8, "boolean": 1, "text": 18}  # a long text lies elsewhere

Writing = Callable[[], AbstractContextManager[Cursor]]


class _TableTaken(Exception):
    """A lock was not to be had in time."""


@dataclass(frozen=True)
class Column:
    """One column of the catalogue; `definition` is empty where it was never told."""

    table: str
    column: str
    name: str
    definition: str
    dtype: str
    first_seen: datetime
    previous: str | None = None


@dataclass(frozen=True)
class Wanted:
    """A column that rows are to be written to."""

    name: str
    dtype: str
    definition: str = ""

    @property
    def column(self) -> str:
        """Its name in SQL."""
        return sql_name(self.name)


def sql_name(name: str) -> str:
    """Return what a feature or label is called in SQL: lower case, safe to write without quotes.

    Where more than capitals would be lost, eight digits of the name's sha256 tell it from others; names that
    differ by capitals alone cannot stand in one table.

    >>> sql_name("close_SMA_5"), sql_name("close/SMA")
    ('close_sma_5', 'close_sma_dbf8605f')
    """
    plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
    kept = name.isascii() and plain == name.lower() and len(plain) <= _MAX_NAME_BYTES
    if kept and _PLAIN.fullmatch(plain) and plain not in _RESERVED:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{'_' * plain[:1].isdigit()}{plain}"[: _MAX_NAME_BYTES - 9] + f"_{digest}"


def catalogue(cursor: Cursor, table: str | None = None) -> dict[tuple[str, str], Column]:
    """Return what is known of each (table, column)."""
    where = "" if table is None else f" WHERE table_name = {literal(table)}"
    cursor.execute(
        "SELECT table_name, column_name, name, definition, dtype, first_seen, previous FROM columns"
        f"{where} ORDER BY table_name, name"
    )
    return {(row[0], row[1]): Column(*row) for row in cursor.fetchall()}


def ensure_columns(writing: Writing, table: str, wanted: tuple[Wanted, ...]) -> None:
    """Add the columns that a table lacks, in a transaction of their own.

    Raises StorageError naming every conflict with what is known, DataContractError for more than a table or
    a row has room for, and MarketBusy when the table stays in use: nothing was written then.
    """
    _check_row(table, wanted)
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        with writing() as cursor:
            missing = _missing(cursor, table, wanted)
        if not missing:
            return
        try:
            with writing() as cursor, _telling_taken():
                _add(cursor, table, wanted)
        except _TableTaken:
            if time.monotonic() > until:
                raise MarketBusy(
                    f"table {table} lacks {_listed([one.name for one in missing])} and stayed in use for "
                    f"{LOCK_WAIT_S:.0f} s, so that no column could be added: run again, or end what holds it "
                    "(pg_stat_activity shows who does)"
                ) from None
            time.sleep(_LOCK_PAUSE_S)
        else:
            return


@contextmanager
def _telling_taken() -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        if error.sqlstate == _LOCK_TAKEN:
            raise _TableTaken from None
        raise


def redefine(cursor: Cursor, name: str, definitions: Mapping[str, Mapping[str, str]]) -> tuple[Column, ...]:
    """Make the definitions of today those of a name's columns; return them as they are now.

    The rows are not touched: the assets that hold them are to be materialized again. Raises StorageError for
    a name that no table knows or that nothing defines today.
    """
    known = [one for one in catalogue(cursor).values() if one.name == name]
    changed = [one for one in known if name in definitions.get(one.table, {})]
    if not changed:
        found = f"tables {_listed([one.table for one in known])} have it" if known else "no table has it"
        raise StorageError(
            f"{name} cannot be redefined: {found}, and no strategy defines it"
            if known
            else f"{name} cannot be redefined: {found}; `itb db columns` lists what there is"
        )
    for one in changed:
        text = literal(definitions[one.table][name])
        cursor.execute(
            f"UPDATE columns SET previous = definition, definition = {text} "
            f"WHERE table_name = {literal(one.table)} AND name = {literal(name)} AND definition <> {text}"
        )
    now = catalogue(cursor)
    return tuple(now[one.table, one.column] for one in changed)


def _missing(cursor: Cursor, table: str, wanted: tuple[Wanted, ...]) -> list[Wanted]:
    """Return what a table lacks; raise for conflicts, and for more columns than fit. Fill in definitions."""
    known = {column: found for (_, column), found in catalogue(cursor, table).items()}
    _check_conflicts(table, known, wanted)
    missing = [one for one in wanted if one.column not in known]
    if missing:
        cursor.execute(
            f"SELECT count(*) FROM pg_attribute WHERE attrelid = {literal(table)}::regclass AND attnum > 0"
        )
        _check_width(table, int(cursor.fetchone()[0]), missing)
    for one in sorted(wanted, key=lambda one: one.column):  # in one order: others fill in theirs meanwhile
        if one.definition and one.column in known and not known[one.column].definition:
            cursor.execute(
                f"UPDATE columns SET definition = {literal(one.definition)} "
                f"WHERE table_name = {literal(table)} AND name = {literal(one.name)} AND definition = ''"
            )
    return missing


def _add(cursor: Cursor, table: str, wanted: tuple[Wanted, ...]) -> None:
    cursor.execute(f"SET LOCAL lock_timeout = '{int(LOCK_TIMEOUT_S * 1000)}ms'")
    cursor.execute(f"SELECT pg_advisory_xact_lock(hashtextextended('columns of {table}', 0))")
    missing = _missing(cursor, table, wanted)
    for one in missing:  # TimescaleDB adds one column a statement to a table that it compresses
        cursor.execute(
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {identifier(one.column)} {_TYPES[one.dtype]}"
        )
    if missing:
        rows = {
            "table_name": [table] * len(missing),
            "column_name": [one.column for one in missing],
            "name": [one.name for one in missing],
            "definition": [one.definition for one in missing],
            "dtype": [one.dtype for one in missing],
        }
        cursor.adbc_ingest("columns", pl.DataFrame(rows).to_arrow(), mode="append")


def _check_conflicts(table: str, known: Mapping[str, Column], wanted: tuple[Wanted, ...]) -> None:
    problems = []
    taken: dict[str, str] = {}
    for one in wanted:
        other = taken.setdefault(one.column, one.name)
        found = known.get(one.column)
        if other != one.name or (found is not None and found.name != one.name):
            owner = other if other != one.name else known[one.column].name
            problems.append(
                f"{one.name!r} and {owner!r} would be one column, {one.column}: choose another name"
            )
        elif found is not None:
            problems += _differences(found, one)
    if problems:
        raise StorageError(
            f"table {table} cannot take these columns; nothing was written:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )


def _differences(found: Column, wanted: Wanted) -> list[str]:
    if _TYPES[found.dtype] != _TYPES[wanted.dtype]:
        return [f"{wanted.name!r} is {found.dtype} there and {wanted.dtype} here: choose another name"]
    if wanted.definition and found.definition and wanted.definition != found.definition:
        other = (
            f"{wanted.name!r} is defined otherwise: there {found.definition}, here {wanted.definition}; "
            f"choose another name, or let the new one hold: itb db columns --redefine {wanted.name}"
        )
        return [other]
    return []


def _check_width(table: str, present: int, missing: list[Wanted]) -> None:
    if present + len(missing) > MAX_COLUMNS:
        raise DataContractError(
            f"table {table} has {present} columns (dropped ones included) and would get {len(missing)} "
            f"more ({_listed([one.name for one in missing])}): it has room for {MAX_COLUMNS}. "
            "Nothing was written; let strategies name fewer, or use a database of its own for them"
        )


def _check_row(table: str, wanted: tuple[Wanted, ...]) -> None:
    values = sum(_BYTES[_TYPES[one.dtype]] for one in wanted)
    needed = _HEADER_BYTES + MAX_COLUMNS // 8 + _KEY_BYTES + values
    if needed > MAX_ROW_BYTES:
        raise DataContractError(
            f"a row of table {table} would have {len(wanted)} values and {needed} bytes: expected at most "
            f"{MAX_ROW_BYTES}, about {(MAX_ROW_BYTES - needed + values) // 8} numbers. Nothing was written; "
            "let strategies name fewer"
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - as many as shown
