"""What `itb ui` does about alerts: no rule speaks while its servers start or stop, and one that ends is told.

What an alerter does belongs to `alerter`, which servers there are to `web`. Trouble with alerts of a UI
that runs is logged and does not end it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.errors import ProcessEnded
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.sessions import in_short
from itb_assets.observability.alerts.state import Beat, beats
from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alerts.alerter import RULES_LOCK
from itb_assets.orchestration.alerts.channels import channel_names, config_of
from itb_assets.orchestration.alerts.desk import alerts_engine
from itb_assets.orchestration.alerts.phrases import phrase
from itb_assets.orchestration.alerts.reading import HEARTBEAT
from itb_assets.orchestration.alerts.words import DAEMON_ERROR, action_of
from itb_assets.orchestration.alerts.writer import Writing
from itb_assets.orchestration.children import Child
from itb_assets.settings import Settings

QUIET_S = 120.0
"""Longest time that rules wait for the first look at Dagster's events after a start."""

TELL_S = 10.0
"""Longest time that the end waits for its alert to be delivered."""

_LOOK_S = 1.0
_SOON_S = 0.1
_PATIENCE = sa.text("SET lock_timeout = '5s'")
_LOCK = sa.text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")
_WAITING = sa.text(
    "SELECT count(*) FROM alert_outbox AS o JOIN alert_incidents AS i ON i.id = o.incident_id "
    "WHERE i.fingerprint = :fingerprint AND o.sent_at IS NULL AND o.dead_at IS NULL"
)


@dataclass
class UiAlerts:
    """The alerts of one running UI; `names` are the channels that are told, none where none is set up."""

    engine: sa.Engine
    config: AlertConfig
    names: Sequence[str]
    _quiet: sa.Connection | None = field(default=None, repr=False)
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _looked: float = 0.0

    def pause_rules(self) -> None:
        """Have no rule computed until `resume_rules`: what starts or stops on purpose is not silent."""
        if not self.names or self._quiet is not None:
            return
        with _told_apart("rules are not paused"):
            connection = self.engine.connect()
            self._quiet, self._since = connection, datetime.now(UTC)
            connection.execute(_PATIENCE)
            connection.execute(_LOCK, {"name": RULES_LOCK})
            connection.commit()

    def resume_rules(self) -> None:
        """Have rules computed again; the lock goes with its connection."""
        if self._quiet is not None:
            with suppress(sa.exc.SQLAlchemyError):
                self._quiet.close()
            self._quiet = None

    def look(self) -> None:
        """Resume the rules as soon as Dagster's events are read, or should have been long ago."""
        if self._quiet is None or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        late = (datetime.now(UTC) - self._since).total_seconds() > QUIET_S
        if late or self._read_since():
            self.resume_rules()

    def _read_since(self) -> bool:
        beat: Beat | None = None
        with _told_apart("rules wait"), self.engine.begin() as connection:
            beat = beats(connection).get(HEARTBEAT)
        return beat is not None and beat.at >= self._since

    @contextmanager
    def telling_ends(self, children: Sequence[Child], deliver: Callable[[], Child | None]) -> Iterator[None]:
        """Tell that a server ended by itself, when that ends the body; wait a while until it was delivered.

        `deliver` is called where the alerter itself is gone, and starts one that delivers and leaves.
        """
        try:
            yield
        except ProcessEnded as error:
            ended = [child for child in children if child.process.poll() is not None] or [*children[-1:]]
            with _told_apart("the end is not told"):
                self._tell_end(ended[0].name, str(error).partition("; ")[0])
                alive = any(child.name == "alerter" for child in children if child not in ended)
                self._delivered(ended[0].name, None if alive else deliver())
            raise

    def over(self, names: Iterable[str]) -> None:
        """Say of servers that they work again, which is news where their end was told."""
        with _told_apart("what is over is told later"):
            self._write([_of(name, "", self.config.language, resolves=True) for name in names])

    def _tell_end(self, name: str, detail: str) -> None:
        self._write([_of(name, redact(detail), self.config.language)])

    def _delivered(self, name: str, last: Child | None) -> None:
        """Wait until nobody waits for the alert, or the time is up; end whom it was left to."""
        until, fingerprint = time.monotonic() + TELL_S, _of(name, "", self.config.language).fingerprint
        try:
            while time.monotonic() < until and (last is None or last.process.poll() is None):
                with self.engine.begin() as connection:
                    if not connection.scalar(_WAITING, {"fingerprint": fingerprint}):
                        return
                time.sleep(_SOON_S)
            get_logger().warning("the alert of the end waits: it is sent when an alerter runs again")
        finally:
            if last is not None:
                last.process.kill()
                last.process.wait()

    def _write(self, occurrences: Sequence[Occurrence]) -> None:
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            Writing(connection, self.config, "ui", now).tell(occurrences)


@contextmanager
def ui_alerts(settings: Settings) -> Iterator[UiAlerts]:
    """Yield the alerts of a UI whose database answers."""
    with alerts_engine(settings) as engine:
        alerts = UiAlerts(engine, config_of(settings), channel_names(settings))
        try:
            yield alerts
        finally:
            alerts.resume_rules()


def _of(name: str, detail: str, language: Language, *, resolves: bool = False) -> Occurrence:
    now = datetime.now(UTC)
    return Occurrence(
        event_id=f"ui:{name}:{now.timestamp():.6f}",
        rule=DAEMON_ERROR,
        level=Level.ERROR,
        labels={"server": name},
        title=phrase("server works" if resolves else "server ended", language, name),
        detail=detail,
        action=action_of(DAEMON_ERROR),
        at=now,
        resolves=resolves,
    )


@contextmanager
def _told_apart(what: str) -> Iterator[None]:
    """Log what goes wrong with the alerts, and go on without."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the UI is worth more than its alerts
        get_logger().warning("alerts: {}: {}", what, redact(in_short(error)))
