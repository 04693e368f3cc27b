"""What becomes of the alerts where a database was put back, ours or Dagster's.

How that is done belongs to the storage room, what it means for messages and rules to `observability.alerts`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.observability.alerts.restored import settle_restored
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import forget_cursor
from itb_assets.orchestration.alerts.channels import config_of
from itb_assets.orchestration.alerts.desk import alerts_engine
from itb_assets.orchestration.alerts.records import EVENTS, TICKS
from itb_assets.settings import Settings


def settle_ours(connection: sa.Connection, settings: Settings, made_at: str) -> int:
    """Settle the alerts of a database that is put back, before anybody is in it; return what was given up.

    A file of alerts that is wrong keeps nobody from his data: then the words are English.
    """
    made, now = datetime.fromisoformat(made_at), datetime.now(UTC)
    return settle_restored(connection, made_at=made, now=now, spoken=Spoken(language=_language(settings)))


def settle_dagsters(settings: Settings) -> None:
    """Read Dagster's records anew after they were put back: their numbers are given a second time.

    The next look begins ten minutes back. Raises what the database raises.
    """
    if settings.database_url is None:
        return
    with alerts_engine(settings) as engine, engine.begin() as connection:
        for table in (EVENTS, TICKS):
            forget_cursor(connection, table)


def _language(settings: Settings) -> Language:
    try:
        return config_of(settings).language
    except ConfigError:
        return "en"
