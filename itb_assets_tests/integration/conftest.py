"""What tests of alerts as a whole share: the tables of alerts and a Bot API without limits.

A test that needs either otherwise has a fixture of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from outages import TOKEN, UNLIMITED, BotApi, tables


@pytest.fixture
def bot() -> Iterator[BotApi]:
    """Return the local Bot API."""
    with BotApi(TOKEN, limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def engine(postgres_url) -> Iterator[sa.Engine]:
    """Return a way to a database with the tables of alerts."""
    with tables(postgres_url) as opened:
        yield opened
