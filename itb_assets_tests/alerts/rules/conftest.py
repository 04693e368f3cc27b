"""A migrated database that every test leaves as it was: each works in a transaction that is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from itb_assets.storage.database.migrations import migrate


@pytest.fixture(scope="session")
def rules_engine(postgres) -> Iterator[sa.Engine]:
    """Return an engine over a database with every table, empty."""
    postgres.ensure_database("rules")
    engine = sa.create_engine(postgres.url("rules"))
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(rules_engine) -> Iterator[sa.Connection]:
    """Return a connection in a transaction of which nothing stays."""
    with rules_engine.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()
