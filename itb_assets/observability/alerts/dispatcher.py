"""Brings what the outbox holds to people: one dispatcher of a database, a lane for each channel.

Here is what concerns all channels: who is the one, waking, what is late, the heartbeat and the daily word
that it is alive. How a channel is spoken to belongs to `lane`, what is said to `messages` and `digest`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.escalation import escalate, rehome
from itb_assets.observability.alerts.lane import Clock, Lane, LaneRules
from itb_assets.observability.alerts.sessions import Connect, hold, in_short, listen, session, wait_for_notice
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import beat
from itb_assets.observability.logs import get_logger

HEARTBEAT = "alerter"
"""The name under which the dispatcher says that it lives."""

LOCK = "itb alerts"
_STOPS_WITHIN_S = 1.0
_FIGURES = sa.text(
    "SELECT count(*) FILTER (WHERE sent_at >= :since) AS sent, "
    "count(*) FILTER (WHERE dead_at >= :since) AS dead, "
    "count(*) FILTER (WHERE sent_at IS NULL AND dead_at IS NULL) AS waiting, "
    "(SELECT count(*) FROM alert_incidents WHERE resolved_at IS NULL) AS open FROM alert_outbox"
)
_OLDEST = sa.text(  # of what beats all the time: bills come once a day
    "SELECT name, at FROM heartbeats WHERE NOT starts_with(name, 'cloud_cost') ORDER BY at, name LIMIT 1"
)


@dataclass(frozen=True, kw_only=True)
class DispatchRules:
    """When a dispatcher does what; lengths in seconds, `alive_hour` in UTC.

    A CRITICAL that its channel did not take within `escalate_after_s` goes over `escalate_to` as well, None:
    over no other.
    """

    lane: LaneRules = field(default_factory=LaneRules)
    escalate_to: str | None = None
    escalate_after_s: float = 15.0
    look_every_s: float = 1.0
    beat_every_s: float = 5.0
    alive_hour: int = 6


def run_dispatcher(
    *,
    connect: Connect,
    channels: Sequence[Channel],
    spoken: Spoken,
    clock: Clock,
    stop: threading.Event,
    rules: DispatchRules | None = None,
) -> None:
    """Deliver until `stop` is set, then finish the sends under way and return.

    The first of `channels` is told daily that all is well; the other one takes over what a channel refuses.
    `connect` opens a connection to the database with the tables; one that is away is waited for. Where
    another dispatcher works on the same database, this one waits until that is gone.
    """
    rules = rules or DispatchRules()
    lanes = _lanes(connect, channels, spoken, clock, rules)
    keeper = _Keeper(lanes, channels, spoken, clock, rules)
    trouble = ""
    while not stop.is_set():
        try:
            with session(connect) as connection:
                if hold(connection, LOCK, stop, every_s=rules.look_every_s):
                    trouble = ""
                    _reign(connection, keeper, stop)
        except Exception as error:  # noqa: BLE001 - the one process that tells of failures does not end of one
            if (words := in_short(error)) != trouble:
                trouble = words
                get_logger().warning(f"alerts wait for the database: {words}")
            stop.wait(rules.look_every_s)


def _lanes(
    connect: Connect, channels: Sequence[Channel], spoken: Spoken, clock: Clock, rules: DispatchRules
) -> list[Lane]:
    names = [channel.name for channel in channels]
    if len(set(names)) != len(names):
        raise ValueError(f"channels are {', '.join(names)}: expected each name once")
    return [
        Lane(
            channel,
            connect=connect,
            clock=clock,
            spoken=spoken,
            other=next((name for name in names if name != channel.name), None),
            rules=rules.lane,
        )
        for channel in channels
    ]


def _reign(connection: sa.Connection, keeper: _Keeper, stop: threading.Event) -> None:
    """Be the one dispatcher for as long as this session lives."""
    listen(connection, outbox.WAKE)
    with connection.begin():
        outbox.clear_leases(connection)
    with keeper.working():
        while not stop.is_set():
            keeper.look(connection)
            if wait_for_notice(connection, min(keeper.rules.look_every_s, _STOPS_WITHIN_S)):
                keeper.wake()
                stop.wait(0.02)  # a hundred notices at once are one


class _Keeper:
    """What is done for all lanes, and the threads they run in."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        channels: Sequence[Channel],
        spoken: Spoken,
        clock: Clock,
        rules: DispatchRules,
    ) -> None:
        self.rules = rules
        self._lanes, self._clock = lanes, clock
        self._spoken = spoken
        self._names = [channel.name for channel in channels]
        self._looked_at: datetime | None = None
        self._beat_at: datetime | None = None
        self._alive_on = ""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run the lanes for the length of a block; leaving it waits for the sends under way."""
        self._looked_at, self._beat_at = None, None  # a session that broke lost its last words
        self._alive_on = ""
        leave = threading.Event()
        threads = [
            threading.Thread(target=lane.run, args=(leave,), name=f"alerts {lane.name}")
            for lane in self._lanes
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            leave.set()
            self.wake()
            for thread in threads:
                thread.join()

    def wake(self) -> None:
        """Let every lane look now."""
        for lane in self._lanes:
            lane.wake()

    def look(self, connection: sa.Connection) -> None:
        """Do what is due: the late over another channel, the heartbeat, the daily word."""
        now = self._clock()
        if not _due(self._looked_at, now, self.rules.look_every_s):
            return
        with connection.begin():
            self._look(connection, now)
        self._looked_at = now

    def _look(self, connection: sa.Connection, now: datetime) -> None:
        self._move_on(connection, now)
        if _due(self._beat_at, now, self.rules.beat_every_s):
            beat(connection, HEARTBEAT, now, self._report(connection))
            self._beat_at = now
        utc = now.astimezone(UTC)  # one day to all, whatever the zone of the clock that was handed in
        today = utc.date().isoformat()
        if self._names and utc.hour >= self.rules.alive_hour and today != self._alive_on:
            self._alive_on = today
            try:
                with connection.begin_nested():
                    self._say_alive(connection, today, now)
            except Exception as error:  # noqa: BLE001 - what fails to say that all is well keeps nothing back
                get_logger().error(f"the daily message could not be made: {in_short(error)}")

    def _move_on(self, connection: sa.Connection, now: datetime) -> None:
        to, after_s = self.rules.escalate_to, self.rules.escalate_after_s
        if to in self._names:
            escalate(connection, to=to, after_s=after_s, now=now)
        if self._names and (moved := rehome(connection, set_up=self._names, to=self._names[0], now=now)):
            get_logger(outbox=moved).warning(f"their channel is not set up: sent over {self._names[0]}")

    def _report(self, connection: sa.Connection) -> dict[str, Any]:
        waiting = {
            each.channel: {"waiting": each.rows, "oldest_at": each.oldest_at.isoformat()}
            for each in outbox.backlog(connection)
        }
        lanes = {lane.name: lane.report() | waiting.pop(lane.name, {"waiting": 0}) for lane in self._lanes}
        return {"pid": os.getpid(), "channels": lanes, "without_channel": waiting}

    def _say_alive(self, connection: sa.Connection, today: str, now: datetime) -> None:
        counts = connection.execute(_FIGURES, {"since": now - timedelta(days=1)}).mappings().one()
        found = connection.execute(_OLDEST).one_or_none()
        oldest = None if found is None else (str(found.name), now - found.at)
        draft = outbox.Draft(
            dedup_key=f"alive:{today}",
            channel=self._names[0],
            level=Level.INFO,
            kind="alive",
            message=self._spoken.alive(now, oldest=oldest, **counts),
        )
        outbox.enqueue(connection, draft, now=now)


def _due(last: datetime | None, now: datetime, every_s: float) -> bool:
    """Return whether it is time again; a clock that was put back makes it so."""
    return last is None or not 0 <= (now - last).total_seconds() < every_s
