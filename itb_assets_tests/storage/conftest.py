"""A real PostgreSQL for the tests of this room, and databases of their own in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from itb_assets.storage.database import SqlStore
from itb_assets.storage.embedded import EmbeddedPostgres

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Return a running server, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="itb pg "))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def database_url(postgres) -> str:
    """Return the URL of an empty database."""
    name = f"test_{next(_NUMBERS)}"
    postgres.ensure_database(name)
    return postgres.url(name)


@pytest.fixture
def database(database_url) -> Iterator[SqlStore]:
    """Return a store over an empty database."""
    store = SqlStore(database_url)
    yield store
    store.close()
