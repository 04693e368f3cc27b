"""Runs whose process is gone: Dagster would call them started for hours, and their market would wait.

Runs of other machines and of the command line are left alone.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

LAUNCHED_BY = ".dagster/grpc_info"
"""Tag in which Dagster's run launcher notes the code server that a run is a child of."""

UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def fail_orphans(instance: dg.DagsterInstance) -> int:
    """Fail the runs whose code server's socket no longer answers; return how many there were.

    A failed run is tried again as `run_retries` of dagster.yaml says.
    """
    orphans = [
        run for run, address in _launched(instance) if address is not None and not socket_answers(address)
    ]
    for run in orphans:
        instance.report_run_failed(run, "the processes that ran it were ended from outside")
    return len(orphans)


@contextmanager
def cancel_runs(instance: dg.DagsterInstance, address: Path) -> Iterator[None]:
    """Cancel the runs of the code server at a socket; after the body ended it, record those still open."""

    def own() -> list[dg.DagsterRun]:
        return [run for run, launcher in _launched(instance) if launcher == address]

    for run in own():
        instance.run_launcher.terminate(run.run_id)
    yield
    for run in own():
        instance.report_run_canceled(run, "the UI was stopped while this ran")


def _launched(instance: dg.DagsterInstance) -> list[tuple[dg.DagsterRun, Path | None]]:
    """Return the runs under way with the socket of the code server that each is a child of."""
    return [(run, _socket_of(run)) for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY))]


def _socket_of(run: dg.DagsterRun) -> Path | None:
    address = json.loads(run.tags.get(LAUNCHED_BY, "{}")).get("socket")
    return Path(address) if address else None


def socket_answers(address: Path) -> bool:
    """Tell whether a process listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True
