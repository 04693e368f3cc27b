"""Whole-folder replacement: a folder is the old one or the new one, never a mixture and never missing.

What lies in the folder belongs to the store that fills it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from itb_assets.storage.disk.atomic import ensure_folder, sync_file, sync_folder

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
_NO_LINKS = {*_UNSUPPORTED, errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK}
_STRAY = re.compile(r"\.(?:tmp|old)-(.+)-\d+-[0-9a-f]+")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty sibling to fill; on leaving, its files are synced and it takes the folder's name."""
    ensure_folder(folder.parent)
    recover_folder(folder)
    temporary = _sibling(folder, "tmp")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            sync_file(file)
        sync_folder(temporary)
        _take_name(temporary, folder)
        sync_folder(folder.parent)
    finally:
        with suppress(FileNotFoundError):
            _remove(temporary)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that its name is gone at once, with all that is in it or with none of it."""
    temporary = _sibling(folder, "tmp")
    folder.rename(temporary)
    sync_folder(folder.parent)
    _remove(temporary)


def link_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Give files of one folder a second name in another; copy them where the filesystem has no links.

    Only ordinary files are taken; what else bears one of the names is left out.
    """
    for name in names:
        file, link = source / name, target / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            os.link(file, link, follow_symlinks=False)
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(file, link, follow_symlinks=False)


def recover_folders(parent: Path) -> None:
    """Finish or undo what killed writers left of any folder in `parent`, as `recover_folder` does."""
    if parent.is_dir():
        strays = (_STRAY.fullmatch(entry.name) for entry in parent.iterdir())
        for name in {stray[1] for stray in strays if stray}:
            recover_folder(parent / name)


def recover_folder(folder: Path) -> None:
    """Finish or undo what a killed writer left; the caller holds the market's lock."""
    if not folder.parent.is_dir():
        return
    for old in _siblings(folder, "old"):
        if folder.exists():
            _remove(old)
        else:
            old.rename(folder)
    for stray in _siblings(folder, "tmp"):
        _remove(stray)


def current_folder(folder: Path) -> Path:
    """Return where the folder's content is, also between the two renames of a killed writer."""
    if folder.exists() or not folder.parent.is_dir():
        return folder
    return next(iter(_siblings(folder, "old")), folder)


def _take_name(temporary: Path, folder: Path) -> None:
    if not os.path.lexists(folder):
        temporary.rename(folder)
    elif not _exchange(temporary, folder):
        old = _sibling(folder, "old")
        folder.rename(old)
        temporary.rename(folder)
        sync_folder(folder.parent)
        _remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return False where the system or filesystem cannot."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if not libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _remove(path: Path) -> None:
    """Remove a folder with what is in it, or whatever else somebody put in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sibling(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{kind}-{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")


def _siblings(folder: Path, kind: str) -> list[Path]:
    """Return ours only: a label may begin with another label and a dash is in neither."""
    pattern = re.compile(rf"\.{kind}-{re.escape(folder.name)}-\d+-[0-9a-f]+")
    return sorted(entry for entry in folder.parent.iterdir() if pattern.fullmatch(entry.name))
