"""One writer per market: a lock the system releases when its holder dies, however it dies.

What is written under the lock belongs to the stores.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from itb_assets.errors import MarketBusy, StorageError
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors

LOCK_WAIT_S = 60.0
"""How long a run waits for another one that writes the same market."""

_POLL_S = 0.05
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class LockTaken(Exception):
    """Somebody else holds the lock; `holder` is the id of its process, as text."""

    def __init__(self, holder: str) -> None:
        """Keep who holds it."""
        super().__init__(f"held by process {holder}")
        self.holder = holder


@contextmanager
def market_lock(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the write lock of a market, waiting up to `wait_s` seconds for it.

    Raises MarketBusy naming the holder's process. The lock belongs to this opening of the file: taking it
    twice in one process waits for oneself.
    """
    try:
        with held_lock(path, wait_s=wait_s):
            yield
    except LockTaken as taken:
        raise MarketBusy(
            f"{path.stem.replace('_', ' ')} is being written by process {taken.holder}: "
            "wait until it has finished, or end it"
        ) from None


@contextmanager
def held_lock(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock file at `path`, or raise LockTaken after `wait_s` seconds."""
    with storage_errors(path):
        ensure_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _lockable(path):
            _acquire(descriptor, time.monotonic() + wait_s)
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # who holds it is for people: a full disk is no reason not to
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _lockable(path: Path) -> Iterator[None]:
    """Say so where a filesystem, such as a network mount without lock service, knows no locks."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StorageError(
            f"the filesystem of {path} cannot lock files ({error.strerror}), so two writers could not be "
            "told apart: put ITB_DATA_ROOT on a local disk, or mount that one with its lock service"
        ) from error


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise LockTaken(holder or "unknown") from None
            time.sleep(_POLL_S)
        else:
            return
