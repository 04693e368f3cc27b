"""What a channel's lane remembers in the database, so that a new process goes on where a dead one was.

Its pace, a pause that was asked for, failures in a row, and chats that moved. What is done about them belongs
to `lane`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.pace import Limits, Pace, Pause, wait_after_failure_s
from itb_assets.observability.alerts.state import move_cursor, read_cursor

LONGEST_PAUSE_S = 4.0
"""Longest pause of a whole lane after a failure that named none, in seconds."""


@dataclass(frozen=True, kw_only=True)
class LaneState:
    """How fast the channel was spoken to, until when it is left alone, and how often it failed in a row."""

    pace: Pace
    pause: Pause
    failures: int = 0

    def seen(self, now: datetime) -> LaneState:
        """Return the same state as it is now."""
        return replace(self, pace=self.pace.seen(now), pause=self.pause.seen(now))

    def taken(self, now: datetime) -> LaneState:
        """Return the state once a message is on its way."""
        return replace(self, pace=self.pace.taken(now))

    def paused(self, length_s: float, now: datetime) -> LaneState:
        """Return the state once the channel asked to be left alone for so many seconds."""
        return replace(self, pause=Pause.of(length_s, now))

    def failed(self, now: datetime, *, reached: bool) -> LaneState:
        """Return the state after a failure without a word of when to come again.

        Where nothing `reached` the channel, nothing counts against its limits. The lane pauses half as long
        as the rows that failed, and never long: others get their turn before these do, so that one message
        which never gets through does not keep back the rest, and what is new finds out soon that the channel
        is back.
        """
        failures = self.failures + 1
        pause = Pause.of(min(wait_after_failure_s(failures) / 2, LONGEST_PAUSE_S), now)
        pace = self.pace.seen(now) if reached else self.pace.given_back(now)
        return replace(self, failures=failures, pause=pause, pace=pace)

    def reached(self, now: datetime) -> LaneState:
        """Return the state once the channel answered."""
        return replace(self, failures=0, pause=Pause.of(0, now))

    def careful(self, other: LaneState) -> LaneState:
        """Return of two memories of one channel the one that waits longer, in each respect."""
        return LaneState(
            pace=min(self.pace, other.pace, key=lambda pace: pace.tokens),
            pause=max(self.pause, other.pause, key=lambda pause: pause.until),
            failures=max(self.failures, other.failures),
        )

    def wait_s(self, now: datetime) -> float:
        """Return how many seconds to wait for one message."""
        return max(self.pause.left_s(now), self.pace.wait_s(now))


def load_state(
    connection: sa.Connection, channel: str, *, limits: Limits, sent: Iterable[datetime], now: datetime
) -> LaneState:
    """Return what is remembered of a channel, never less careful than the times it was sent to say."""
    replayed = Pace.replayed(limits, sent, now)
    stored = _stored(read_cursor(connection, _name(channel)))
    try:
        pace = Pace(limits=limits, tokens=float(stored["tokens"]), at=_time(stored["at"])).seen(now)
        pause = Pause(until=_time(stored["until"]), length_s=float(stored["length_s"])).seen(now)
        failures = int(stored["failures"])
    except (KeyError, TypeError, ValueError):
        return LaneState(pace=replayed, pause=Pause.of(0, now))
    return LaneState(pace=min(pace, replayed, key=lambda each: each.tokens), pause=pause, failures=failures)


def save_state(connection: sa.Connection, channel: str, state: LaneState, now: datetime) -> None:
    """Remember the state of a channel."""
    stored = {
        "tokens": state.pace.tokens,
        "at": state.pace.at.isoformat(),
        "until": state.pause.until.isoformat(),
        "length_s": state.pause.length_s,
        "failures": state.failures,
    }
    move_cursor(connection, _name(channel), json.dumps(stored), now)


def chat_now(connection: sa.Connection, channel: str, chat: str) -> str:
    """Return where the chat of the settings is now, after every move that was seen."""
    seen = {chat}
    while True:
        moved = read_cursor(connection, _move(channel, chat))
        if not moved or moved in seen:
            return chat
        chat = moved
        seen.add(chat)


def remember_move(connection: sa.Connection, channel: str, old: str, new: str, now: datetime) -> None:
    """Remember that a chat has another number from now on."""
    move_cursor(connection, _move(channel, old), new, now)


def _name(channel: str) -> str:
    return f"lane:{channel}"


def _move(channel: str, chat: str) -> str:
    return f"moved:{channel}:{chat}"


def _stored(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return found
