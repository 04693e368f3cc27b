"""Connections to one database: a kept one for rows as Arrow, a small pool for queries.

What is said over them belongs to `database`, the schema to `migrations`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import sqlalchemy as sa
from psycopg2.extensions import make_dsn

from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.database.timescale import Policies

_CONNECT_TIMEOUT_S = 10

Cursor = Any
"""A cursor of ADBC, which has no types."""


class Connections:
    """The connections of one store; the first use connects and migrates.

    Between transactions none is open: a server of few connections is free for others.
    """

    def __init__(self, url: str, *, policies: Policies | None) -> None:
        """Remember where the database is, or raise InputError."""
        self._url = database_address(url)
        self._policies = policies
        self._alone = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """Yield a cursor in a transaction that commits on leaving and rolls back on any error."""
        with self._transaction("BEGIN") as cursor:
            yield cursor

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """Yield a cursor whose statements all see the database as it was at the first of them."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as cursor:
            yield cursor

    @contextmanager
    def copying(self) -> Iterator[Cursor]:
        """Yield a cursor as `reading` does, of the driver that copies rows out as they lie."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with database_errors(self._url), self._engine.connect() as connection:
            driver = connection.execution_options(**options).connection.driver_connection
            with driver.cursor() as cursor:  # type: ignore[union-attr]
                yield cursor

    def query(self, statement: str, parameters: dict[str, object]) -> list[dict[str, Any]]:
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
            migrate(engine, policies=self._policies)
        except BaseException:
            engine.dispose()
            raise
        return engine

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Cursor]:
        with database_errors(self._url):
            self._engine  # noqa: B018 - connects and migrates at the first use
            with self._alone, self._connection() as connection, connection.cursor() as cursor:
                cursor.execute(begin)
                yield cursor
                cursor.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Yield the one connection that is kept between transactions, or a new one where it has died."""
        connection = self.__dict__.pop("_kept", None)
        if connection is None or not _answers(connection):
            connection = adbc.connect(_conninfo(self._url), autocommit=True)
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
