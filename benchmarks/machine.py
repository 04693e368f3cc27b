"""On what a benchmark ran: date, processor, memory, versions, as facts and as one line.

What was measured there does not belong here.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


def describe(libraries: Sequence[str], threads: Mapping[str, str]) -> dict[str, Any]:
    """Return what the numbers of a run depend on; `threads` are the environment's limits."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in libraries},
        "threads": dict(threads),
    }


def as_line(machine: Mapping[str, Any]) -> str:
    """Return the facts as one line of text."""
    libraries = ", ".join(f"{name} {found}" for name, found in machine["libraries"].items())
    threads = " ".join(f"{name}={value}" for name, value in machine["threads"].items())
    return (
        f"{machine['date']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"load average at the start {machine['load_average']}; Python {machine['python']}, {libraries}; "
        f"{threads}"
    )


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
