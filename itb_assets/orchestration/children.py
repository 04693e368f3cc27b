"""Child processes that serve the UI: started with a log each, watched, and ended with their own children.

Which programs these are belongs to `web`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from itb_assets.errors import ProcessEnded
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors

STOP_TIMEOUT_S = 20
LOG_LINES = 12
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Run first in every child: the kernel ends it when its parent is gone, however that came about (Linux).
WITH_PARENT = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl:
    prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Child:
    """A running program, and the file that its output goes to unless that is the terminal."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None

    def check(self, *, late: bool = False) -> None:
        """Raise ProcessEnded when it is not running, or when it is `late` with its start."""
        code = self.process.poll()
        if code is None and not late:
            return
        what = "did not answer in time" if code is None else f"ended by itself with exit code {code}"
        where = "see its output above" if self.log is None else f"the end of {self.log}:\n{_tail(self.log)}"
        raise ProcessEnded(f"the {self.name} {what}, and so everything was stopped; {where}")


def start_child(name: str, program: str, *arguments: str, env: dict[str, str], logs: Path | None) -> Child:
    """Start a program of this environment in a process group of its own.

    Its output goes to a file in `logs` named after it, begun anew with the one before kept as `.log.1`.
    """
    path = Path(sys.executable).with_name(program)
    command = [sys.executable, "-c", WITH_PARENT, str(path), *arguments]
    with ExitStack() as stack:
        log = None if logs is None else _fresh_log(logs, name)
        out = None if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    return Child(name, process, log)


def _fresh_log(logs: Path, name: str) -> Path:
    log = logs / f"{name.replace(' ', '_')}.log"
    with storage_errors(log):
        ensure_folder(logs)
        with suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))
    return log


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-LOG_LINES:])


def stop_children(children: Iterable[Child]) -> None:
    """Ask the programs to end; after a while end them and their own children at once."""
    children = list(children)
    for child in children:
        child.process.terminate()
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(STOP_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()


@contextmanager
def stop_requests() -> Iterator[Event]:
    """Yield an event that Ctrl-C, SIGTERM and SIGHUP set; until the end they do nothing else.

    So no signal interrupts a start or a stop halfway, and a second Ctrl-C does not leave a process behind.
    """
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
