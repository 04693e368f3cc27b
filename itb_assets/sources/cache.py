"""The disk cache that lets an interrupted download go on: closed REST pages and verified archive files.

It holds nothing that cannot be fetched again, is bounded, and forgets what the caller has stored.
Our own data files do not belong here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from itb_assets.domain.klines import check_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, StorageError, StorageFull

MAX_BYTES = 2 * 1024**3
_STALE_PART_S = 24 * 3600.0
_PART = ".part"


class DownloadCache:
    """Files of one origin (host) under `folder/{digest of origin}/{pages|archive}/{symbol}/{freq}/`.

    A file's name starts with the milliseconds it covers, `{start}_{end}_`, so that forgetting needs no
    index, and a zip's goes on with its sha256, so that it is proven again whenever it is read.
    Processes may share a folder: files appear whole, by rename.
    """

    def __init__(self, folder: Path, origin: str, *, max_bytes: int = MAX_BYTES) -> None:
        """Name the place; folders are made when the first file is written."""
        self._root = folder / hashlib.sha256(origin.encode()).hexdigest()[:12]
        self._max_bytes = max_bytes

    def find_page(self, market: Market, start_ms: int, end_ms: int) -> tuple[pd.DataFrame, int] | None:
        """Return the longest cached page from `start_ms` that ends by `end_ms`, and its end; None if none.

        A page that does not read back whole is deleted, as if it had never been.
        """
        pages = [(_covered(path)[1], path) for path in self._pages(market).glob(f"{start_ms}_*_page.parquet")]
        for page_end, path in sorted(pages, reverse=True):
            if page_end <= end_ms and (frame := _read_page(path, market)) is not None:
                return frame, page_end
        return None

    def put_page(self, market: Market, start_ms: int, end_ms: int, frame: pd.DataFrame) -> None:
        """Keep a page whose whole range [start_ms, end_ms) is closed."""
        content = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), content)
        with IncomingFile(self._pages(market)) as incoming:
            incoming.receive([content.getvalue().to_pybytes()])
            incoming.keep(f"{start_ms}_{end_ms}_page.parquet")

    def find_zip(self, market: Market, start_ms: int, end_ms: int, name: str) -> bytes | None:
        """Return a cached archive file whose content still has the digest it was proven by, or None."""
        for path in self._zips(market).glob(f"{start_ms}_{end_ms}_*_{name}"):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == path.name.split("_")[2]:
                    return content
                path.unlink(missing_ok=True)
        return None

    def incoming_zip(self, market: Market) -> IncomingFile:
        """Open a temporary file to download an archive file of `market` into."""
        return IncomingFile(self._zips(market))

    def forget(self, market: Market, before_ms: int) -> int:
        """Delete every file of `market` that covers nothing at or after `before_ms`; return how many."""
        removed = 0
        for folder in (self._pages(market), self._zips(market)):
            for path in folder.glob("[0-9]*_[0-9]*_*"):
                if _covered(path)[1] <= before_ms:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def prune(self) -> None:
        """Delete leftovers of killed processes, then the oldest files until `max_bytes` hold."""
        files = []
        for path in self._root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.name.endswith(_PART) and time.time() - status.st_mtime > _STALE_PART_S:
                    path.unlink()
                elif path.is_file() and not path.name.endswith(_PART):
                    files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size

    def _pages(self, market: Market) -> Path:
        return self._root / "pages" / market.symbol / market.freq

    def _zips(self, market: Market) -> Path:
        return self._root / "archive" / market.symbol / market.freq


class IncomingFile:
    """A file that is there whole or not at all: written under a temporary name until `keep`.

    Used as a context manager; what was not kept is deleted. Raise StorageFull when the disk or quota is
    full, StorageError on any other failure of the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Open a temporary file in `folder`, which is made if need be."""
        self._folder = folder
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=_PART)
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "w+b", buffering=0)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, and delete what was not kept."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def receive(self, chunks: Iterable[bytes]) -> None:
        """Take the whole content, in place of any taken before."""
        self._file.seek(0)
        self._file.truncate()
        for chunk in chunks:
            with storage_errors(self._folder):
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self._file.write(rest) :]

    def content(self) -> bytes:
        """Return what was received."""
        self._file.seek(0)
        return self._file.read()

    def keep(self, name: str) -> None:
        """Give the file its name in the folder: fsync, then rename."""
        with storage_errors(self._folder):
            os.fsync(self._file.fileno())
            self._temporary.replace(self._folder / name)
            _sync_folder(self._folder)


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn failures of the disk into StorageFull or StorageError naming `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(
                f"no space left in the download cache {folder}: free some or move the data root; "
                "what was there before is untouched"
            ) from error
        raise StorageError(
            f"the download cache {folder} cannot be written: {error.strerror or error}; check that the "
            "folder exists and belongs to you"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _covered(path: Path) -> tuple[int, int]:
    start, end, *_ = path.name.split("_")
    return int(start), int(end)


def _read_page(path: Path, market: Market) -> pd.DataFrame | None:
    try:
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
        check_klines(frame, market)
    except (OSError, pa.ArrowException, DataContractError):
        path.unlink(missing_ok=True)
        return None
    return frame
