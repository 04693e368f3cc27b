"""Runs of a deployment: launched through its web server as a person does, and what Dagster recorded of them.

What is expected of a run belongs to `alert_latency_causes`.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.orchestration.jobs import BUILD
from itb_assets.orchestration.partitions import SYMBOLS, partition_of

REPOSITORY = "__repository__"
PARENT = "dagster/parent_run_id"
_TIMEOUT_S = 60.0
_LAUNCH = """
mutation launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_SERVED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"


class Refused(Exception):
    """The web server did not launch a run."""


class Runs:
    """The runs of a deployment."""

    def __init__(self, instance: dg.DagsterInstance, port: int, location: str) -> None:
        """Take the records, the web server's port and the name of the code location."""
        self._instance = instance
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._location = location

    def follow(self, symbols: Sequence[str]) -> None:
        """Add partitions for symbols."""
        self._instance.add_dynamic_partitions(str(SYMBOLS.name), list(symbols))

    def served(self) -> bool:
        """Return whether the web server answers and knows the code location."""
        try:
            found = self._ask(_SERVED, {})["repositoriesOrError"]
        except (ValueError, Refused):
            return False
        return bool(found.get("nodes"))

    def launch(self, market: Market, assets: Sequence[str], checks: Sequence[tuple[str, str]] = ()) -> str:
        """Launch a run of some assets and checks of a market; return its id, or raise Refused."""
        key = partition_of(market)
        tags = {
            "dagster/partition": str(key),
            "dagster/partition/symbol": market.symbol,
            "dagster/partition/freq": market.freq,
        }
        selector = {
            "repositoryLocationName": self._location,
            "repositoryName": REPOSITORY,
            "jobName": BUILD,
            "assetSelection": [_path(asset) for asset in assets],
            "assetCheckSelection": [{"assetKey": _path(asset), "name": name} for asset, name in checks],
        }
        params = {
            "selector": selector,
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": name, "value": value} for name, value in tags.items()],
            },
        }
        found = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if found["__typename"] != "LaunchRunSuccess":
            raise Refused(json.dumps(found)[:1000])
        return str(found["run"]["runId"])

    def ended(self, run_id: str) -> str | None:
        """Return how a run ended, None while it has not."""
        run = self._instance.get_run_by_id(run_id)
        return run.status.value if run is not None and run.is_finished else None

    def again(self, run_id: str) -> str | None:
        """Return how the run that was started after this one ended, None while none has."""
        runs = self._instance.get_runs(dg.RunsFilter(tags={PARENT: run_id}))
        return next((run.status.value for run in runs if run.is_finished), None)

    def under_way(self) -> int:
        """Return how many runs have not ended."""
        waiting = [
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ]
        return len(self._instance.get_run_ids(dg.RunsFilter(statuses=waiting)))

    def evaluated_at(self, run_id: str) -> float | None:
        """Return when a check of a run was evaluated, as the run's process saw it."""
        kinds = {dg.DagsterEventType.ASSET_CHECK_EVALUATION}
        found = self._instance.get_records_for_run(run_id, of_type=kinds, limit=1).records
        return found[0].event_log_entry.timestamp if found else None

    def _ask(self, query: str, variables: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever it answers
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            self._url, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310 - same
                found = json.load(reply)
        except OSError as error:
            raise Refused(str(error)) from error
        if found.get("errors"):
            raise Refused(json.dumps(found["errors"])[:1000])
        return found["data"]


@contextmanager
def opened_instance(home: Path, url: str) -> Iterator[dg.DagsterInstance]:
    """Yield the Dagster instance of a deployment, its tables made; meanwhile the environment names it."""
    environment = {"ITB_DAGSTER_URL": url, "DAGSTER_HOME": str(home)}
    with mock.patch.dict("os.environ", environment), dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def _path(asset: str) -> dict[str, list[str]]:
    return {"path": asset.split("/")}
