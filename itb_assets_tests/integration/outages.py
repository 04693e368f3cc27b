"""What tests of outages share: tables of alerts on a server that can be killed, causes, what was told.

The local Bot API and the dispatchers are those of the tests of alerts; judging belongs to each test.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.append(str(Path(__file__).parents[1] / "alerts"))

from bot_api import UNLIMITED, BotApi, Sent
from dispatching import (
    TOKEN,
    all_sent,
    dispatcher_process,
    dispatching,
    eventually,
    quick,
    rows,
    slack,
    telegram,
    the_log,
)

from itb_assets.domain.alerts import Level, Occurrence, Routing
from itb_assets.observability.alerts.store import report
from itb_assets.storage.database.migrations import migrate

ROUTING = Routing(channels=dict.fromkeys(Level, ("telegram",)))
REPEAT = "[possible repeat]"
CASE = re.compile(r"case-\d+")


def cause(number: int, at: datetime, *, level: Level = Level.ERROR, of: str = "") -> Occurrence:
    """Return a cause whose message names it; each is a thing of its own unless `of` names another."""
    return Occurrence(
        event_id=f"cause {number}",
        rule="outage",
        level=level,
        labels={"symbol": of or f"S{number}"},
        title=f"case-{number} went wrong",
        at=at,
    )


def told(engine: sa.Engine, occurrence: Occurrence, now: datetime, routing: Routing = ROUTING) -> None:
    """Report a cause in a transaction of its own."""
    with engine.begin() as connection:
        report(connection, occurrence, now=now, routing=routing)


@contextmanager
def tables(url: str | sa.URL) -> Iterator[sa.Engine]:
    """Yield an engine over a database with the tables of alerts; every use opens a connection."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    migrate(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def asked(engine: sa.Engine, statement: str, **values: Any) -> list[Any]:
    """Return what a statement finds."""
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement), values)
        return list(found) if found.returns_rows else []


def cases(text: str) -> set[str]:
    """Return the cases that a text names."""
    return set(CASE.findall(text.lower()))


def named(sent: Iterable[Sent]) -> Counter[str]:
    """Return how many messages name each case."""
    return Counter(case for message in sent for case in cases(message.text))


__all__ = [
    "REPEAT",
    "ROUTING",
    "TOKEN",
    "UNLIMITED",
    "BotApi",
    "Sent",
    "all_sent",
    "asked",
    "cases",
    "cause",
    "dispatcher_process",
    "dispatching",
    "eventually",
    "named",
    "quick",
    "rows",
    "slack",
    "tables",
    "telegram",
    "the_log",
    "told",
]
