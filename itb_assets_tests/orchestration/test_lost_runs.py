"""A run whose code server and process were killed is failed by the next server; no other run is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test

from itb_assets.orchestration.lost_runs import fail_lost, server_began
from itb_assets.orchestration.orphans import LAUNCHED_BY

HERE = "itb_assets"


@pytest.fixture
def dead_pid() -> int:
    """Return the id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.fixture
def worker() -> Iterator[subprocess.Popen]:
    """Return a process of this one that works."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def started(
    instance: dg.DagsterInstance, pid: int | None, *, location: str = HERE, launched: bool = True
) -> str:
    """Return the id of a run that began to be computed by a process of a code location."""
    server = GrpcServerCodeLocationOrigin(host="code", port=4000, location_name=location)
    made = create_run_for_test(
        instance,
        job_name="build_market",
        status=dg.DagsterRunStatus.STARTING,
        tags={LAUNCHED_BY: '{"host": "code", "port": 4000}'} if launched else {},
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "build_market"),
    )
    if pid is not None:
        begun = DagsterEvent(DagsterEventType.PIPELINE_START.value, "build_market", pid=pid)
        instance.report_dagster_event(begun, made.run_id)
    return made.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """Return how a run stands."""
    return instance.get_run_by_id(run_id).status


def test_a_run_of_a_killed_server_is_failed_by_the_next(dead_pid):
    with dg.DagsterInstance.ephemeral() as instance:
        lost = started(instance, dead_pid)
        assert fail_lost(instance, location=HERE, began=time.time() + 1) == 1
        assert status(instance, lost) is dg.DagsterRunStatus.FAILURE
        assert fail_lost(instance, location=HERE, began=time.time() + 1) == 0


@pytest.mark.parametrize(
    "case", ["of this server", "its process lives", "only to be started", "another location", "nobody's"]
)
def test_every_other_run_is_let_be(dead_pid, case: str):
    pid = {"its process lives": os.getpid(), "only to be started": None}.get(case, dead_pid)
    location = "elsewhere" if case == "another location" else HERE
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = started(instance, pid, location=location, launched=case != "nobody's")
        before = status(instance, run_id)
        began = time.time() + (-60 if case == "of this server" else 1)
        assert fail_lost(instance, location=HERE, began=began) == 0
        assert status(instance, run_id) is before


def test_an_id_that_another_process_got_is_not_the_worker(dead_pid):
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = started(instance, os.getpid())
        with instance.run_storage.connect() as connection:
            connection.exec_driver_sql("UPDATE runs SET start_time = start_time - 100000")
        assert fail_lost(instance, location=HERE, began=time.time() + 1) == 1
        assert status(instance, run_id) is dg.DagsterRunStatus.FAILURE


def test_a_worker_of_this_server_lives_though_the_clock_was_set(worker: subprocess.Popen):
    """Then the times of processes move, and the run seems to have begun before its own process."""
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = started(instance, worker.pid)
        with instance.run_storage.connect() as connection:
            connection.exec_driver_sql("UPDATE runs SET start_time = start_time - 100000")
        assert fail_lost(instance, location=HERE, began=time.time() + 1) == 0
        assert status(instance, run_id) is dg.DagsterRunStatus.STARTED
        worker.kill()
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # it stays as a zombie, and still a child
        assert fail_lost(instance, location=HERE, began=time.time() + 1) == 1


def test_a_server_knows_when_it_began():
    assert time.time() - 86_400 < server_began() < time.time()
