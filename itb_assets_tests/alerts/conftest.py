"""A database with the tables of alerts, on each engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from itb_assets.storage.database.migrations import migrate


@pytest.fixture
def alerts_engine(database_url) -> Iterator[sa.Engine]:
    """Return an engine over a migrated database that is empty."""
    engine = sa.create_engine(database_url, pool_size=20)
    migrate(engine)
    yield engine
    engine.dispose()
