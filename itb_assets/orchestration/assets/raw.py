"""Raw assets: klines as the exchange published them.

Reading an exchange's format belongs to `sources`, what a kline must be to `domain.klines`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import dagster as dg
import pandas as pd
from pydantic import Field

from itb_assets.domain.gaps import GAP_COLUMNS, find_gaps, merge_catalogue
from itb_assets.domain.klines import empty_klines, merge_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, InputError
from itb_assets.orchestration.assets.base import market_asset
from itb_assets.orchestration.metadata import gap_table
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate
from itb_assets.sources.protocol import FetchReport
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.files.catalogue import read_gaps, write_gaps
from itb_assets.storage.files.frames import StoredFrame

OVERLAP_ROWS = 5
DIGEST = "klines"


class KlinesConfig(dg.Config):
    """Which part of a market's history to load; empty fields mean: go on from what is stored."""

    start: str = Field(
        "", description="first kline wanted, ISO time in UTC; empty: where the stored klines go on"
    )
    end: str = Field("", description="load klines before this ISO time; empty: up to now")
    full_refresh: bool = Field(
        default=False, description="ask for the whole stored time again; nothing stored is dropped"
    )
    repair_gaps: bool = Field(
        default=False, description="ask again for the klines missing in between; newer ones only with an end"
    )


@market_asset(key=["raw", "klines"], group="raw", kinds={"binance", "parquet"})
def klines(
    context: dg.AssetExecutionContext, config: KlinesConfig, platform: dg.ResourceParam[Platform]
) -> FrameUpdate:
    """Closed klines of one market, all 12 fields, loaded incrementally.

    History comes from the exchange's public archive, checksums verified; the last days come from its REST
    interface. Gaps are recorded in `raw/gaps.json` and never filled.
    """
    market = market_of(context.partition_key)
    stored = platform.stored(market, "raw/klines")
    start = parse_time(config.start, "start")
    end = parse_time(config.end, "end") or pd.Timestamp(platform.clock())
    if stored is not None and stored.last is not None:
        platform.source.forget(market, _ms(stored.last))
    fresh, report = empty_klines(), {}
    for window in _windows(market, platform, stored, config, (start, end)):
        batch = platform.source.fetch(market, _ms(window[0]), _ms(window[1]), progress=platform.progress)
        fresh = merge_klines(fresh, batch.frame).frame
        report[f"{window[0]:%Y-%m-%d %H:%M} to {window[1]:%Y-%m-%d %H:%M}"] = _summary(batch.report)
    return _update(platform, market, stored, fresh, report)


def _summary(report: FetchReport) -> dict[str, object]:
    """Keep what says something: counts above zero and lists that are not empty."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(report).items()
        if value
    }


def _update(
    platform: Platform,
    market: Market,
    stored: StoredFrame | None,
    fresh: pd.DataFrame,
    report: Mapping[str, object],
) -> FrameUpdate:
    if stored is None and fresh.empty:
        raise DataContractError(
            f"{market}: no closed kline in the asked time, expected at least one: check start and end"
        )
    before = empty_klines() if stored is None or fresh.empty else stored.since(fresh["timestamp"].iloc[0])
    merged = merge_klines(before, fresh)
    with market_lock(platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
        gaps = merge_catalogue(
            read_gaps(platform.layout.gaps(market)),
            find_gaps(_all_klines(stored, merged.frame), market),
            seen_at=pd.Timestamp(platform.clock()),
        )
        write_gaps(platform.layout.gaps(market), gaps)
    missing = [gap for gap in gaps if gap.state == "open"]
    page = {
        "rows_new": merged.new_rows,
        "rows_changed": merged.changed_rows,
        "gaps": len(missing),
        "missing_rows": sum(gap.missing_rows for gap in missing),
        "gap_catalogue": gap_table(gaps),
        "downloads": report,
    }
    if stored is not None and merged.changed_from is None:
        return FrameUpdate(None, DIGEST, {}, metadata=page)
    if stored is None:
        return FrameUpdate(merged.frame, DIGEST, {}, metadata=page)
    tail = merged.frame[merged.frame["timestamp"] >= merged.changed_from].reset_index(drop=True)
    return FrameUpdate(tail, DIGEST, {}, from_time=merged.changed_from, metadata=page)


def _all_klines(stored: StoredFrame | None, tail: pd.DataFrame) -> pd.DataFrame:
    """Return what gaps are found in: the stored klines before `tail`, then `tail`."""
    if stored is None:
        return tail
    before = stored.read(list(GAP_COLUMNS))
    if tail.empty:
        return before
    end = before["timestamp"].searchsorted(tail["timestamp"].iloc[0])
    return pd.concat([before.iloc[:end], tail[list(GAP_COLUMNS)]], ignore_index=True)


def _windows(
    market: Market,
    platform: Platform,
    stored: StoredFrame | None,
    config: KlinesConfig,
    asked: tuple[pd.Timestamp | None, pd.Timestamp],
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    start, end = asked
    if stored is None or stored.first is None or stored.last is None:
        return [(start or pd.Timestamp(platform.settings.start), end)]
    if config.full_refresh:
        return [(min(start or stored.first, stored.first), max(end, stored.last + market.freq_delta))]
    windows = []
    if start is not None and start < stored.first:
        windows.append((start, stored.first))
    if config.repair_gaps:
        gaps = find_gaps(stored.read(list(GAP_COLUMNS)), market)
        windows += [(gap.first_missing, gap.last_missing + market.freq_delta) for gap in gaps]
    resume = stored.last - OVERLAP_ROWS * market.freq_delta
    if end > resume and (config.end or not config.repair_gaps):
        windows.append((resume, end))
    return windows


def parse_time(text: str, name: str) -> pd.Timestamp | None:
    """Return the time that a text names, in UTC, or None of an empty one; raise InputError naming `name`."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{name} {text!r} is not a time: expected ISO, such as 2024-07-01T12:00") from None
    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _ms(time: pd.Timestamp) -> int:
    return time.value // 1_000_000
