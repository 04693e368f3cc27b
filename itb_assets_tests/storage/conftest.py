"""A real PostgreSQL for the tests of this room, and databases of their own in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from itb_assets.storage.database import SqlStore
from itb_assets.storage.embedded import EmbeddedPostgres


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


@pytest.fixture
def database_url(postgres) -> str:
    """Return the URL of an empty database; one schema is emptied, a database of its own takes seconds."""
    postgres.ensure_database("test")
    url = postgres.url("test")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def database(database_url) -> Iterator[SqlStore]:
    """Return a store over an empty database."""
    store = SqlStore(database_url)
    yield store
    store.close()
