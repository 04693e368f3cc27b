"""The local Bot API of the tests of alerts, and a deployment of the command line that speaks to it.

What the server accepts and refuses belongs to `bot_api`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from itb_command import Itb

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.storage.database.migrations import migrate

sys.path.append(str(Path(__file__).parents[1] / "alerts"))

from bot_api import SLACK_PATH, BotApi

TOKEN = "123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly"  # noqa: S105 - of no bot
SECRETS = (TOKEN, TOKEN.partition(":")[2], SLACK_PATH)


def deployment(folder: Path, url: str, **settings: str) -> Itb:
    """Return the command over a database, with no channel unless the settings say so."""
    base = {"ITB_DATA_ROOT": str(folder / "data root"), "ITB_DATABASE_URL": url, "ITB_LOG_LEVEL": "INFO"}
    return Itb(folder, base | settings)


def telegram(api_url: str) -> dict[str, str]:
    """Return the settings of a bot at an address."""
    return {"ITB_TELEGRAM_TOKEN": TOKEN, "ITB_TELEGRAM_CHAT": "42", "ITB_TELEGRAM_URL": api_url}


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """Yield a transaction over the tables."""
    engine = sa.create_engine(url)
    migrate(engine)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def wrong(url: str, event: str, **labels: str) -> int:
    """Report that a training failed; return the incident's number."""
    now = datetime.now(UTC)
    occurrence = Occurrence(
        event_id=event,
        rule="training_failed",
        level=Level.ERROR,
        labels=labels,
        title="training failed",
        detail="no rows",
        at=now,
    )
    with connected(url) as connection:
        told = store.report(connection, occurrence, now=now, routing=load_config().routing)
    assert told.incident is not None
    return told.incident.id


def counted(url: str, table: str) -> int:
    """Return how many rows a table has."""
    with connected(url) as connection:
        found: Any = connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))  # noqa: S608 - ours
    return int(found)


__all__ = ["SECRETS", "TOKEN", "BotApi", "connected", "counted", "deployment", "telegram", "wrong"]
