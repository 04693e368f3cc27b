"""A process that is killed just before one of the changes that a disk would see.

What it does until then, and how what it left is judged, belong to the tests that kill.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHANGES = {
    Path: ("rename", "replace", "unlink", "mkdir", "rmdir", "write_bytes"),
    os: ("fsync", "link", "pwrite", "ftruncate", "unlink"),
    shutil: ("rmtree",),
}

Counted = Callable[[Callable[..., Any]], Callable[..., Any]]


def die_before(step: int) -> Counted:
    """Have this process killed before the `step`th change, from 0; return what makes a call count as one."""
    steps = itertools.count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **options: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for owner, names in CHANGES.items():
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    return counted


@contextmanager
def in_forks(die_at: Callable[..., None], *, preload: list[str]) -> Iterator[Callable[..., int]]:
    """Give a call of `die_at` in a process of its own, which returns how that one ended.

    `preload` names the modules that all of these processes find imported.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    ours, theirs = context.Pipe()
    child = context.Process(target=_fork, args=(die_at, theirs))
    child.start()

    def call(*arguments: object) -> int:
        ours.send(arguments)
        assert ours.poll(60)
        return int(ours.recv())

    try:
        yield call
    finally:
        ours.send(None)
        child.join()


def in_memory() -> tempfile.TemporaryDirectory[str]:
    """Return a folder on a disk in memory where there is one: a kill loses nothing that was not flushed."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def _fork(die_at: Callable[..., None], connection: Any) -> None:
    """Call `die_at` in forks of this process, which has imported everything, and tell how each ended."""
    while (arguments := connection.recv()) is not None:
        pid = os.fork()
        if not pid:
            try:
                die_at(*arguments)
            except SystemExit as left:
                os._exit(int(left.code or 0))
            except BaseException:  # noqa: BLE001 - a fork must never return to where it came from
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        connection.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
