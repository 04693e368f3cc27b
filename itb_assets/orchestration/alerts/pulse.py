"""Who has to be alive for alerts to arrive, how long ago each was, and what it means where one is not.

Writing heartbeats belongs to those who live, telling of a silent one to the rules and to Prometheus.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from itb_assets.observability.alerts.dispatcher import HEARTBEAT as DISPATCHER
from itb_assets.observability.alerts.state import beats
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT, SILENT_S
from itb_assets.orchestration.alerts.reading import HEARTBEAT as READER
from itb_assets.orchestration.schema import known_url
from itb_assets.settings import Settings
from itb_assets.storage.database.errors import database_address, database_errors

ALERTER = (DISPATCHER, RULES_HEARTBEAT)
"""What `itb alerter` keeps alive."""

_LIVE = {
    DISPATCHER: "alerts are delivered",
    RULES_HEARTBEAT: "rules are computed",
    READER: "Dagster's events are read",
}
_GONE = {
    DISPATCHER: "nothing is delivered: start `itb alerter`",
    RULES_HEARTBEAT: "no rule is computed: start `itb alerter`",
    READER: "the daemon or the code server is gone, and what fails meanwhile is told late: start `itb ui` or "
    "the services",
}
_NO_DAEMON = "no daemon has run here, whose sensor writes it"
_QUICK = {"connect_timeout": 3, "tcp_user_timeout": 5000}  # seconds, milliseconds
_THERE = sa.text("SELECT to_regclass('heartbeats') IS NOT NULL")


@dataclass(frozen=True)
class Pulse:
    """One heartbeat: whose, how many seconds old (None: it never was), and that in words."""

    name: str
    age_s: float | None

    @property
    def needed(self) -> bool:
        """Whether alerts do not arrive, or not all of them, without it."""
        return self.name in _LIVE

    @property
    def fresh(self) -> bool:
        """Whether it is as new as that of something that lives."""
        return self.age_s is not None and self.age_s <= SILENT_S

    @property
    def silent(self) -> bool:
        """Whether it is missed; a reader of Dagster's events that never was is not: no daemon runs."""
        return self.needed and not self.fresh and (self.age_s is not None or self.name in ALERTER)

    @property
    def words(self) -> str:
        """Say how old it is and what that means."""
        if self.age_s is None:
            return f"never: {_GONE[self.name] if self.silent else _NO_DAEMON}"
        ago = f"{timedelta(seconds=round(self.age_s))} ago"
        if self.silent:
            return f"{ago}, more than {SILENT_S} s: {_GONE[self.name]}"
        return f"{ago}: {_LIVE[self.name]}" if self.needed else ago


def quick_engine(url: sa.URL) -> sa.Engine:
    """Return an engine for questions that are not worth waiting for; it keeps no connection."""
    return sa.create_engine(url, poolclass=NullPool, connect_args=_QUICK)


def pulses(connection: sa.Connection, now: datetime) -> list[Pulse]:
    """Return the heartbeats that alerts need, in that order, then all others by name."""
    known = beats(connection) if connection.scalar(_THERE) else {}
    found = {name: max(0.0, (now - each.at).total_seconds()) for name, each in known.items()}
    names = [*_LIVE, *(name for name in found if name not in _LIVE)]
    return [Pulse(name, found.get(name)) for name in names]


def known_pulses(settings: Settings) -> Sequence[Pulse]:
    """Return the heartbeats of a deployment; none where its embedded database does not run.

    Raises what the database raises, as errors of ours.
    """
    url = known_url(settings)
    if url is None:
        return ()
    address = database_address(url)
    with database_errors(address), closing(quick_engine(address).connect()) as connection:
        return pulses(connection, datetime.now(UTC))
