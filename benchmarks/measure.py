"""What a piece of work costs: CPU-seconds of the client and of the database server, and peak memory.

What is measured belongs to the three ways (`ours`, `plain`, `floors`), how it is shown to `report`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from server import Server

ENOUGH_CPU_S = 8.0
"""Work is repeated, and the cheapest run taken, until this much was spent."""

LEAST_CPU_S = 2.0
"""Short work that is repeated at all is repeated until this much was spent."""
LONGEST_S = 30.0
"""Seconds after which nothing is repeated any more but what was asked for."""

RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


@dataclass(frozen=True)
class Job:
    """On how many klines a case works, and where its inputs lie and its outputs go."""

    rows: int
    folder: Path
    repeats: int
    server: Server | None = None

    @property
    def output(self) -> Path:
        """Folder for what a case writes."""
        folder = self.folder / "output"
        folder.mkdir(exist_ok=True)
        return folder

    def database(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database of this job's own, made if it is not there."""
        if self.server is None:
            raise ValueError("this stage needs a server: expected one to be started for it")
        return self.server.database(f"{name}_{self.rows}")


@dataclass(frozen=True)
class Case:
    """One stage done one way: `run` is measured, `before` and `facts` are not.

    `before` runs before each repeat; `facts` turns the result of the last run into numbers that are
    compared between the ways, so that nobody is fast by doing something else.
    """

    run: Callable[[], Any]
    before: Callable[[], None] = lambda: None
    facts: Callable[[Any], Mapping[str, float]] = lambda _: {}


@dataclass(frozen=True)
class Cost:
    """What the cheapest run spent, and the most memory any run held (MB of 1,000,000 bytes)."""

    cpu_s: float
    peak_mb: float
    repeats: int
    facts: Mapping[str, float]

    def scaled(self, factor: float) -> Cost:
        """Return the cost of `factor` times the rows, in proportion; facts of fewer rows say nothing."""
        return Cost(self.cpu_s * factor, self.peak_mb, self.repeats, {})


class Meter:
    """Measures inside this process; start one process a case, or peaks are those of its neighbours."""

    def __init__(self, server: Server | None) -> None:
        """Charge the processes of `server` too."""
        self._server = psutil.Process(server.pid) if server else None

    def measure(self, case: Case, *, repeats: int) -> Cost:
        """Run a case `repeats` times, fewer when it is long, more when it is too short to tell from noise.

        More only for a while: what costs next to nothing may take long to prepare.
        """
        until = time.monotonic() + LONGEST_S
        spent: list[float] = []
        peak = 0.0
        result = None
        while sum(spent) < _wanted_cpu_s(len(spent), repeats, late=time.monotonic() > until):
            case.before()
            result = None
            reset_peak()
            elsewhere, here = self._server_cpu_s(), time.process_time()  # looking at the server costs us
            result = case.run()
            spent.append(time.process_time() - here + self._server_cpu_s() - elsewhere)
            peak = max(peak, peak_mb())
        return Cost(min(spent), peak, len(spent), dict(case.facts(result)))

    def _server_cpu_s(self) -> float:
        """Return the CPU-seconds, user and system, that the server has spent so far."""
        return _tree_cpu_s(self._server) if self._server else 0.0


def _wanted_cpu_s(done: int, repeats: int, *, late: bool) -> float:
    """Return the CPU-seconds up to which a case is run again."""
    if done < repeats:
        return ENOUGH_CPU_S
    return 0.0 if late or repeats == 1 else LEAST_CPU_S


def _tree_cpu_s(root: psutil.Process) -> float:
    """Add up a process tree; what has ended is counted by the parent that waited for it.

    A backend that ends meanwhile would be counted twice or not at all: then all is read again.
    """
    while True:
        before = root.children(recursive=True)
        total = 0.0
        with suppress(psutil.NoSuchProcess):
            for process in (root, *before):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
            if root.children(recursive=True) == before:
                return total


def reset_peak() -> None:
    """Make the kernel forget the peak so far; where it does not allow that, peaks include the preparation."""
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, "ascii")
    except OSError:
        return


def peak_mb() -> float:
    """Return the most resident memory since the last reset (VmHWM)."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM: expected Linux")
