"""Databases for tests: an empty one for each, in a real PostgreSQL and in a real TimescaleDB.

A test that asks for `database_url` or `database` runs on both engines; `on_one_engine` says why another does
not. How the servers are started belongs to the storage room and to `timescaledb.server`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from timescaledb.server import HERE, NotAvailable, TimescaleServer

from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.database import SqlStore

ENGINES = ("postgres", "timescaledb")
_OTHERS_OUT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def on_one_engine(engine: str, *, because: str) -> pytest.MarkDecorator:
    """Mark a test, or a whole file, that holds for one engine only, and why that is so."""
    assert engine in ENGINES
    assert because
    return pytest.mark.parametrize("database_url", [engine], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Return a running server, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="itb pg "))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop(at_once=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def timescale_server_url(tmp_path_factory, worker_name) -> Iterator[str]:
    """Return the URL of a database with TimescaleDB that is ours alone, or skip."""
    own = os.environ.get("ITB_TEST_DATABASE_URL")
    if own:
        yield from _database_in(sa.make_url(own), f"itb_test_{worker_name}_{os.getpid()}")
        return
    try:
        server = TimescaleServer.start(tmp_path_factory.mktemp("timescaledb") / "server.log")
    except NotAvailable as missing:
        pytest.skip(str(missing))
    try:
        yield server.url()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def worker_name() -> str:
    """Return which of the processes that share the tests this is."""
    return os.environ.get("PYTEST_XDIST_WORKER", "alone")


@pytest.fixture
def postgres_url(postgres) -> str:
    """Return the URL of an empty database without TimescaleDB."""
    postgres.ensure_database("test")
    url = str(postgres.url("test"))
    _execute(url, _OTHERS_OUT)
    _execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return url


@pytest.fixture
def timescale_url(timescale_server_url) -> str:
    """Return the URL of a database that holds nothing but the extension."""
    _execute(timescale_server_url, (HERE / "empty.sql").read_text("utf-8"))
    return str(timescale_server_url)


@pytest.fixture(params=ENGINES)
def database_url(request) -> str:
    """Return the URL of an empty database, once of each engine."""
    return str(request.getfixturevalue("postgres_url" if request.param == "postgres" else "timescale_url"))


@pytest.fixture
def engine_name(database_url, request) -> str:
    """Return which engine `database_url` leads to: postgres or timescaledb."""
    return str(request.node.callspec.params["database_url"])


@pytest.fixture
def database(database_url) -> Iterator[SqlStore]:
    """Return a store over an empty database."""
    store = SqlStore(database_url)
    yield store
    store.close()


def _database_in(server: sa.URL, name: str) -> Iterator[str]:
    """Make a database of our own in a server that is somebody else's, and drop it in the end."""
    outside = server.render_as_string(hide_password=False)
    inside = server.set(database=name).render_as_string(hide_password=False)
    _execute(outside, f'CREATE DATABASE "{name}"')
    try:
        _execute(inside, "CREATE EXTENSION IF NOT EXISTS timescaledb")
        yield inside
    finally:
        _execute(outside, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, statements: str) -> None:
    address = sa.make_url(url)
    words = address.translate_connect_args(username="user", database="dbname") | dict(address.query)
    with closing(psycopg2.connect(**words)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statements)
