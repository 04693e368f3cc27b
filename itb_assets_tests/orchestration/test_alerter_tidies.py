"""The alerter forgets what is long over beside its rounds, which go on where that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.state import states
from itb_assets.observability.logs import configure_logging
from itb_assets.orchestration.alerts.alerter import KEPT, Alerter
from itb_assets.storage.database.migrations import migrate

NOW = datetime(2026, 3, 11, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def engine(database_url):
    """Return an engine over a database with every table, and a cause that is long over."""
    opened = sa.create_engine(database_url)
    migrate(opened)
    with opened.begin() as connection:
        old = {"at": NOW - KEPT - DAY}
        connection.execute(sa.text("INSERT INTO alert_events (event_id, at) VALUES ('old', :at)"), old)
    yield opened
    opened.dispose()


def remembered(engine: sa.Engine) -> int:
    """Return how many causes are known."""
    with engine.connect() as connection:
        return connection.execute(
            sa.text("SELECT count(*) FROM alert_events WHERE event_id = 'old'")
        ).scalar_one()


def test_what_is_long_over_is_forgotten(engine):
    Alerter(engine, load_config(), channels=[]).round(NOW)
    assert remembered(engine) == 0


def test_rounds_go_on_where_nothing_can_be_forgotten(engine):
    """It is said, and tried again on the next day and not with every round."""
    lines: list[str] = []
    configure_logging("WARNING", sink=lines.append)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE alert_forgotten RENAME TO elsewhere"))
    alerter = Alerter(engine, load_config(), channels=[])
    for step in range(3):
        assert alerter.round(NOW + step * timedelta(minutes=1)).evaluations > 0
    with engine.connect() as connection:
        assert max(each.at for each in states(connection)) >= NOW + timedelta(minutes=1)
    assert len(lines) == 1
    assert "forgotten later" in lines[0]
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO alert_forgotten"))
    alerter.round(NOW + DAY)
    assert remembered(engine) == 0
