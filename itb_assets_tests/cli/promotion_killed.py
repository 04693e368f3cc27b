"""What the killed process of the tests of promotion does: the command itself, up to a given moment."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fork_and_die(connection: Any) -> None:
    """Run the command in forks of this process, which has imported everything, and tell how each ended."""
    while (request := connection.recv()) is not None:
        pid = os.fork()
        if not pid:
            try:
                die_at(*request)
            except SystemExit as left:
                os._exit(int(left.code or 0))
            except BaseException:  # noqa: BLE001 - a fork must never return to where it came from
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        connection.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def die_at(arguments: list[str], environment: dict[str, str], folder: str, step: int) -> None:
    """Run `itb` and be killed just before the `step`th change that a disk would see."""
    from itb_assets.cli import main  # noqa: PLC0415 - after the fork's own environment is known

    steps = itertools.count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: object, **options: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **options)

        return call

    os.environ.update(environment)
    os.chdir(folder)
    with open(os.devnull, "w") as silence:  # noqa: PTH123 - what it says is looked at elsewhere
        os.dup2(silence.fileno(), 1)
    for name in ("rename", "replace", "unlink", "mkdir", "write_bytes"):
        setattr(Path, name, counted(getattr(Path, name)))
    for name in ("fsync", "link", "pwrite", "ftruncate", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    sys.argv = ["itb", *arguments]
    main()
