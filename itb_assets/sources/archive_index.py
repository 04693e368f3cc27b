"""The names, periods and addresses of Binance's public archive files; pure arithmetic on the calendar.

Reading or verifying a file does not belong here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from itb_assets.domain.markets import DAY_MS, Market

Period = Literal["monthly", "daily"]

_PATH = re.compile(
    r"data/spot/(?P<period>monthly|daily)/klines/(?P<symbol>[A-Z0-9]{2,20})/(?P<freq>[0-9]+[mhd])/"
    r"(?P=symbol)-(?P=freq)-(?P<date>[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)\.zip"
)


@dataclass(frozen=True, order=True)
class ArchiveFile:
    """One zip of the archive: the klines of `market` that open in [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    market: Market
    period: Period

    @property
    def name(self) -> str:
        """File name, such as `BTCUSDT-5m-2024-07.zip`."""
        first = datetime.fromtimestamp(self.start_ms / 1000, UTC)
        date = f"{first:%Y-%m}" if self.period == "monthly" else f"{first:%Y-%m-%d}"
        return f"{self.market.symbol}-{self.market.freq}-{date}.zip"

    @property
    def path(self) -> str:
        """Path below the archive's base, with forward slashes."""
        return f"data/spot/{self.period}/klines/{self.market.symbol}/{self.market.freq}/{self.name}"


def month_file(market: Market, time_ms: int) -> ArchiveFile:
    """Return the monthly file that holds `time_ms`."""
    first = datetime.fromtimestamp(time_ms / 1000, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    following = (first + timedelta(days=32)).replace(day=1)
    return ArchiveFile(_ms(first), _ms(following), market, "monthly")


def day_file(market: Market, time_ms: int) -> ArchiveFile:
    """Return the daily file that holds `time_ms`."""
    start_ms = time_ms - time_ms % DAY_MS
    return ArchiveFile(start_ms, start_ms + DAY_MS, market, "daily")


def day_files(market: Market, start_ms: int, end_ms: int) -> tuple[ArchiveFile, ...]:
    """Return the daily files that touch [start_ms, end_ms)."""
    first = start_ms - start_ms % DAY_MS
    return tuple(day_file(market, at) for at in range(first, end_ms, DAY_MS))


def plan_files(market: Market, start_ms: int, end_ms: int, *, horizon_ms: int) -> tuple[ArchiveFile, ...]:
    """Return the files that cover [start_ms, end_ms), oldest first; nothing at or after `horizon_ms`.

    A month that is over by the horizon is one monthly file, even when only a part of it is wanted; the
    days of the month the horizon falls into are daily files.
    """
    files: list[ArchiveFile] = []
    at, end_ms = start_ms, min(end_ms, horizon_ms)
    while at < end_ms:
        month = month_file(market, at)
        if month.end_ms <= horizon_ms:
            files.append(month)
        else:
            files.extend(day_files(market, at, end_ms))
        at = month.end_ms
    return tuple(files)


def parse_path(path: str) -> tuple[Period, str, str, str] | None:
    """Return period, symbol, freq and date of an archive path, or None if it is not one."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    period: Period = "monthly" if match["period"] == "monthly" else "daily"
    return period, match["symbol"], match["freq"], match["date"]


def _ms(time: datetime) -> int:
    return int(time.timestamp()) * 1000
