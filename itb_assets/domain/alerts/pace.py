"""How fast a channel may be spoken to: a bucket of tokens, a pause asked for, the wait after a failure.

Times are handed in and nothing is sent or remembered here; that belongs to whoever delivers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LONGEST_WAIT_S = 60.0
"""Longest wait after a failure that named none itself, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a channel bears: `burst` messages at once, then `per_minute` each minute.

    `digest_below` is how many tokens have to be left for rows to travel one by one. `reserve` is what only a
    CRITICAL may use, so that it never waits for a token that a warning took a moment before.
    """

    burst: float = 7.0
    per_minute: float = 12.0
    digest_below: float = 4.0
    reserve: float = 1.0

    @property
    def most_in_a_minute(self) -> float:
        """The most messages that any 60 seconds can hold."""
        return self.burst + self.per_minute


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many tokens there were at a moment; below zero where more was sent than the limits allow."""

    limits: Limits
    tokens: float
    at: datetime

    @classmethod
    def full(cls, limits: Limits, at: datetime) -> Pace:
        """Return the pace of a channel that was left alone for long."""
        return cls(limits=limits, tokens=limits.burst, at=at)

    @classmethod
    def replayed(cls, limits: Limits, sent: Iterable[datetime], now: datetime) -> Pace:
        """Return the pace that messages sent at these times leave; equal times are one message."""
        times = sorted(set(sent))
        pace = cls.full(limits, min(times[0], now) if times else now)
        for time in times:
            pace = pace.taken(time)
        return pace.seen(now)

    def seen(self, now: datetime) -> Pace:
        """Return the same pace as it is now; a clock that was put back refills nothing."""
        elapsed = max(0.0, (now - self.at).total_seconds())
        tokens = min(self.limits.burst, self.tokens + elapsed * self.limits.per_minute / 60)
        return replace(self, tokens=tokens, at=now)

    def taken(self, now: datetime) -> Pace:
        """Return the pace after one message now."""
        seen = self.seen(now)
        return replace(seen, tokens=seen.tokens - 1)

    def given_back(self, now: datetime) -> Pace:
        """Return the pace after a message that never reached anybody who counts."""
        seen = self.seen(now)
        return replace(seen, tokens=min(self.limits.burst, seen.tokens + 1))

    def wait_s(self, now: datetime, tokens: float = 1.0) -> float:
        """Return how many seconds from now there are so many tokens; 0 when there are."""
        return max(0.0, tokens - self.seen(now).tokens) * 60 / self.limits.per_minute


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Until when a channel is left alone, and how long that was meant to be."""

    until: datetime
    length_s: float

    @classmethod
    def of(cls, length_s: float, now: datetime) -> Pause:
        """Return a pause of so many seconds from now."""
        return cls(until=now + timedelta(seconds=length_s), length_s=length_s)

    def seen(self, now: datetime) -> Pause:
        """Return the same pause; begun anew where the clock was put back, for none is longer than asked."""
        if (self.until - now).total_seconds() > self.length_s:
            return Pause.of(self.length_s, now)
        return self

    def left_s(self, now: datetime) -> float:
        """Return how many seconds of it are left; 0 when it is over."""
        return max(0.0, (self.seen(now).until - now).total_seconds())


def wait_after_failure_s(failures: int) -> float:
    """Return 2, 4, 8 .. 60 seconds after the first, second, third .. failure in a row."""
    if failures < 1:
        return 0.0
    return min(LONGEST_WAIT_S, 2.0 ** min(failures, 10))
