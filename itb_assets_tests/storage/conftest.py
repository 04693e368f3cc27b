"""What several files of these tests ask for: a database with the schema, a backup, an archived frame.

Servers and empty databases come from `databases`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import archive_writers
import pytest
import sqlalchemy as sa
from backup_making import NOW, ODD, ROWS, run
from dying import in_memory

from itb_assets.storage.backups.backup import back_up
from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.database.timescale import Policies
from itb_assets.storage.files.archive import Archived, archive_frame
from itb_assets.storage.layout import Layout
from itb_assets.storage.tables.database import SqlStore


@pytest.fixture
def engine(database_url) -> Iterator[sa.Engine]:
    """Return an engine over a database with the schema and the usual policies."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    migrate(engine, policies=Policies())
    yield engine
    engine.dispose()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder on a disk in memory, where there is one."""
    with in_memory() as name:
        yield Path(name)


@pytest.fixture
def filled(postgres_url) -> str:
    """Return the URL of a database with the schema, rows of klines and an odd table."""
    store = SqlStore(postgres_url)
    store.query("SELECT 1")
    store.close()
    run(postgres_url, ROWS, ODD)
    return postgres_url


@pytest.fixture
def admin_url(postgres) -> str:
    """Return the way in of the server's superuser."""
    url = sa.make_url(postgres.url("postgres")).update_query_dict({"user": "postgres"})
    return url.render_as_string(hide_password=False)


@pytest.fixture
def saved(filled, tmp_path) -> Path:
    """Return a backup of the filled database."""
    file = tmp_path / "backups" / "itb.dump"
    back_up(filled, file, kind="itb", now=NOW)
    return file


@pytest.fixture
def layout(tmp_path) -> Layout:
    """Return the layout of an empty data root."""
    return Layout(tmp_path / "root")


@pytest.fixture
def copy(layout) -> Archived:
    """Return an archived frame."""
    archive_writers.write(layout.data(archive_writers.MARKET))
    return archive_frame(layout, layout.data(archive_writers.MARKET), now=NOW)
