"""The archive part of the demo exchange: monthly and daily zips with checksums, built from the same klines.

What is wrong with a file on demand is here too; sockets are not.
"""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import polars as pl

from itb_assets.demo.api import Reply
from itb_assets.demo.faults import ArchiveFault, Faults
from itb_assets.demo.market import Venue
from itb_assets.domain.markets import FREQ_MS, HOUR_MS, Market
from itb_assets.sources.archive_index import ArchiveFile, day_file, month_file, parse_path
from itb_assets.sources.protocol import NowMs

MICROSECONDS_FROM_MS = 1_735_689_600_000  # 2025-01-01, when Binance's spot archive changed its unit
DAILY_LATE_MS = 4 * HOUR_MS
"""A daily file appears so long after its day is over."""
HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    b"taker_buy_quote_volume,ignore\n"
)
_KEPT_ZIPS = 64
_SUM_SUFFIX = ".CHECKSUM"


class Archive(Protocol):
    """Yields archive files by their path."""

    def content(self, path: str) -> bytes | None:
        """Return the bytes of the zip at `path`, or None if it does not exist (yet)."""
        ...


class InventedArchive:
    """Zips of a venue's klines, made when first asked for and published as late as Binance's are."""

    def __init__(self, venue: Venue, *, now_ms: NowMs) -> None:
        """Build nothing yet."""
        self._venue, self._now_ms = venue, now_ms
        self._lock = threading.Lock()
        self._zips: OrderedDict[str, bytes] = OrderedDict()

    def content(self, path: str) -> bytes | None:
        """Return a zip, or None: not published yet, before the listing, or no such market."""
        file = self._file(path)
        if file is None or self._now_ms() < published_ms(file):
            return None
        with self._lock:
            if path in self._zips:
                self._zips.move_to_end(path)
                return self._zips[path]
        klines = self._venue.klines(file.market, file.start_ms, file.end_ms, now_ms=file.end_ms + 1)
        if not len(klines):
            return None
        made = make_zip(file.name, csv_of(pl.from_pandas(klines)))
        with self._lock:
            self._zips[path] = made
            while len(self._zips) > _KEPT_ZIPS:
                self._zips.popitem(last=False)
        return made

    def _file(self, path: str) -> ArchiveFile | None:
        parsed = parse_path(path)
        if parsed is None or parsed[1] not in self._venue.symbols or parsed[2] not in FREQ_MS:
            return None
        period, symbol, freq, date = parsed
        try:
            day = datetime.fromisoformat(date if period == "daily" else f"{date}-01").replace(tzinfo=UTC)
        except ValueError:
            return None
        at_ms = int(day.timestamp()) * 1000
        market = Market(symbol, freq)
        file = day_file(market, at_ms) if period == "daily" else month_file(market, at_ms)
        return file if file.path == path else None


class RecordedArchive:
    """Zips of a folder laid out as the public archive, as they lie there."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self._folder = folder

    def content(self, path: str) -> bytes | None:
        """Return a file of the folder, or None."""
        if parse_path(path) is None:  # also keeps a request inside the folder
            return None
        try:
            return (self._folder / path).read_bytes()
        except OSError:
            return None


def published_ms(file: ArchiveFile) -> int:
    """Return when Binance publishes a file: the next day, or the first Monday of the next month."""
    if file.period == "daily":
        return file.end_ms + DAILY_LATE_MS
    following = datetime.fromtimestamp(file.end_ms / 1000, UTC)
    monday = following + timedelta(days=-following.weekday() % 7)
    return int(monday.timestamp()) * 1000 + DAILY_LATE_MS


def serve_archive(archive: Archive, path: str, faults: Faults) -> Reply:
    """Return the answer to GET of a zip or its checksum, spoilt as `faults` say."""
    zip_path = path.removesuffix(_SUM_SUFFIX)
    wants_sum = path.endswith(_SUM_SUFFIX)
    name = zip_path.rpartition("/")[2]
    content = archive.content(zip_path)
    fault = faults.strike_archive(name) if content is not None else None
    if fault in ("403", "429", "500"):
        return Reply(int(fault), b"no", "text/plain", {"Retry-After": str(faults.retry_after_s)})
    if content is None or fault == "404" or (fault == "no_checksum" and wants_sum):
        return Reply(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
    content, published = _spoilt(content, name, fault)
    if wants_sum:
        return Reply(200, f"{published}  {name}\n".encode(), "text/plain")
    return Reply(200, content, "application/zip", drop=fault == "drop")


def csv_of(klines: pl.DataFrame) -> bytes:
    """Return canonical klines as an archive's CSV: no header, microseconds from 2025 on."""
    open_ms = klines["timestamp"].dt.epoch("ms")
    micro = open_ms >= MICROSECONDS_FROM_MS
    times = klines.with_columns(
        timestamp=pl.when(micro).then(open_ms * 1000).otherwise(open_ms),
        close_time=pl.when(micro).then(klines["close_time"] * 1000 + 999).otherwise(klines["close_time"]),
        ignore=pl.lit(0),
    )
    return times.write_csv(include_header=False, float_precision=8).encode()


def make_zip(name: str, csv: bytes) -> bytes:
    """Return a zip of one CSV, the same bytes for the same klines."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo(name.removesuffix(".zip") + ".csv", date_time=(2020, 1, 1, 0, 0, 0))
        archive.writestr(member, csv, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def _spoilt(content: bytes, name: str, fault: ArchiveFault | None) -> tuple[bytes, str]:
    """Return the bytes to serve and the sum to publish."""
    whole = _sha256(content)
    if fault == "checksum":
        return content, _sha256(b"something else")
    if fault == "truncated":
        return content[: len(content) // 2], whole
    if fault == "torn":
        half = content[: len(content) // 2]
        return half, _sha256(half)
    if fault == "no_csv":
        content = make_zip(name.replace(".zip", ".txt.zip"), b"nothing here")
        content = content.replace(b".csv", b".txt")
        return content, _sha256(content)
    if fault in _ROW_FAULTS:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            lines = archive.read(archive.namelist()[0]).splitlines(keepends=True)
        content = make_zip(name, b"".join(_ROW_FAULTS[fault](lines, len(lines) // 2)))
        return content, _sha256(content)
    return content, whole


def _conflict(lines: list[bytes], at: int) -> list[bytes]:
    fields = lines[at].split(b",")
    fields[5] = b"123.45600000"
    return [*lines[: at + 1], b",".join(fields), *lines[at + 1 :]]


def _with_nan(lines: list[bytes], at: int) -> list[bytes]:
    fields = lines[at].split(b",")
    fields[4] = b"NaN"
    return [*lines[:at], b",".join(fields), *lines[at + 1 :]]


_ROW_FAULTS: dict[ArchiveFault, Callable[[list[bytes], int], list[bytes]]] = {
    "empty": lambda _lines, _at: [],
    "header": lambda lines, _at: [HEADER, *lines],
    "nan": _with_nan,
    "duplicate": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "conflict": _conflict,
    "unsorted": lambda lines, at: [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
