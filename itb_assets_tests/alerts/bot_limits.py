"""How fast a bot may send, as published, and what a message that comes too early is told.

What a message may hold belongs to `bot_api`.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """The published limits; `chat_burst` messages may come at once, then `chat_per_s`."""

    chat_per_s: float = 1.0
    chat_burst: int = 8
    group_per_min: int = 20
    overall_per_s: int = 30


UNLIMITED = Limits(chat_per_s=1e9, chat_burst=10**9, group_per_min=10**9, overall_per_s=10**9)


@dataclass
class Meter:
    """Counts what was accepted; the caller keeps it to one thread at a time."""

    limits: Limits
    _chats: dict[str, tuple[float, float]] = field(default_factory=dict)
    _groups: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _all: deque[float] = field(default_factory=deque)

    def wait_s(self, chat: str, now: float) -> int:
        """Return 0 and count a message, or the whole seconds after which to ask again."""
        wait = max(self._chat_wait(chat, now), self._group_wait(chat, now), self._overall_wait(now))
        if wait > 0:
            return max(1, math.ceil(wait))
        tokens, _ = self._tokens(chat, now)
        self._chats[chat] = (tokens - 1, now)
        self._groups[chat].append(now)
        self._all.append(now)
        return 0

    def _tokens(self, chat: str, now: float) -> tuple[float, float]:
        tokens, at = self._chats.get(chat, (float(self.limits.chat_burst), now))
        return min(float(self.limits.chat_burst), tokens + (now - at) * self.limits.chat_per_s), now

    def _chat_wait(self, chat: str, now: float) -> float:
        tokens, _ = self._tokens(chat, now)
        return 0.0 if tokens >= 1 else (1 - tokens) / self.limits.chat_per_s

    def _group_wait(self, chat: str, now: float) -> float:
        if not chat.startswith("-"):
            return 0.0
        return _window_wait(self._groups[chat], now, 60.0, self.limits.group_per_min)

    def _overall_wait(self, now: float) -> float:
        return _window_wait(self._all, now, 1.0, self.limits.overall_per_s)


def _window_wait(times: deque[float], now: float, length_s: float, most: int) -> float:
    while times and times[0] <= now - length_s:
        times.popleft()
    return 0.0 if len(times) < most else times[len(times) - most] + length_s - now
