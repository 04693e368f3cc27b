"""What can go wrong at a messenger on purpose: which fault comes next, and how often.

How a fault looks on the wire belongs to `bot_wire`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KINDS = (
    "lost_answer",  # accepted, then the connection is closed without an answer
    "drop",  # the connection is closed before the message is read
    "slow",  # accepted, answered after `seconds`
    "drip",  # accepted, the answer comes a byte every `seconds`
    "error",  # `status` (500, 502, 503) with a page of HTML, not accepted
    "too_many",  # 429 with `retry_after`, though no limit was reached
    "unauthorized",  # 401
    "forbidden",  # 403: the bot was blocked, the webhook's app was switched off
    "not_found",  # 404
    "refused",  # 400 with `words`
    "own_error",  # 500 in the service's own words, not accepted
    "garbage",  # 200 with what is no JSON
    "empty",  # 200 with nothing
    "torn",  # accepted, the answer breaks off in the middle
    "bad_headers",  # accepted, and a header that is none
    "redirect",  # 302 to another address
    "flood",  # accepted, and an answer of many megabytes
)


@dataclass
class Fault:
    """One planned fault; `times` None means until it is lifted, `share` hits that part of the requests."""

    kind: str
    times: int | None = 1
    share: float = 1.0
    method: str = ""
    status: int = 502
    seconds: float = 0.0
    retry_after: float = 1
    words: str = "Bad Request: refused"
    hits: int = 0


@dataclass
class Faults:
    """The planned faults of a server, asked once a request; safe to use from any thread."""

    seed: int = 7
    _planned: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Throw the same dice every time."""
        self._random = random.Random(self.seed)  # noqa: S311 - which request fails is no secret

    def add(self, fault: Fault) -> Fault:
        """Plan a fault behind those that are planned already."""
        if fault.kind not in KINDS:
            raise ValueError(f"{fault.kind!r} is no fault of this server: use one of {', '.join(KINDS)}")
        with self._lock:
            self._planned.append(fault)
        return fault

    def lift(self, *faults: Fault) -> None:
        """End these faults, or all."""
        with self._lock:
            self._planned = [
                one for one in self._planned if faults and all(one is not each for each in faults)
            ]

    def next(self, method: str) -> Fault | None:
        """Return what this request suffers."""
        with self._lock:
            for fault in self._planned:
                if fault.method not in {"", method} or fault.times == 0:
                    continue
                if self._random.random() >= fault.share:
                    continue
                fault.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    @contextmanager
    def during(self, fault: Fault) -> Iterator[Fault]:
        """Keep a fault up for the length of a block."""
        self.add(fault)
        try:
            yield fault
        finally:
            self.lift(fault)
