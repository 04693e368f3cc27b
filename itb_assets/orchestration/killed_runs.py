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

UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tag() -> dict[str, str]:
    """Return the tag that says which process computes a run: this one."""
    return {PROCESS: _name_of(psutil.Process(os.getpid()))}


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
    host, pid, _ = name.split(" ")
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return bool(process.status() == psutil.STATUS_ZOMBIE or _name_of(process) != name)
    except psutil.NoSuchProcess:
        return True


def _name_of(process: psutil.Process) -> str:
    return f"{socket.gethostname()} {process.pid} {process.create_time():.0f}"
