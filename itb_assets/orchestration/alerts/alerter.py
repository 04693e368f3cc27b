"""The alerter: computes the rules every few seconds and has what is to be told delivered, until told to stop.

What a rule says, who hears of it and how it is sent belong to `observability.alerts`; what Dagster says to
`watch`, which works beside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.dispatcher import HEARTBEAT, DispatchRules, run_dispatcher
from itb_assets.observability.alerts.rules import evaluate_all, tell
from itb_assets.observability.alerts.sessions import in_short
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import beat, beats, forget
from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alerts.channels import channels_of, config_of, docs_page
from itb_assets.orchestration.alerts.desk import RULES_HEARTBEAT, alerts_engine
from itb_assets.orchestration.alerts.watch import DagsterWatch
from itb_assets.orchestration.instance import register_secrets, running_database
from itb_assets.settings import Settings

RULES_EVERY_S = 2.0
RULES_LOCK = "itb alert rules"
"""Whoever holds it computes rules, or keeps others from it."""

KEPT = timedelta(days=180)
"""How long what is over is remembered: much longer than any reader of events looks back."""

ONCE_S = 45.0
FOLLOWED_WITHIN_S = 10.0
"""So long the first rules wait to know which markets are followed; after it they watch every stored one."""

PAUSE = timedelta(seconds=5)
"""After rounds that failed for longer than this, heartbeats are old because nobody could write them."""

_TIDIED_EVERY = timedelta(days=1)
_LEAVE_WITHIN_S = 5.0
_LOOK_S = 0.1
_ALONE = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")


@dataclass(frozen=True)
class RoundDone:
    """What a round of rules did: how many evaluations, how many fire, and what was news."""

    evaluations: int = 0
    firing: int = 0
    news: int = 0
    waiting: int = 0


@dataclass
class Alerter:
    """One deployment's alerter over a database that has its tables."""

    engine: sa.Engine
    config: AlertConfig
    channels: Sequence[Channel]
    watch: DagsterWatch | None = None
    docs_url: str = ""
    _tidied_at: datetime | None = field(default=None, repr=False)
    _rounds_at: datetime | None = field(default=None, repr=False)
    _failed: bool = field(default=False, repr=False)
    _watched_since: datetime | None = field(default=None, repr=False)

    def round(self, now: datetime) -> RoundDone:
        """Compute what is due and put what is news on its way, in one transaction.

        Nothing is done while another alerter is at it. Raises what the database raises.
        """
        followed = None if self.watch is None else self.watch.followed
        with self.engine.begin() as connection:
            self._rounds_at, self._failed = now, False
            if not connection.scalar(_ALONE, {"name": RULES_LOCK}):
                return RoundDone()
            found = evaluate_all(
                connection, self.config, now, followed=followed, watched_since=self._watched_since
            )
            tell(connection, found, self.config, now)
            beat(connection, RULES_HEARTBEAT, now, self._said(len(found.evaluations)))
        if self._tidied_at is None or now - self._tidied_at >= _TIDIED_EVERY:
            self._tidied_at = now
            self._tidy(now)
        firing = sum(each.state == "firing" for each in found.evaluations)
        return RoundDone(len(found.evaluations), firing, len(found.occurrences) + len(found.reports))

    def _tidy(self, now: datetime) -> None:
        """Forget what is long over, apart from the round: what fails of it is tried again on the next day."""
        try:
            with self.engine.begin() as connection:
                forget(connection, now - KEPT)
        except Exception as error:  # noqa: BLE001 - whatever it is, rules are computed all the same
            get_logger().warning("alerts that are long over are forgotten later: {}", redact(in_short(error)))

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a database that is away is waited for."""
        trouble = ""
        with self._delivering(stop), self._watching(stop):
            while not stop.is_set():
                try:
                    self.round(self._resumed(datetime.now(UTC)))
                    trouble = ""
                except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better
                    self._failed = True
                    if (words := redact(in_short(error))) != trouble:
                        trouble = words
                        get_logger().warning("rules of alerts are computed later: {}", words)
                stop.wait(RULES_EVERY_S)

    def _resumed(self, now: datetime) -> datetime:
        """Note when rounds begin, or go on after an outage of the database, in which nobody could beat."""
        if self._rounds_at is None or (self._failed and now - self._rounds_at > PAUSE):
            self._watched_since = now
        return now

    def once(self, *, within_s: float = ONCE_S) -> RoundDone:
        """Do one round and deliver until nothing is due; `waiting` is what did not go out within the time."""
        began, stop = datetime.now(UTC), threading.Event()
        with self._watching(stop):
            done = self.round(began)
            with self._delivering(stop):
                waiting = self._waiting(began)
                while waiting and datetime.now(UTC) - began < timedelta(seconds=within_s):
                    stop.wait(_LOOK_S)
                    waiting = self._waiting(began)
        with self.engine.begin() as connection:
            left = sum(each.rows for each in outbox.backlog(connection))
        return RoundDone(done.evaluations, done.firing, done.news, left)

    def _waiting(self, began: datetime) -> bool:
        """Whether a dispatcher has not looked since, or something waits for it."""
        with self.engine.begin() as connection:
            last = beats(connection).get(HEARTBEAT)
            return (
                last is None or last.at < began or (bool(self.channels) and bool(outbox.backlog(connection)))
            )

    def _deliver(self, stop: threading.Event) -> None:
        run_dispatcher(
            connect=self.engine.connect,
            channels=self.channels,
            spoken=Spoken(language=self.config.language, docs_url=self.docs_url),
            clock=lambda: datetime.now(UTC),
            stop=stop,
            rules=DispatchRules(
                escalate_to=self.config.escalation_channel,
                escalate_after_s=self.config.escalation_after.total_seconds(),
            ),
        )

    @contextmanager
    def _delivering(self, stop: threading.Event) -> Iterator[None]:
        """Deliver from another thread for the length of a block, and have it finish then."""
        worker = threading.Thread(target=self._deliver, args=(stop,), name="alerts")
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()

    @contextmanager
    def _watching(self, stop: threading.Event) -> Iterator[None]:
        """Look at Dagster from another thread for the length of a block, from after its first look.

        That and the last one are not waited for for long: they may hang in Dagster's database.
        """
        if self.watch is None:
            yield
            return
        watching = threading.Thread(target=self.watch.run, args=(stop,), name="events", daemon=True)
        watching.start()
        try:
            self.watch.asked.wait(FOLLOWED_WITHIN_S)
            yield
        finally:
            stop.set()
            watching.join(_LEAVE_WITHIN_S)

    def _said(self, evaluations: int) -> dict[str, object]:
        """Return what the heartbeat of the rules says."""
        return {"evaluations": evaluations, "events_wait": self.watch.trouble if self.watch else ""}


@contextmanager
def opened_alerter(settings: Settings) -> Iterator[Alerter]:
    """Yield the alerter of a deployment; its database is started where it is the embedded one.

    Raises ConfigError for settings or a file of alerts that are wrong, before anything is opened.
    """
    config, channels = config_of(settings), channels_of(settings)
    ours_alone = settings.model_copy(update={"dagster_url": None})  # Dagster's may be away
    with running_database(ours_alone) as running:
        ready = running.model_copy(update={"dagster_url": settings.dagster_url or running.dagster_url})
        register_secrets(ready)
        with alerts_engine(ready) as engine:
            url = engine.url.render_as_string(hide_password=False)
            yield Alerter(engine, config, channels, DagsterWatch(ready, url, config), docs_page(settings))
