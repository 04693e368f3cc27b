"""A run whose process was killed is failed; one that still goes on, here or elsewhere, is left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import dagster as dg
import psutil
import pytest
from dagster._core.test_utils import create_run_for_test

from itb_assets.orchestration.killed_runs import PROCESS, fail_killed, process_tag

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def dead_pid() -> int:
    """Return the id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def status_after(tags: dict[str, str], status: dg.DagsterRunStatus = STARTED) -> dg.DagsterRunStatus:
    with dg.DagsterInstance.ephemeral() as instance:
        run = create_run_for_test(instance, job_name="build_market", status=status, tags=tags)
        fail_killed(instance)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status


def test_a_killed_process(dead_pid):
    assert (
        status_after({PROCESS: f"{socket.gethostname()} {dead_pid} 1700000000"})
        == dg.DagsterRunStatus.FAILURE
    )


def test_a_process_that_got_the_id_of_a_killed_one():
    began = psutil.Process().create_time() - 1000
    name = f"{socket.gethostname()} {os.getpid()} {began:.0f}"
    assert status_after({PROCESS: name}) == dg.DagsterRunStatus.FAILURE


def test_a_process_that_lives():
    assert status_after(process_tag()) == STARTED


def test_a_process_whose_machine_had_its_clock_set():
    began = psutil.Process().create_time() - 30
    assert status_after({PROCESS: f"{socket.gethostname()} {os.getpid()} {began:.0f}"}) == STARTED


def test_a_process_of_another_machine(dead_pid):
    assert status_after({PROCESS: f"elsewhere {dead_pid} 1700000000"}) == STARTED


def test_a_run_that_a_code_server_launched():
    assert status_after({}) == STARTED


def test_a_run_that_is_over(dead_pid):
    tags = {PROCESS: f"{socket.gethostname()} {dead_pid} 1700000000"}
    assert status_after(tags, dg.DagsterRunStatus.SUCCESS) == dg.DagsterRunStatus.SUCCESS
