"""What every source of klines promises: one method, one batch, one report of how it went.

How an exchange or an archive is spoken to does not belong here, nor is anything logged: callers are told
through the report and the progress callback.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from itb_assets.domain.markets import Market

NowMs = Callable[[], int]
"""A clock: milliseconds since 1970, UTC."""

Sleep = Callable[[float], None]
"""Wait for so many seconds."""


def system_now_ms() -> int:
    """Return this machine's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Progress(Protocol):
    """Told after each unit of work, always from the thread that called `fetch`."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Say that `done` of `total` units are there; `total` may grow; `what` names the last one."""
        ...


@dataclass(frozen=True)
class FetchReport:
    """How a fetch went; reports of parts add up with `+`."""

    requests: int = 0
    """Requests answered or attempted over the network."""
    weight: int = 0
    """Request weight spent, as the exchange counts it."""
    retries: int = 0
    """Requests made again after a network error, 5xx, 429 or 418."""
    waited_s: float = 0.0
    """Seconds slept for back-off, `Retry-After` and the weight budget, all threads together."""
    resumed: int = 0
    """Pages and archive files taken from the cache of an earlier, interrupted fetch."""
    archives_used: tuple[str, ...] = ()
    archives_missing: tuple[str, ...] = ()
    checksum_problems: tuple[str, ...] = ()
    """Archive files that did not match their published sum, and what was done instead."""
    differences: tuple[str, ...] = ()
    """Klines on which archive and REST disagree, column by column; REST won."""
    unclosed_dropped: int = 0
    """Candles left out because they were still open by the server's clock."""

    def __add__(self, other: FetchReport) -> FetchReport:
        """Return the report of both parts together."""
        return FetchReport(
            **{
                part.name: getattr(self, part.name) + getattr(other, part.name)
                for part in dataclasses.fields(self)
            }
        )


@dataclass(frozen=True)
class KlineBatch:
    """Canonical klines (`domain.klines.KLINE_COLUMNS`) and the report of how they were got."""

    frame: pd.DataFrame
    report: FetchReport


class KlineSource(Protocol):
    """Anything that yields closed klines of a market."""

    def fetch(
        self, market: Market, start_ms: int, end_ms: int, *, progress: Progress | None = None
    ) -> KlineBatch:
        """Return the closed klines whose open time lies in [start_ms, end_ms).

        The frame is sorted, unique, UTC and on the grid; klines the exchange never had are absent rows.
        Raise UnknownSymbol, InvalidMarket, ExchangeRefused, ExchangeUnavailable, RateLimited,
        ArchiveError, DataContractError or StorageError (the cache).
        """
        ...

    def forget(self, market: Market, before_ms: int) -> int:
        """Drop what is cached of klines before `before_ms`, because they are stored; return files removed."""
        ...

    def close(self) -> None:
        """Let go of connections; the source may not be used afterwards."""
        ...
