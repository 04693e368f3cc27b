"""Runs of the command line whose process was killed: Dagster would call them started for hours.

Until one is failed, its market's schedule waits for it and it takes one of the places of runs under way. Runs
that a code server launched belong to `orphans`.
"""

from __future__ import annotations

import os
import socket

import dagster as dg
import psutil

PROCESS = "itb/process"
"""Tag of a run: host, process id and start time of the process that computes it."""

CLOCK_STEP_S = 120
"""The start time of a process moves with the machine's clock when that is set right."""

UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tag() -> dict[str, str]:
    """Return the tag that says which process computes a run: this one."""
    process = psutil.Process(os.getpid())
    return {PROCESS: f"{socket.gethostname()} {process.pid} {process.create_time():.0f}"}


def fail_killed(instance: dg.DagsterInstance) -> int:
    """Fail the runs under way whose process on this machine is gone; return how many there were."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))
    killed = [run for run in runs if PROCESS in run.tags and _is_gone(run.tags[PROCESS])]
    for run in killed:
        instance.report_run_failed(
            run, "the process that computed this was killed; what it had stored is whole, run it again"
        )
    return len(killed)


def _is_gone(name: str) -> bool:
    host, pid, began = name.split(" ")
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        other = abs(process.create_time() - float(began)) > CLOCK_STEP_S
        return bool(other or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
