"""Where archive files lie, a host or a folder, and the proof that a file is the published one.

What is inside a file does not belong here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from itb_assets.domain.markets import Market
from itb_assets.errors import ArchiveError, ChecksumMismatch, ExchangeRefused, StorageError
from itb_assets.sources.archive_index import ArchiveFile
from itb_assets.sources.cache import DownloadCache
from itb_assets.sources.http import HttpClient, Sink, Tally
from itb_assets.sources.protocol import FetchReport

NOT_FOUND = 404
DOWNLOAD_ATTEMPTS = 2
"""A file that does not match its sum is downloaded once more: the archive may just have been replaced."""


class Shelf(Protocol):
    """A place of archive files."""

    def take(self, file: ArchiveFile, tally: Tally) -> bytes | None:
        """Return the bytes of `file`, proven by their checksum; None if there is no such file.

        Raise ChecksumMismatch, ExchangeRefused, ExchangeUnavailable, RateLimited, StorageError.
        """
        ...

    def lists(self, market: Market) -> bool:
        """Tell whether the place is known to hold files of `market`; False also when it cannot be told."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class FolderShelf:
    """A folder laid out as the public archive; files are read where they lie."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is looked at when the first file is taken."""
        self._folder = folder

    def take(self, file: ArchiveFile, tally: Tally) -> bytes | None:
        """Return the proven bytes of `file`, or None; see `Shelf.take`."""
        del tally  # nothing goes over the network
        if not self._folder.is_dir():
            raise ArchiveError(
                f"archive folder {self._folder} does not exist: expected a folder that holds data/spot/..., "
                "or an http(s) URL"
            )
        path = self._folder / file.path
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            sums = path.with_name(f"{path.name}.CHECKSUM").read_text("utf-8", errors="replace")
        except OSError:
            sums = ""
        _prove(str(path), published_sum(sums), content)
        return content

    def lists(self, market: Market) -> bool:
        """Tell whether the folder has a subfolder for `market`."""
        klines = self._folder / "data" / "spot"
        return any((klines / period / "klines" / market.symbol / market.freq).is_dir() for period in _PERIODS)

    def close(self) -> None:
        """Hold nothing."""


class HttpShelf:
    """The public archive over HTTP; verified files are kept in the cache, so that they are asked for once."""

    def __init__(self, http: HttpClient, cache: DownloadCache) -> None:
        """Send nothing yet."""
        self._http, self._cache = http, cache

    def take(self, file: ArchiveFile, tally: Tally) -> bytes | None:
        """Return the proven bytes of `file`, or None; see `Shelf.take`."""
        if content := self._cache.find_zip(file.market, file.start_ms, file.end_ms, file.name):
            tally.add(FetchReport(resumed=1))
            return content
        for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
            try:
                return self._download(file, tally)
            except ChecksumMismatch:
                if attempt == DOWNLOAD_ATTEMPTS:
                    raise
                tally.add(FetchReport(retries=1))
        raise AssertionError

    def lists(self, market: Market) -> bool:
        """Answer False: a web archive has no listing to ask."""
        del market
        return False

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def _download(self, file: ArchiveFile, tally: Tally) -> bytes | None:
        with self._cache.incoming_zip(file.market) as incoming:
            if not self._found(f"/{file.path}", tally, incoming.receive)[0]:
                return None
            found, sums = self._found(f"/{file.path}.CHECKSUM", tally, None)
            published = published_sum(sums.decode("utf-8", errors="replace")) if found else None
            content = incoming.content()
            _prove(f"{self._http.base_url}/{file.path}", published, content)
            incoming.keep(f"{file.start_ms}_{file.end_ms}_{published}_{file.name}")
            return content

    def _found(self, path: str, tally: Tally, sink: Sink | None) -> tuple[bool, bytes]:
        answer = self._http.get(path, tally=tally, sink=sink)
        if answer.status == NOT_FOUND:
            return False, b""
        if answer.status >= 400:  # noqa: PLR2004 - the class of statuses
            raise ExchangeRefused(f"{answer.url} answered {answer.status}: the archive refuses this request")
        return True, answer.body


_PERIODS = ("monthly", "daily")


def open_shelf(base: str, *, connect: Callable[[str], HttpClient], cache_dir: Path) -> Shelf:
    """Return the shelf at `base`: an http(s) URL, a file:// URL or a folder."""
    url = urlsplit(base)
    if url.scheme in ("http", "https"):
        http = connect(base)
        return HttpShelf(http, DownloadCache(cache_dir, http.base_url))
    if url.scheme == "file":
        return FolderShelf(Path(unquote(url.netloc + url.path)))
    return FolderShelf(Path(base).expanduser())


def published_sum(text: str) -> str | None:
    """Return the sum in a .CHECKSUM file (`sha256  name`), or None if it holds none.

    >>> published_sum("AB" * 32 + "  BTCUSDT-5m-2024-07.zip") == "ab" * 32
    True
    """
    word = text.split(maxsplit=1)[0].lower() if text.strip() else ""
    return word if len(word) == 64 and set(word) <= set("0123456789abcdef") else None  # noqa: PLR2004 - of sha256


def _prove(place: str, published: str | None, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != published:
        said = f"sha256 {published} was published" if published else "no readable checksum was published"
        raise ChecksumMismatch(
            f"{place}: {said}, sha256 {found} was found ({len(content)} bytes): the file is damaged, "
            "truncated or was replaced; delete it or get a sound copy with its .CHECKSUM, or let REST serve "
            "these klines",
            published=published or "none",
            found=found,
            content=content,
        )
