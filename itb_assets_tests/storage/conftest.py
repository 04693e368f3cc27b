"""What the tests of backups share; servers and databases come from `databases`."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from backup_making import (
    NOW,
    ODD,
    ROWS,
    run,
)

from itb_assets.storage.backup import back_up
from itb_assets.storage.database import SqlStore


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
