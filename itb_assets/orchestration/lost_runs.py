"""Runs that were children of a code server that was killed and started again: nobody else calls them failed.

A code server that lives notices the end of its children itself. Runs of the command line belong to
`killed_runs`, those of a server whose socket is dead to `orphans`.
"""

from __future__ import annotations

import os
from contextlib import suppress

import dagster as dg
import psutil

from itb_assets.orchestration.orphans import LAUNCHED_BY

STARTED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
"""A run that only was to be started is failed by `start_timeout_seconds` of dagster.yaml."""

CLOCK_STEP_S = 5.0
"""A process is no worker of a run if it began this much later than the run."""


def server_began() -> float:
    """Return when this process, the code server that evaluates a sensor, was started, in Unix seconds."""
    return float(psutil.Process(os.getpid()).create_time())


def fail_lost(instance: dg.DagsterInstance, *, location: str, began: float) -> int:
    """Fail the runs that an earlier code server of a location launched and whose process is gone.

    To be called in the code server that began at that time: its workers are processes beside it. Returns how
    many there were; `run_retries` of dagster.yaml starts them again.
    """
    lost = 0
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=STARTED)):
        run = record.dagster_run
        if record.start_time is None or record.start_time >= began or not _launched_by(run, location):
            continue
        pid = _worker_of(instance, run.run_id)
        if pid is not None and not _lives(pid, record.start_time):
            instance.report_run_failed(
                run, "the code server was ended from outside, and the process of this run with it"
            )
            lost += 1
    return lost


def _launched_by(run: dg.DagsterRun, location: str) -> bool:
    origin = run.remote_job_origin
    return LAUNCHED_BY in run.tags and origin is not None and origin.location_name == location


def _worker_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Return the id of the process that computes a run, as the run's first words name it."""
    kinds = {dg.DagsterEventType.PIPELINE_START}
    records = instance.get_records_for_run(run_id, of_type=kinds, limit=1).records
    return records[0].event_log_entry.get_dagster_event().pid if records else None


def _lives(pid: int, started: float) -> bool:
    """Return whether a process is the one that was there when the run started, and no zombie of it.

    A worker of this very server is one whatever the clock says: times of processes move when it is set.
    """
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.create_time() <= started + CLOCK_STEP_S or _is_ours(pid)
    return False


def _is_ours(pid: int) -> bool:
    return any(child.pid == pid for child in psutil.Process(os.getpid()).children(recursive=True))
