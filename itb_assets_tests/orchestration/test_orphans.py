"""A run whose code server is gone is called failed; one whose server answers, or of others, is let be."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from itb_assets.orchestration.orphans import LAUNCHED_BY, fail_orphans

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def folder():
    """Return a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="itb-") as path:
        yield Path(path)


def started_run(instance: dg.DagsterInstance, launcher: dict[str, object] | None) -> str:
    """Return the id of a run under way, launched by a code server or by nobody."""
    tags = {} if launcher is None else {LAUNCHED_BY: json.dumps(launcher)}
    return create_run_for_test(instance, job_name="build_market", status=STARTED, tags=tags).run_id


def test_only_runs_of_a_dead_code_server_are_failed(folder):
    """By its socket: a killed server leaves the file behind, or none."""
    dead, alive = folder / "dead.sock", folder / "alive.sock"
    with (
        dg.DagsterInstance.ephemeral() as instance,
        socket.socket(socket.AF_UNIX) as left,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        left.bind(str(dead))
        listening.bind(str(alive))
        listening.listen()
        gone = started_run(instance, {"host": "localhost", "socket": str(folder / "never.sock")})
        killed = started_run(instance, {"host": "localhost", "socket": str(dead)})
        kept = [
            started_run(instance, {"host": "localhost", "socket": str(alive)}),
            started_run(instance, {"host": "code", "port": 4000}),
            started_run(instance, None),
        ]
        assert fail_orphans(instance) == 2
        for run_id in (gone, killed):
            assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.FAILURE
        for run_id in kept:
            assert instance.get_run_by_id(run_id).status is STARTED
