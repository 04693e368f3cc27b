"""Files compressed with zstd: written and read as streams, digested on the way; `zstd -d` reads them too.

Which files those are, and what records them, belongs to the archive.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from itb_assets.errors import StorageError
from itb_assets.storage.disk.atomic import sync_file
from itb_assets.storage.disk.digest import BLOCK_BYTES

SUFFIX = ".zst"
_CODEC = "zstd"


class Content(NamedTuple):
    """What tells one content from another: its length, its sha256, and the sha256 of each of its blocks."""

    size: int
    sha256: str
    blocks: tuple[str, ...]


def compress(source: int, target: Path) -> Content:
    """Write all that an open descriptor holds to `target`, forced to disk; return what was read.

    The descriptor's offset does not move. Raises OSError.
    """
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        part = os.pread(source, count, position)
        position += len(part)
        return part

    with target.open("wb") as file, pa.CompressedOutputStream(file, _CODEC) as stream:
        content = _copy(read, stream.write)
    sync_file(target)
    return content


def content_of(path: Path, *, limit: int) -> Content:
    """Read a compressed file through; raise StorageError naming it where it is damaged.

    Reading ends shortly after `limit` bytes: what holds more than it should is not unpacked without end.
    """
    with _opened(path) as read:
        return _copy(read, lambda _: None, limit=limit)


def decompress(path: Path, target: Path, *, limit: int) -> Content:
    """Write what a compressed file holds to `target`, forced to disk; otherwise as `content_of`.

    Raises OSError for what `target` cannot take.
    """
    with _opened(path) as read, target.open("wb") as file:
        content = _copy(read, file.write, limit=limit)
    sync_file(target)
    return content


@contextmanager
def _opened(path: Path) -> Iterator[Callable[[int], bytes]]:
    """Yield what reads the next bytes; only what goes wrong in reading becomes a StorageError."""
    with _read_errors(path):
        file = path.open("rb")
    with file:
        with _read_errors(path):
            stream = pa.CompressedInputStream(file, _CODEC)

        def read(count: int) -> bytes:
            with _read_errors(path):
                part: bytes = stream.read(count)
            return part

        with stream:
            yield read


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{path} is gone: somebody removed it; restore another archive") from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read ({error}): it is damaged or may not be read; restore another archive"
        ) from error


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], object], *, limit: int | None = None
) -> Content:
    whole, leaves, size = hashlib.sha256(), [], 0
    while block := _full_block(read):
        whole.update(block)
        leaves.append(hashlib.sha256(block).hexdigest())
        size += len(block)
        write(block)
        if limit is not None and size > limit:
            break
    return Content(size, whole.hexdigest(), tuple(leaves))


def _full_block(read: Callable[[int], bytes]) -> bytes:
    """Return the next block, shorter than others only at the end."""
    parts, missing = [], BLOCK_BYTES
    while missing and (part := read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
