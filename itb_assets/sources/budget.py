"""The request weight that all threads of this process may spend in a minute, and the pauses they share.

Which request weighs what belongs to the caller, what an answer says belongs to `http`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from itb_assets.errors import RateLimited
from itb_assets.sources.protocol import Sleep

WINDOW_S = 60.0
CAUTIOUS_LIMIT = 1200
"""Weight a minute until the exchange says its own limit: the lowest Binance ever had."""


class WeightBudget:
    """Blocks callers before the exchange's limit is passed, and all of them while it asked for a pause.

    The limit is what exchangeInfo says, the weight used what the last answer's header says plus what is
    under way. `share` of the limit is spent, the rest left to others behind the same address.
    A minute starts with the first weight spent in it, so at worst a caller waits a minute too long.
    """

    def __init__(
        self,
        *,
        limit: int = CAUTIOUS_LIMIT,
        share: float = 0.9,
        sleep: Sleep = time.sleep,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start an empty window; `clock_s` need only move forward, `sleep` need not move it."""
        self._sleep, self._clock, self._share = sleep, clock_s, share
        self._limit = limit
        self._lock = threading.Lock()
        self._used = 0
        self._in_flight = 0
        self._window_start = self._clock()
        self._resume_at = self._window_start
        self._slept_ahead = 0.0

    @property
    def limit(self) -> int:
        """Weight a minute that the exchange allows."""
        return self._limit

    @property
    def used(self) -> int:
        """Weight spent in this window, requests under way included."""
        with self._lock:
            return self._used + self._in_flight

    def set_limit(self, limit: int) -> None:
        """Take over the limit that exchangeInfo states."""
        with self._lock:
            self._limit = max(1, limit)

    def acquire(self, weight: int, *, longest_pause_s: float = math.inf) -> float:
        """Take `weight`, waiting while it does not fit or a pause lasts; return the seconds slept.

        Raise RateLimited, without waiting, while a pause lasts for more than `longest_pause_s`: whoever was
        told to pause has given up, and a request sent before its end would prolong a ban.
        """
        slept = 0.0
        while True:
            with self._lock:
                pause_s = self._resume_at - self._now()
                if pause_s > longest_pause_s:
                    raise _paused(pause_s, longest_pause_s)
                until = self._blocked_until(weight)
                wait = until - self._now()
                if wait <= 0:
                    self._in_flight += weight
                    return slept
            self._sleep(wait)
            slept += wait
            with self._lock:  # a sleep that returned counts as slept, also on a clock that stands still
                self._slept_ahead = max(self._slept_ahead, until - self._clock())

    def settle(self, weight: int, used_by_header: int | None) -> None:
        """Book a request that was answered; the header's count wins where there is one.

        A header lower than our count means that the exchange's minute began anew.
        """
        with self._lock:
            self._in_flight -= weight
            if used_by_header is None:
                self._used += weight
                return
            if used_by_header < self._used and used_by_header <= weight + self._in_flight:
                self._window_start, self._used = self._now(), used_by_header
            self._used = max(self._used, used_by_header)

    def pause(self, seconds: float) -> None:
        """Hold every thread's next request for `seconds`, counted from now."""
        with self._lock:
            self._resume_at = max(self._resume_at, self._now() + seconds)

    def _now(self) -> float:
        return self._clock() + self._slept_ahead

    def _blocked_until(self, weight: int) -> float:
        now = self._now()
        if now >= self._window_start + WINDOW_S:
            self._window_start, self._used = now, 0
        spent = self._used + self._in_flight
        fits = spent == 0 or spent + weight <= self._limit * self._share
        return self._resume_at if fits else max(self._resume_at, self._window_start + WINDOW_S)


def _paused(pause_s: float, longest_s: float) -> RateLimited:
    return RateLimited(
        f"the exchange asked this address for a pause that lasts another {pause_s:.0f} s, more than the "
        f"{longest_s:g} s that a request waits: run again then, or follow fewer markets from this address",
        retry_after_s=pause_s,
    )
