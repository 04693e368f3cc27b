"""A lane driven step by step, over a clock that only moves when it waits: an hour of it takes seconds.

Real tables and a real channel; what must come of it belongs to the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from itb_assets.observability.alerts.channels import Channel, Receipt
from itb_assets.observability.alerts.lane import Lane, LaneRules
from itb_assets.observability.alerts.spoken import Spoken


@dataclass
class HandClock:
    """Shows what it was set to."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        """Go on, or back."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Noted:
    """A channel that notes when it was asked to send what, and what became of it."""

    channel: Channel
    clock: HandClock
    name: str = "telegram"
    tries: list[datetime] = field(default_factory=list)
    brought: list[tuple[datetime, str]] = field(default_factory=list)

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        self.tries.append(self.clock())
        receipt = self.channel.send(text_html, chart)
        self.brought.append((self.clock(), text_html))
        return receipt


@dataclass
class Steps:
    """A lane in one session, which works for as long as it is told to."""

    lane: Lane
    connection: sa.Connection
    clock: HandClock

    def work(self, seconds: float) -> None:
        """Let so much time pass."""
        left = seconds
        while left > 0:
            wait = min(self.lane.step(self.connection), 1.0, left)
            self.clock.move(wait)
            left -= wait or 0.005  # what a request takes


@contextmanager
def stepping(engine: sa.Engine, channel: Channel, clock: HandClock, *, other: str = "") -> Iterator[Steps]:
    """Yield a lane in a session of its own, begun as one that goes on where another was."""
    lane = Lane(
        channel, connect=engine.connect, clock=clock, spoken=Spoken(), other=other or None, rules=LaneRules()
    )
    with engine.connect() as connection:
        lane._restore(connection)
        yield Steps(lane, connection, clock)
