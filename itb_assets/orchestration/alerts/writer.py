"""Writes occurrences into the platform's database: one transaction for what was read and how far.

What becomes of an occurrence belongs to `observability.alerts`, what is read to `reading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import sqlalchemy as sa

from itb_assets.domain.alerts import Occurrence
from itb_assets.errors import ItbError
from itb_assets.observability.alerts import state, store
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.orchestration.alerts.channels import config_of
from itb_assets.orchestration.alerts.cursor import Read
from itb_assets.orchestration.alerts.words import unreadable
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.migrations import migrate

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 15
_UNANSWERED_MS = 10_000
_PATIENCE_MS = 1_000
_NOTICED = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds and times: a machine that vanished sends no word, so that no time limit of the server ends it."""
IDLE_TIMEOUT_S = 30
"""Who waits for Dagster this long in the middle of writing loses its turn, and another reader has it."""

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"
_REFUSED = (sa.exc.SQLAlchemyError, ItbError, ValueError, TypeError)
_OPEN = "SELECT fingerprint FROM alert_incidents WHERE resolved_at IS NULL"


class AlertWriter:
    """A way into the database that gives up soon: whoever tells of an error does not wait for long.

    Every method raises DatabaseUnavailable or another error of ours when the database does not do as told.
    """

    def __init__(
        self,
        url: str,
        config: AlertConfig,
        *,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
    ) -> None:
        """Remember where the database is, or raise InputError; the first use connects and migrates."""
        self._url = database_address(url)
        self.config = config
        self._timeout_ms = int(statement_timeout_s * 1000)
        self._idle_s = idle_timeout_s

    @contextmanager
    def writing(self, name: str, now: datetime) -> Iterator[Writing | None]:
        """Yield a transaction over a named cursor that commits on leaving; None while another has it."""
        with database_errors(self._url), self._migrated.begin() as connection:
            alone = connection.scalar(sa.text(_TRY_LOCK), {"name": f"alerts of {name}"})
            yield Writing(connection, self.config, name, now) if alone else None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a transaction that only reads."""
        with database_errors(self._url), self._migrated.begin() as connection:
            yield connection

    def tell(self, occurrence: Occurrence, now: datetime) -> None:
        """Write one occurrence in a transaction of its own, into tables that are there already."""
        with database_errors(self._url), self._engine.begin() as connection:
            Writing(connection, self.config, "", now).tell([occurrence])

    def beat(self, name: str, now: datetime, detail: Mapping[str, object]) -> None:
        """Keep that somebody is alive, whoever writes meanwhile."""
        with database_errors(self._url), self._migrated.begin() as connection:
            state.beat(connection, name, now, detail)

    def close(self) -> None:
        """Close all connections; a later use opens them anew."""
        self.__dict__.pop("_migrated", None)
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.dispose()

    @cached_property
    def _engine(self) -> sa.Engine:
        options = (
            f"-c statement_timeout={self._timeout_ms} -c lock_timeout={self._timeout_ms} "
            f"-c idle_in_transaction_session_timeout={int(self._idle_s * 1000)}"
        )
        return sa.create_engine(
            self._url,
            pool_size=1,
            max_overflow=1,
            pool_timeout=CONNECT_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args=_NOTICED
            | {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "tcp_user_timeout": min(_UNANSWERED_MS, self._timeout_ms + _PATIENCE_MS),
                "options": options,
            },
            hide_parameters=True,
        )

    @cached_property
    def _migrated(self) -> sa.Engine:
        migrate(self._engine)
        return self._engine


def writer_of(platform: Platform, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> AlertWriter | None:
    """Return the way to the tables of a platform; None where no database is configured.

    Raises ConfigError for a configuration of alerts that is wrong.
    """
    url = platform.settings.database_url
    if url is None:
        return None
    return AlertWriter(
        url.get_secret_value(), config_of(platform.settings), statement_timeout_s=statement_timeout_s
    )


@dataclass
class Writing:
    """A transaction in which occurrences are written and a cursor is moved."""

    connection: sa.Connection
    config: AlertConfig
    name: str
    now: datetime

    def cursor(self) -> Read | None:
        """Return how far it came; None where it never was."""
        found = state.read_cursor(self.connection, self.name)
        return None if found is None else Read.from_text(found)

    def tell(self, occurrences: Iterable[Occurrence]) -> int:
        """Write occurrences in their order; return how many there were to write.

        What is over is written only of what is open: nearly every run goes well. One that the tables refuse
        is told as such, once, and does not hold up the others.
        """
        told = [*self._wanted(occurrences)]
        if not told:
            return 0
        try:
            self._report(told)
        except sa.exc.OperationalError:  # the database, and not what it was told
            raise
        except _REFUSED:
            for each in told:
                self._report_apart(each)
        return len(told)

    def move(self, read: Read) -> None:
        """Keep how far it came."""
        state.move_cursor(self.connection, self.name, read.to_text(), self.now)

    def _wanted(self, occurrences: Iterable[Occurrence]) -> Iterator[Occurrence]:
        for each in occurrences:
            applied = self.config.applied(each)
            if applied is None or (each.resolves and each.fingerprint not in self._open):
                continue
            if not each.resolves:
                self._open.add(each.fingerprint)
            yield applied

    def _report(self, occurrences: Sequence[Occurrence]) -> None:
        with self.connection.begin_nested():
            store.report_all(self.connection, occurrences, now=self.now, routing=self.config.routing)

    def _report_apart(self, occurrence: Occurrence) -> None:
        try:
            self._report([occurrence])
        except sa.exc.OperationalError:
            raise
        except _REFUSED as error:
            self._report([unreadable("report", occurrence.event_id, error, self.now, self.config.language)])

    @cached_property
    def _open(self) -> set[str]:
        return set(self.connection.scalars(sa.text(_OPEN)))
