"""The alerter: computes the rules every few seconds and has what is to be told delivered, until told to stop.

What a rule says, who hears of it and how it is sent belong to `observability.alerts`; events of Dagster to
the sensor.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa

from itb_assets.domain.markets import Market
from itb_assets.errors import InvalidMarket
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.dispatcher import HEARTBEAT, DispatchRules, run_dispatcher
from itb_assets.observability.alerts.rules import evaluate_all, tell
from itb_assets.observability.alerts.sessions import in_short
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import beat, beats, forget
from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alert_channels import channels_of, config_of
from itb_assets.orchestration.alert_desk import RULES_HEARTBEAT, alerts_engine
from itb_assets.orchestration.instance import running_instance
from itb_assets.orchestration.runner import followed_symbols
from itb_assets.settings import Settings

RULES_EVERY_S = 2.0
KEPT = timedelta(days=180)
"""How long what is over is remembered: much longer than any reader of events looks back."""

ONCE_S = 45.0
_TIDIED_EVERY = timedelta(days=1)
_FOLLOWED_EVERY = timedelta(minutes=1)
_LOOK_S = 0.1
_ALONE = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('itb alert rules', 0))")


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
    instance: dg.DagsterInstance | None = None
    freqs: Sequence[str] = ()
    _followed: Collection[Market] | None = None
    _followed_at: datetime | None = field(default=None, repr=False)
    _tidied_at: datetime | None = field(default=None, repr=False)

    def round(self, now: datetime) -> RoundDone:
        """Compute what is due and put what is news on its way, in one transaction.

        Nothing is done while another alerter is at it. Raises what the database raises.
        """
        followed = self._markets(now)
        with self.engine.begin() as connection:
            if not connection.scalar(_ALONE):
                return RoundDone()
            found = evaluate_all(connection, self.config, now, followed=followed)
            tell(connection, found, self.config, now)
            beat(connection, RULES_HEARTBEAT, now, {"evaluations": len(found.evaluations)})
            if self._tidied_at is None or now - self._tidied_at >= _TIDIED_EVERY:
                forget(connection, now - KEPT)
                self._tidied_at = now
        firing = sum(each.state == "firing" for each in found.evaluations)
        return RoundDone(len(found.evaluations), firing, len(found.occurrences) + len(found.reports))

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a database that is away is waited for."""
        worker = threading.Thread(target=self._deliver, args=(stop,), name="alerts")
        worker.start()
        trouble = ""
        try:
            while not stop.is_set():
                try:
                    self.round(datetime.now(UTC))
                    trouble = ""
                except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better
                    if (words := redact(in_short(error))) != trouble:
                        trouble = words
                        get_logger().warning("rules of alerts are computed later: {}", words)
                stop.wait(RULES_EVERY_S)
        finally:
            stop.set()
            worker.join()

    def once(self, *, within_s: float = ONCE_S) -> RoundDone:
        """Do one round and deliver until nothing is due; `waiting` is what did not go out within the time."""
        began, stop = datetime.now(UTC), threading.Event()
        done = self.round(began)
        worker = threading.Thread(target=self._deliver, args=(stop,), name="alerts")
        worker.start()
        try:
            waiting = self._waiting(began)
            while waiting and datetime.now(UTC) - began < timedelta(seconds=within_s):
                stop.wait(_LOOK_S)
                waiting = self._waiting(began)
        finally:
            stop.set()
            worker.join()
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
            spoken=Spoken(language=self.config.language),
            clock=lambda: datetime.now(UTC),
            stop=stop,
            rules=DispatchRules(
                escalate_to=self.config.escalation_channel,
                escalate_after_s=self.config.escalation_after.total_seconds(),
            ),
        )

    def _markets(self, now: datetime) -> Collection[Market] | None:
        """Return the followed markets, asked for once in a while; None: every stored one."""
        if self.instance is None:
            return None
        if self._followed_at is None or now - self._followed_at >= _FOLLOWED_EVERY:
            try:
                self._followed = frozenset(_followed(self.instance, self.freqs))
            except Exception as error:  # noqa: BLE001 - Dagster's database may be away and ours be there
                get_logger().warning("followed markets are asked for later: {}", redact(in_short(error)))
            self._followed_at = now
        return self._followed


def _followed(instance: dg.DagsterInstance, freqs: Sequence[str]) -> Iterator[Market]:
    for symbol in followed_symbols(instance):
        for freq in freqs:
            try:
                yield Market(symbol, freq)
            except InvalidMarket:  # somebody added a key in the UI that is no symbol
                continue


@contextmanager
def opened_alerter(settings: Settings) -> Iterator[Alerter]:
    """Yield the alerter of a deployment; its database is started where it is the embedded one.

    Raises ConfigError for settings or a file of alerts that are wrong, before anything is opened.
    """
    config, channels = config_of(settings), channels_of(settings)
    with running_instance(settings) as (ready, instance), alerts_engine(ready) as engine:
        yield Alerter(engine, config, channels, instance, freqs=ready.freqs)
