"""Klines of the public archive: monthly and daily zips, verified, unpacked, parsed, in parallel.

Where the files lie belongs to `archive_shelf`, their names to `archive_index`, younger klines to `rest`.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import ArchiveError, ChecksumMismatch, DataContractError, UnknownSymbol
from itb_assets.sources.archive_index import ArchiveFile, plan_files
from itb_assets.sources.archive_shelf import Shelf
from itb_assets.sources.cache import DownloadCache
from itb_assets.sources.http import Tally, split_login
from itb_assets.sources.protocol import FetchReport, KlineBatch, NowMs, Progress, system_now_ms
from itb_assets.sources.rows import clip, join_frames, open_times_ms, parse_csv_rows, show_time, time_range

MAX_CSV_BYTES = 64 * 1024**2
"""A month of 1m klines unpacks to 6 MB; anything near this is no kline archive."""

_UNPACK_BYTES = 1 << 20
_NOT_A_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,  # what bz2 says of torn data; the bytes lie in memory, so no disk is meant
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""All that a torn zip was found to raise while it is read."""


@dataclass(frozen=True)
class FileKlines:
    """What one archive file gave: klines, or None where it is missing or could not be proven."""

    file: ArchiveFile
    frame: pd.DataFrame | None
    mismatch: ChecksumMismatch | None = None


class ArchiveKlines:
    """Klines of an archive alone, up to the last complete day; one instance serves many markets."""

    def __init__(
        self, shelf: Shelf, *, cache: DownloadCache, parallel: int = 4, now_ms: NowMs = system_now_ms
    ) -> None:
        """Send nothing yet; `cache` is the shelf's, here to be pruned and forgotten."""
        self._shelf, self._cache = shelf, cache
        self._parallel, self._now_ms = parallel, now_ms

    def close(self) -> None:
        """Close every connection."""
        self._shelf.close()

    def forget(self, market: Market, before_ms: int) -> int:
        """Drop cached files that end by `before_ms`, because the caller has stored them."""
        return self._cache.forget(market, before_ms)

    def fetch(
        self, market: Market, start_ms: int, end_ms: int, *, progress: Progress | None = None
    ) -> KlineBatch:
        """Return the archived klines that open in [start_ms, end_ms); see `KlineSource.fetch`.

        Missing files are named in the report. Raise ChecksumMismatch on a file that cannot be proven, and
        UnknownSymbol where none of the files is there and the place is not known to hold the market.
        """
        today_ms = self._now_ms() // DAY_MS * DAY_MS
        files = plan_files(market, start_ms, end_ms, horizon_ms=today_ms)
        tally = Tally()
        found = self.read(files, tally, progress=progress)
        for item in found:
            if item.mismatch:
                raise item.mismatch
        if files and not any(item.frame is not None for item in found):
            self.require_known(market, start_ms, end_ms)
        frame = join_frames([item.frame for item in found if item.frame is not None])
        return KlineBatch(clip(frame, start_ms, end_ms), tally.report)

    def require_known(self, market: Market, start_ms: int, end_ms: int) -> None:
        """Raise UnknownSymbol unless the place is known to hold files of `market`."""
        if not self._shelf.lists(market):
            raise UnknownSymbol(
                f"{market}: the archive has no file for {time_range(start_ms, end_ms)}; check the symbol's "
                "spelling and the range"
            )

    def read(
        self, files: Sequence[ArchiveFile], tally: Tally, *, progress: Progress | None = None
    ) -> list[FileKlines]:
        """Return what each file gave, in the order asked, several at a time.

        Raise ArchiveError (torn, empty), DataContractError, ExchangeRefused, ExchangeUnavailable,
        RateLimited or StorageError; a missing file and a wrong checksum are answers, not errors.
        """
        if not files:
            return []
        self._cache.prune()
        found: dict[ArchiveFile, FileKlines] = {}
        with ThreadPoolExecutor(min(self._parallel, len(files)), "archive") as pool:
            jobs = {pool.submit(self._read_one, file, tally): file for file in files}
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    found[jobs[job]] = job.result()
                    if progress:
                        progress(done, len(files), jobs[job].name)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        answers = [found[file] for file in files]
        tally.add(
            FetchReport(
                archives_used=tuple(item.file.name for item in answers if item.frame is not None),
                archives_missing=tuple(
                    item.file.name for item in answers if item.frame is None and not item.mismatch
                ),
                checksum_problems=tuple(str(item.mismatch) for item in answers if item.mismatch),
            )
        )
        return answers

    def _read_one(self, file: ArchiveFile, tally: Tally) -> FileKlines:
        try:
            content = self._shelf.take(file, tally)
        except ChecksumMismatch as mismatch:
            return FileKlines(file, None, mismatch)
        return FileKlines(file, None if content is None else read_zip(content, file))


def read_zip(content: bytes, file: ArchiveFile) -> pd.DataFrame:
    """Return the klines inside an archive zip.

    Raise ArchiveError when it is torn, holds no CSV or no rows; DataContractError on a bad row or one that
    lies outside the file's period. Holes are what the exchange did not trade: they are no error.
    """
    frame = parse_csv_rows(_unpack(content, file.name), file.market, origin=file.name)
    if not len(frame):
        raise ArchiveError(
            f"{file.name} is empty: expected klines of {time_range(file.start_ms, file.end_ms)}; "
            "delete it or get a sound copy"
        )
    times = open_times_ms(frame)
    strays = times[(times < file.start_ms) | (times >= file.end_ms)]
    if len(strays):
        raise DataContractError(
            f"{file.name}: {len(strays)} rows lie outside the file's period, first at "
            f"{show_time(int(strays[0]))}: expected {time_range(file.start_ms, file.end_ms)}"
        )
    return frame


def compare_unproven(mismatch: ChecksumMismatch, file: ArchiveFile, trusted: pd.DataFrame) -> str:
    """Return one sentence on how a file that could not be proven compares with klines that can be trusted."""
    head = f"{file.name}: published sha256 {mismatch.published}, found {mismatch.found}; REST used"
    try:
        claimed = read_zip(mismatch.content, file)
    except (ArchiveError, DataContractError) as error:
        return f"{head}; the file itself is unusable: {str(error).splitlines()[0]}"
    both = claimed.merge(trusted, on="timestamp", how="inner", suffixes=("", "_rest"), validate="1:1")
    names = [name for name in empty_klines().columns if name != "timestamp"]
    same = (both[names].to_numpy() == both[[f"{name}_rest" for name in names]].to_numpy()).all(axis=1)
    return f"{head}; {int((~same).sum())} of the {len(both)} klines that both hold differ"


def _unpack(content: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if member.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise ArchiveError(f"{name} holds {len(members)} CSV files: expected one; get a sound copy")
            if members[0].file_size > MAX_CSV_BYTES:
                raise ArchiveError(
                    f"{name} unpacks to {members[0].file_size} bytes: expected less than {MAX_CSV_BYTES}; "
                    "it is no kline archive"
                )
            with archive.open(members[0]) as file:  # `archive.read` would unpack all before it looks at sizes
                return b"".join(iter(lambda: file.read(_UNPACK_BYTES), b""))
    except _NOT_A_ZIP as error:
        raise ArchiveError(
            f"{name} is torn or no zip at all ({len(content)} bytes: {error}); delete it or get a sound copy"
        ) from error


def default_cache(cache_dir: Path, base: str) -> DownloadCache:
    """Return the cache that files of the archive at `base` are kept in."""
    return DownloadCache(cache_dir, split_login(base)[0])
