"""All klines of a market: the archive for what is older than a few days, REST for the rest, reconciled.

How either is spoken to belongs to `archive` and `rest`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import (
    ChecksumMismatch,
    ExchangeRefused,
    ExchangeUnavailable,
    RateLimited,
    UnknownSymbol,
)
from itb_assets.sources.archive import ArchiveKlines, FileKlines, compare_unproven, default_cache
from itb_assets.sources.archive_index import ArchiveFile, day_files, plan_files
from itb_assets.sources.archive_shelf import open_shelf
from itb_assets.sources.budget import WeightBudget
from itb_assets.sources.http import HttpClient, RetryPolicy, Tally
from itb_assets.sources.protocol import FetchReport, KlineBatch, NowMs, Progress, Sleep, system_now_ms
from itb_assets.sources.reconcile import reconcile
from itb_assets.sources.rest import RestKlines
from itb_assets.sources.rows import clip, join_frames, open_times_ms, time_range

RECENT_MS = 3 * DAY_MS
"""Younger klines come from REST: daily files appear the next day, some hours late."""

DAILY_KEPT_MS = 40 * DAY_MS
"""A missing month that ended this recently may not be published yet: its days are asked for instead."""

OVERLAP_ROWS = 12
"""Archived klines that REST is asked for again, to see whether the two agree."""


@dataclass
class _Fetch:
    """One fetch under way."""

    market: Market
    start_ms: int
    end_ms: int
    progress: Progress
    tally: Tally = field(default_factory=Tally)
    mismatches: list[FileKlines] = field(default_factory=list)
    units: int = 0
    """Files read so far, so that progress goes on counting when REST begins."""


class HistorySource:
    """The composite `KlineSource`; without REST it is the archive alone."""

    def __init__(
        self, archive: ArchiveKlines, rest: RestKlines | None, *, now_ms: NowMs = system_now_ms
    ) -> None:
        """Own both parts: closing this closes them."""
        self._archive, self._rest, self._now_ms = archive, rest, now_ms

    def close(self) -> None:
        """Close every connection."""
        self._archive.close()
        if self._rest:
            self._rest.close()

    def forget(self, market: Market, before_ms: int) -> int:
        """Drop what is cached of klines before `before_ms`; return the number of files removed."""
        rest = self._rest.forget(market, before_ms) if self._rest else 0
        return self._archive.forget(market, before_ms) + rest

    def symbol_status(self, symbol: str) -> str:
        """Return TRADING, HALT or BREAK, or UNKNOWN without REST; raise UnknownSymbol if it is not listed."""
        return self._rest.symbol_status(symbol) if self._rest else "UNKNOWN"

    def fetch(
        self, market: Market, start_ms: int, end_ms: int, *, progress: Progress | None = None
    ) -> KlineBatch:
        """Return the closed klines that open in [start_ms, end_ms); see `KlineSource.fetch`.

        REST is asked only for days younger than `RECENT_MS` and for archive files that are missing or
        could not be proven; a range the archive covers needs no REST at all. A hole inside a file is an
        outage of the exchange: absent rows, no error.
        """
        if self._rest is None:
            return self._archive.fetch(market, start_ms, end_ms, progress=progress)
        say = progress or (lambda done, total, what: None)  # noqa: ARG005 - the protocol's shape
        fetch = _Fetch(market, start_ms, end_ms, say)
        horizon_ms = (self._now_ms() - RECENT_MS) // DAY_MS * DAY_MS
        files = plan_files(market, start_ms, end_ms, horizon_ms=horizon_ms)
        found = self._read_archive(fetch, files)
        archived = clip(
            join_frames([item.frame for item in found if item.frame is not None]), start_ms, end_ms
        )
        lacking = [item.file for item in found if item.frame is None]
        ranges = _join_ranges(
            [
                *((max(file.start_ms, start_ms), min(file.end_ms, end_ms)) for file in lacking),
                (max(start_ms, min(horizon_ms, end_ms)), end_ms),
            ]
        )
        frame = self._fill(fetch, archived, ranges)
        return KlineBatch(frame, fetch.tally.report)

    def _read_archive(self, fetch: _Fetch, files: tuple[ArchiveFile, ...]) -> list[FileKlines]:
        """Return what the files gave; a month too young to be published is replaced by its days."""
        tally = Tally()
        found = self._archive.read(files, tally, progress=_shifted(fetch, extra=1))
        fetch.units += len(files)
        young = {
            item.file: day_files(
                fetch.market, max(item.file.start_ms, fetch.start_ms), min(item.file.end_ms, fetch.end_ms)
            )
            for item in found
            if item.frame is None
            and item.mismatch is None
            and item.file.period == "monthly"
            and item.file.end_ms > self._now_ms() - DAILY_KEPT_MS
        }
        days = [file for some in young.values() for file in some]
        found = [item for item in found if item.file not in young]
        found += self._archive.read(days, tally, progress=_shifted(fetch, extra=1))
        fetch.units += len(days)
        report = tally.report
        fetch.tally.add(
            FetchReport(
                requests=report.requests,
                retries=report.retries,
                waited_s=report.waited_s,
                resumed=report.resumed,
                archives_used=report.archives_used,
                archives_missing=report.archives_missing,
            )
        )
        fetch.mismatches = [item for item in found if item.mismatch]
        return sorted(found, key=lambda item: item.file)

    def _fill(self, fetch: _Fetch, archived: pd.DataFrame, ranges: list[tuple[int, int]]) -> pd.DataFrame:
        frame = archived
        for start_ms, end_ms in ranges:
            before = clip(archived, start_ms - OVERLAP_ROWS * fetch.market.freq_ms, start_ms)
            from_ms = int(open_times_ms(before)[0]) if len(before) else start_ms
            rest = self._ask_rest(fetch, from_ms, start_ms, end_ms, has_archive=len(archived) > 0)
            frame, differences = reconcile(frame, rest, asked_from_ms=from_ms)
            fetch.tally.add(FetchReport(differences=tuple(f"{fetch.market} {said}" for said in differences)))
        for item in fetch.mismatches:
            if item.mismatch:
                said = compare_unproven(item.mismatch, item.file, frame)
                fetch.tally.add(FetchReport(checksum_problems=(said,)))
        return frame

    def _ask_rest(
        self, fetch: _Fetch, from_ms: int, start_ms: int, end_ms: int, *, has_archive: bool
    ) -> pd.DataFrame:
        assert self._rest is not None  # noqa: S101 - fetch sees to it
        mismatch = next(
            (
                item.mismatch
                for item in fetch.mismatches
                if item.file.start_ms < end_ms and item.file.end_ms > start_ms
            ),
            None,
        )
        try:
            batch = self._rest.fetch(fetch.market, from_ms, end_ms, progress=_shifted(fetch, extra=0))
        except UnknownSymbol as error:
            if mismatch:
                raise _without_rest(mismatch, error) from error
            if not has_archive:
                raise
            said = f"{fetch.market}: REST does not list the symbol any more; the archive alone was used"
            fetch.tally.add(FetchReport(differences=(said,)))
            return empty_klines()
        except RateLimited as error:
            said = _lacking(fetch, start_ms, end_ms, error)
            raise RateLimited(said, retry_after_s=error.retry_after_s) from error
        except (ExchangeUnavailable, ExchangeRefused) as error:
            if mismatch:
                raise _without_rest(mismatch, error) from error
            raise type(error)(_lacking(fetch, start_ms, end_ms, error)) from error
        fetch.units += 1
        fetch.tally.add(batch.report)
        return batch.frame


def open_history(
    *,
    rest_url: str | None,
    archive_url: str,
    cache_dir: Path,
    parallel: int = 4,
    now_ms: NowMs = system_now_ms,
    sleep: Sleep = time.sleep,
    policy: RetryPolicy | None = None,
    clock_s: Callable[[], float] = time.monotonic,
) -> HistorySource:
    """Return the source of all klines; `rest_url` None means the archive alone, up to the last whole day.

    `archive_url` is an http(s) URL, a file:// URL or a folder. Nothing is sent until the first fetch; one
    source serves many markets and threads, and they share its weight budget. Close it when done.
    """

    def connect(base: str) -> HttpClient:
        unweighed = WeightBudget(sleep=sleep, clock_s=clock_s)
        return HttpClient(base, budget=unweighed, sleep=sleep, parallel=parallel, policy=policy)

    shelf = open_shelf(archive_url, connect=connect, cache_dir=cache_dir)
    archive = ArchiveKlines(
        shelf, cache=default_cache(cache_dir, archive_url), parallel=parallel, now_ms=now_ms
    )
    rest = None
    if rest_url is not None:
        rest = RestKlines(
            rest_url, cache_dir=cache_dir, parallel=parallel, sleep=sleep, clock_s=clock_s, policy=policy
        )
    return HistorySource(archive, rest, now_ms=now_ms)


def _join_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start_ms, end_ms in sorted(ranges):
        if start_ms >= end_ms:
            continue
        if joined and start_ms <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end_ms, joined[-1][1]))
        else:
            joined.append((start_ms, end_ms))
    return joined


def _shifted(fetch: _Fetch, *, extra: int) -> Progress:
    offset = fetch.units
    return lambda done, total, what: fetch.progress(offset + done, offset + total + extra, what)


def _lacking(fetch: _Fetch, start_ms: int, end_ms: int, error: Exception) -> str:
    return (
        f"{fetch.market}: klines of {time_range(start_ms, end_ms)} are not in the archive and REST did not "
        f"give them: {error}"
    )


def _without_rest(mismatch: ChecksumMismatch, error: Exception) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{mismatch}; REST could not stand in: {error}",
        published=mismatch.published,
        found=mismatch.found,
        content=mismatch.content,
    )
