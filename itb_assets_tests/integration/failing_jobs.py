"""Runs that fail within milliseconds, on an instance over a real PostgreSQL, and who tells of them.

What becomes of them is judged by the tests of outages.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from itb_assets.errors import DataContractError
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts.hooks import FastTeller, telling_executor
from itb_assets.orchestration.alerts.reading import AlertReader
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.kept_connections import kept_connections
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.server.process import has_backends

DAGSTER_YAML = Path(__file__).parents[2] / "dagster.yaml"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
tellers: list[FastTeller] = []
"""Who tells what fails from the process of the run, where a test wants that."""


def failing_job(name: str) -> dg.JobDefinition:
    """Return a job whose one step fails."""

    @dg.op
    def fails() -> None:
        error = DataContractError(f"{name} cannot")
        raise error

    @dg.job(name=name, executor_def=telling_executor(lambda: tellers[0] if tellers else None))
    def made() -> None:
        fails()

    return made


def job_a() -> dg.JobDefinition:
    return failing_job("job_a")


def job_b() -> dg.JobDefinition:
    return failing_job("job_b")


def job_c() -> dg.JobDefinition:
    return failing_job("job_c")


_MADE = {each.__name__: dg.reconstructable(each) for each in (job_a, job_b, job_c)}
JOBS = tuple(_MADE)


def run_one(instance: dg.DagsterInstance, name: str) -> str:
    """Run a job by its executor, as a worker does; it fails, and Dagster may do so without its database."""
    return dg.execute_job(_MADE[name], instance=instance, run_config=QUIET).run_id


def teller(url: str) -> FastTeller:
    """Return what tells from a run's own process."""
    return FastTeller(AlertWriter(url, load_config(), statement_timeout_s=2).tell, Subjects(()), "")


def reader(url: str) -> AlertReader:
    """Return what reads Dagster's records."""
    return AlertReader(AlertWriter(url, load_config()), Subjects(()))


@contextmanager
def instance_on(url: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """Yield an instance whose records lie in a database."""
    home.mkdir(exist_ok=True)
    shutil.copy(DAGSTER_YAML, home / "dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ITB_DAGSTER_URL", url)
        with dg.DagsterInstance.from_config(str(home)) as opened, kept_connections(opened):
            yield opened


@contextmanager
def server_at(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Yield a server of our own to be killed."""
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop(at_once=True)


def kill(server: EmbeddedPostgres) -> None:
    """Kill the server as the kernel does without memory left; return once its sessions have ended."""
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while has_backends(server.data_dir):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def failed_runs(engine: sa.Engine) -> set[str]:
    """Return the runs whose failure Dagster recorded."""
    recorded = "SELECT DISTINCT run_id FROM event_logs WHERE dagster_event_type = 'PIPELINE_FAILURE'"
    with engine.connect() as connection:
        return set(connection.scalars(sa.text(recorded)))
