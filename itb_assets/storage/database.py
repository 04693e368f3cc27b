"""The tables: a frame's rows replaced in one transaction with the record of what they are a copy of.

`TableStore` is the seam: what TimescaleDB does better fills the same protocol. Which asset lies in which
table belongs to `tables`, the schema to `migrations`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import adbc_driver_postgresql.dbapi as adbc
import pandas as pd
import polars as pl
import sqlalchemy as sa
from psycopg2.extensions import make_dsn

from itb_assets.domain.executed import match_fills
from itb_assets.domain.executed.matching import MATCHING_VERSION
from itb_assets.domain.markets import Market
from itb_assets.storage.database_errors import database_address, database_errors
from itb_assets.storage.drift_table import DriftRow, write_drift
from itb_assets.storage.executed_table import lock_executed, recorded_digest, replace_executed
from itb_assets.storage.executed_trades import ExecutedFills
from itb_assets.storage.manifest import EVERYTHING, FrameManifest
from itb_assets.storage.migrations import migrate
from itb_assets.storage.stored_frame import StoredFrame
from itb_assets.storage.table_read import select_statement, to_frame
from itb_assets.storage.table_write import Scope, TableManifest, missing_from, record, recorded, write_rows
from itb_assets.storage.tables import kept_in, rows_of, table_of

_CONNECT_TIMEOUT_S = 10


class TableStore(Protocol):
    """What the pipeline asks of a database."""

    def keeps(self, asset: str) -> bool:
        """Return whether some table keeps this asset."""
        ...

    def replace(
        self,
        asset: str,
        market: Market,
        frame: pd.DataFrame,
        *,
        manifest: FrameManifest,
        from_time: pd.Timestamp | None = None,
    ) -> bool:
        """Replace the rows from a time on, or all, together with their record."""
        ...

    def catch_up(self, asset: str, market: Market, stored: StoredFrame) -> bool:
        """Bring the rows to the state of a stored frame."""
        ...

    def recorded(self, asset: str, market: Market) -> TableManifest | None:
        """Return the record of an asset's rows."""
        ...

    def read(
        self,
        table: str,
        market: Market,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows of a window."""
        ...


class SqlStore:
    """Tables in any PostgreSQL: queries through a small pool, rows as Arrow through binary COPY.

    Every method raises DatabaseUnavailable when the database cannot be reached or drops out, StorageFull when
    it has no space, StorageError for anything else; a failed write leaves rows and record as they were.
    """

    def __init__(self, url: str) -> None:
        """Remember where the database is, or raise InputError; the first use connects and migrates."""
        self._url = database_address(url)
        self._alone = threading.Lock()

    def keeps(self, asset: str) -> bool:
        """Return whether some table keeps this asset: klines, predictions, signals and trades."""
        return table_of(asset) is not None

    def replace(
        self,
        asset: str,
        market: Market,
        frame: pd.DataFrame,
        *,
        manifest: FrameManifest,
        from_time: pd.Timestamp | None = None,
    ) -> bool:
        """Replace an asset's rows at or after `from_time` (None: all) by those of `frame`, with their record.

        Rows that are equal are left alone, rows that are no longer there are deleted. Returns False, and does
        nothing, when the tables lack changes from before `from_time`: then `catch_up` with the file is due.
        """
        table, variant = kept_in(asset)
        rows = rows_of(asset, market, frame)
        scope = Scope(table, market, variant, from_time)
        with self._transaction() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock(hashtextextended('{asset} {market}', 0))")
            missing = missing_from(recorded(cursor, asset, market), manifest)
            if missing is None:
                return True
            if from_time is not None and missing < from_time:
                return False
            write_rows(cursor, scope, rows)
            record(cursor, asset, market, manifest)
        return True

    def catch_up(self, asset: str, market: Market, stored: StoredFrame) -> bool:
        """Bring an asset's rows to the state of a stored frame; return whether anything was missing."""
        with self._transaction() as cursor:
            missing = missing_from(recorded(cursor, asset, market), stored.manifest)
        if missing is None:
            return False
        whole = missing <= EVERYTHING
        frame = stored.read() if whole else stored.since(missing)
        self.replace(asset, market, frame, manifest=stored.manifest, from_time=None if whole else missing)
        return True

    def recorded(self, asset: str, market: Market) -> TableManifest | None:
        """Return the record of an asset's rows; None if none were written."""
        with self._transaction() as cursor:
            return recorded(cursor, asset, market)

    def read(
        self,
        table: str,
        market: Market,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows of [start, end) in the order of their key; `time` is called `timestamp` as in files.

        Without `columns`, all but symbol and freq. NULL comes back as NaN, NA or None; JSON as its text,
        money as doubles and `exit_time` of trades as `exit_time_ms`.
        """
        statement = select_statement(table, market, start=start, end=end, columns=columns)
        with self._transaction() as cursor:
            cursor.execute(statement)
            found = pl.from_arrow(cursor.fetch_arrow_table())
        return to_frame(found if isinstance(found, pl.DataFrame) else found.to_frame())

    def catch_up_executed(self, stored: ExecutedFills) -> bool:
        """Make the executed trades those of the stored fills; return whether anything was missing.

        Rows and the record of the fills commit together, equal rows are left alone. Where no fills were ever
        stored nothing is done.
        """
        with self._transaction() as cursor:
            lock_executed(cursor)
            digest = f"{stored.sha256()}-{MATCHING_VERSION}"
            if not stored.exists() or recorded_digest(cursor) == digest:
                return False
            replace_executed(cursor, match_fills(stored.read()).trades, digest=digest)
        return True

    def append_drift(self, rows: Sequence[DriftRow]) -> int:
        """Add looks for drift, the same ones only once; return how many were new or said otherwise."""
        with self._transaction() as cursor:
            return write_drift(cursor, rows)

    def query(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """Run one statement with named parameters and return its rows."""
        with database_errors(self._url), self._engine.begin() as connection:
            result = connection.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def close(self) -> None:
        """Close all connections; a later use opens them anew."""
        kept = self.__dict__.pop("_kept", None)
        if kept is not None:
            kept.close()
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.dispose()

    @cached_property
    def _engine(self) -> sa.Engine:
        options = {"connect_timeout": _CONNECT_TIMEOUT_S}
        engine = sa.create_engine(
            self._url, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args=options
        )
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Yield an ADBC cursor in a transaction that commits on leaving and rolls back on any error."""
        with database_errors(self._url):
            self._engine  # noqa: B018 - connects and migrates at the first use
            with self._alone, self._connection() as connection:
                with connection.cursor() as cursor:
                    yield cursor
                connection.commit()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Yield the one connection that is kept between transactions, or a new one where it has died."""
        connection = self.__dict__.pop("_kept", None)
        if connection is None or not _answers(connection):
            connection = adbc.connect(_conninfo(self._url))
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._kept = connection


def _answers(connection: Any) -> bool:  # noqa: ANN401 - ADBC has no type for it
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
    except adbc.Error:
        connection.close()
        return False
    return True


def server_version(url: str) -> str:
    """Return the version of the PostgreSQL at `url`; raise DatabaseUnavailable where none answers.

    Raises InputError for what is not such a URL, without repeating it: it may hold a password.
    """
    address = database_address(url)
    with database_errors(address):
        engine = sa.create_engine(
            address, poolclass=sa.NullPool, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S}
        )
        with engine.connect() as connection:
            return str(connection.execute(sa.text("SHOW server_version")).scalar_one())


def _conninfo(url: sa.URL) -> str:
    """Return the address as libpq's words, which take any path and password as they are."""
    options = {name: str(value) for name, value in url.query.items()}
    options.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_S))
    words = url.translate_connect_args(username="user", database="dbname") | options
    return str(make_dsn(**words))
