"""A running `itb ui`, asked over HTTP as the browser asks; what its pages must show belongs to the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import requests
from free_ports import free_port

ITB = Path(sys.executable).with_name("itb")
START_S = 180
STOP_S = 180
SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "itb_assets"}

ADD_PARTITION = """
mutation AddDynamicPartition($partitionKey: String!, $selector: RepositorySelector!) {
  addDynamicPartition(
    partitionsDefName: "symbols", partitionKey: $partitionKey, repositorySelector: $selector
  ) { __typename }
}"""
RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 100) {
    ... on Runs { results { id status tags { key value } } }
  }
}"""
LAUNCH = """
mutation LaunchRun($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on PythonError { message }
  }
}"""


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what `condition` returns once that is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


def make_demo_root(root: Path, *, days: int) -> Path:
    """Make an empty data root that lives off the demo exchange."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    (root / ".itb").mkdir(parents=True)
    (root / ".itb" / "demo.json").write_text(
        json.dumps({"start": (midnight - timedelta(days=days)).isoformat()})
    )
    return root


@dataclass
class Ui:
    """One `itb ui` and the data root it serves."""

    root: Path
    port: int
    output: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, root: Path, *, port: int | None = None, **settings: str) -> Ui:
        """Start it in a session of its own, with settings of the environment; nothing is waited for."""
        chosen, output = port or free_port(), root.parent / f"{root.name}-ui.txt"
        command = [str(ITB), "ui", "--data-root", str(root), "--port", str(chosen)]
        with output.open("wb") as out:
            process = subprocess.Popen(
                command, env=environment(root) | settings, stdout=out, stderr=out, start_new_session=True
            )
        return cls(root, chosen, output, process)

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it has told the terminal."""
        return " ".join(self.output.read_text("utf-8").split())

    def ready(self) -> Ui:
        """Wait until it says where it is."""
        wait_for(lambda: self.url in self.said or self.process.poll() is not None, START_S, "the UI starts")
        assert self.process.poll() is None, self.said
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def processes(self) -> list[psutil.Process]:
        """Return every process on this machine that was started for this data root."""
        mine = str(self.root)
        return [process for process in psutil.process_iter() if mine in _start_of(process)]

    def child(self, name: str) -> psutil.Process:
        """Return the server whose command line contains a name."""
        return next(item for item in psutil.Process(self.process.pid).children() if name in _start_of(item))

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL request and return its data."""
        body = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, timeout=60)
        answer.raise_for_status()
        assert "errors" not in answer.json(), answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def add_symbol(self, symbol: str) -> None:
        """Add a partition as the dialog does."""
        answer = self.ask(ADD_PARTITION, partitionKey=symbol, selector=SELECTOR)
        assert answer["addDynamicPartition"]["__typename"] == "AddDynamicPartitionSuccess"

    def launch(self, job: str, partition: str) -> str:
        """Launch a job on one partition and return the run's id."""
        tags = [{"key": "dagster/partition", "value": partition}]
        params = {"selector": SELECTOR | {"pipelineName": job}, "executionMetadata": {"tags": tags}}
        answer = self.ask(LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["id"])

    def runs(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return runs, newest first: id, status and tags."""
        found: list[dict[str, Any]] = self.ask(RUNS, filter=wanted)["runsOrError"]["results"]
        return [item | {"tags": {tag["key"]: tag["value"] for tag in item["tags"]}} for item in found]

    def finished(self, run_id: str) -> bool:
        """Tell whether a run succeeded; fail when it failed."""
        (run,) = self.runs(runIds=[run_id])
        assert run["status"] not in ("FAILURE", "CANCELED"), self.log("code_server")
        return bool(run["status"] == "SUCCESS")

    def log(self, name: str) -> str:
        """Return the end of a server's log."""
        return (self.root / "logs" / f"{name}.log").read_text("utf-8")[-4000:]


def environment(root: Path) -> dict[str, str]:
    """Return the environment of a command on a data root, free of the settings of whoever tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ITB_", "DAGSTER_"))}
    return kept | {"ITB_DATA_ROOT": str(root), "ITB_SCHEDULES": "stopped", "COLUMNS": "200"}


def _start_of(process: psutil.Process) -> str:
    """Return command line and data root of a process; both are empty once it is gone."""
    try:
        return " ".join([*process.cmdline(), process.environ().get("ITB_DATA_ROOT", "")])
    except psutil.Error:
        return ""
