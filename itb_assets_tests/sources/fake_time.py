"""A clock that moves only when somebody sleeps, so that waiting is tested without waiting."""

from __future__ import annotations

import threading


class FakeTime:
    """`sleep` moves `clock_s`, and every sleep is remembered."""

    def __init__(self) -> None:
        """Start at no particular time."""
        self.now_s = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def clock_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now_s += seconds
