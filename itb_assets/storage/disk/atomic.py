"""Whole-file replacement: temporary file in the same folder, fsync, rename, fsync of the folder.

What is written, and what records it, belongs to the stores; a full disk becomes StorageFull here.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from itb_assets.errors import StorageError, StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# polars reports the system's error in its text only
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield an unused name beside `path`, and remove what lies there unless it was renamed away."""
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def remove_stray_files(path: Path) -> None:
    """Remove temporary files that a killed writer of `path` left; the caller holds the market's lock."""
    prefix = _temporary_prefix(path)
    with os.scandir(path.parent) as entries:
        strays = [entry.path for entry in entries if entry.name.startswith(prefix)]
    for stray in strays:
        with suppress(FileNotFoundError):
            os.unlink(stray)  # noqa: PTH108 - scandir gives strings, thousands of them in a busy folder


def ensure_folder(folder: Path) -> None:
    """Create a folder and its parents so that they survive a power cut."""
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, parent in enumerate(missing) if parent.is_dir())]
    folder.mkdir(parents=True, exist_ok=True)
    for created in missing:
        sync_folder(created.parent)


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to disk."""
    sync_file(folder)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a small file in one step; the folder's names are not yet forced to disk."""
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def storage_errors(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn what the system says while `path` is written into StorageFull or StorageError.

    `needed` is how many bytes the write takes, where the caller knows.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        code = _system_error(error)
        if code is None:
            raise
        if code in _FULL:
            raise StorageFull(_full_message(path, needed)) from error
        raise StorageError(
            f"{path} cannot be written: {os.strerror(code)}; check the folder and its owner"
        ) from error


def _system_error(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else None


def _full_message(path: Path, needed: int) -> str:
    folder = next(parent for parent in path.parents if parent.is_dir())
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    wanted = f"{needed:,} bytes needed, " if needed else ""
    return (
        f"no space left to write {path}: {wanted}{free:,} bytes free; "
        "what was stored before is unchanged. Free space, raise the quota or move ITB_DATA_ROOT"
    )


def _temporary_prefix(path: Path) -> str:
    return f".{path.name}.tmp-"
