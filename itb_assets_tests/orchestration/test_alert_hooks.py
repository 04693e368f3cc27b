"""A failed step is told from its own process at once, counts once, and is no worse off when telling fails."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, datetime

import dagster as dg
import pytest
from alert_room import ASSETS, QUIET, UI, WOLF, Room, asked, build_job

from itb_assets.domain.alerts import Occurrence
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.logs import configure_logging, register_secret
from itb_assets.orchestration.alerts.hooks import FastTeller, telling_executor
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.checks.base import Verdict
from itb_assets.orchestration.partitions import SYMBOLS, partition_of

AWAY = "postgresql+psycopg2://nobody@127.0.0.1:9/nowhere"
teller: list[FastTeller | Exception | None] = []
"""What the executor of the job below is given; a job that is made anew elsewhere takes no arguments."""


def made() -> FastTeller | None:
    """Return what the test wants."""
    if isinstance(teller[0], Exception):
        raise teller[0]
    return teller[0]


def telling_job() -> dg.JobDefinition:
    """Return the job with an executor that tells."""
    return build_job().with_executor_def(telling_executor(made))


def execute(room: Room, **tags: str) -> dg.JobExecutionResult:
    """Run it as a run worker does, by its executor."""
    room.instance.add_dynamic_partitions(str(SYMBOLS.name), [WOLF.symbol])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.execute_job(
            dg.reconstructable(telling_job),
            instance=room.instance,
            run_config=QUIET,
            tags={name.replace("_", "/", 1): value for name, value in tags.items()}
            | {"dagster/partition": str(partition_of(WOLF))},
        )


@pytest.fixture
def fast(room: Room):
    """Have what fails told into our database."""
    writer = AlertWriter(room.url, load_config(), statement_timeout_s=2)
    teller[:] = [FastTeller(writer.tell, Subjects(ASSETS), UI)]
    yield
    writer.close()


@pytest.mark.usefixtures("fast")
def test_a_failed_step_is_told_before_anybody_looks_and_counts_once(room: Room):
    assert not execute(room, fail_raw="terminal").success
    found = room.only()
    assert found.rule == "pipeline_error"
    assert found.detail == "DataContractError: klines of DEMOWOLFUSDT 5m are unsorted (terminal)"
    room.look()
    assert room.only() == found
    assert len(room.messages()) == 1


@pytest.mark.usefixtures("fast")
def test_a_failed_check_is_told_and_a_blocking_one_once(room: Room):
    asked.verdicts["schema"] = Verdict(passed=False, why="klines overlap")
    asked.verdicts["odd"] = Verdict(passed=False, metadata={"rows": 3})
    execute(room)
    found = {each.labels["check"]: each for each in room.incidents()}
    room.look()
    assert {each.labels["check"]: each for each in room.incidents()} == found
    assert found["schema"].detail == "klines overlap"


@pytest.mark.usefixtures("fast")
def test_a_run_that_goes_well_asks_nothing_of_our_database(room: Room):
    teller[:] = [FastTeller(_never, Subjects(ASSETS), UI)]
    assert execute(room).success


def _never(occurrence: Occurrence, now: datetime) -> None:
    raise AssertionError(f"told {occurrence} at {now}")


def test_what_fails_while_telling_changes_nothing_of_the_run(room: Room):
    writer = AlertWriter(AWAY, load_config(), statement_timeout_s=2)
    teller[:] = [FastTeller(writer.tell, Subjects(ASSETS), UI)]
    asked.verdicts["odd"] = Verdict(passed=False)
    begun = time.monotonic()
    result = execute(room, fail_models="model")
    took = time.monotonic() - begun
    writer.close()
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "models__brisk__lgbm__high_040_4"
    assert room.incidents(open_only=False) == []
    assert took < 10
    room.look()
    assert {each.rule for each in room.incidents()} == {"training_failed", "check_failed"}


def test_after_one_failure_to_tell_it_is_silent_for_the_run(room: Room):
    asked_for = []

    def away(occurrence: Occurrence, now: datetime) -> None:
        asked_for.append(occurrence)
        raise TimeoutError("too slow")

    teller[:] = [FastTeller(away, Subjects(ASSETS), UI)]
    asked.verdicts |= {"odd": Verdict(passed=False), "promoted": Verdict(passed=False)}
    assert execute(room).success
    assert len(asked_for) == 1


def test_a_secret_in_what_fails_while_telling_is_in_no_log_of_the_run(room: Room, capfd):
    """Neither in Dagster's records of the run, nor in our lines, nor in what its process writes."""
    key = "AAH-s3cretTokenOfTheBot_xyz"
    register_secret(key)
    lines: list[str] = []
    configure_logging("TRACE", sink=lines.append)

    def away(occurrence: Occurrence, now: datetime) -> None:
        raise TimeoutError(f"no answer of https://host/bot1:{key}/sendMessage about {occurrence} at {now}")

    try:
        for broken in (FastTeller(away, Subjects(ASSETS), UI), ValueError(f"no channel {key}")):
            teller[:] = [broken]
            run = execute(room, fail_raw="bug").run_id
            lines += map(str, room.instance.all_logs(run))
    finally:
        configure_logging("INFO")
    everything = "\n".join([*lines, *capfd.readouterr()])
    assert "alert left to the sensor: TimeoutError: no answer of https://host/bot1:***/" in everything
    assert "alerts are left to the sensor: no channel ***" in everything
    assert "STEP_FAILURE" in everything
    assert key not in everything


@pytest.mark.parametrize("nothing", [None, ValueError("a wrong file of alerts")])
def test_without_a_way_to_tell_a_run_is_as_it_was(room: Room, nothing):
    teller[:] = [nothing]
    assert execute(room).success
    assert not execute(room, fail_raw="bug").success


def test_the_executor_is_taken_for_dagsters_own():
    told = telling_executor(made)
    assert told.name == dg.in_process_executor.name
    assert told.config_schema is dg.in_process_executor.config_schema


@pytest.mark.usefixtures("fast")
def test_a_retried_step_is_told_when_it_gives_up(room: Room, monkeypatch):
    from itb_assets.orchestration import failures  # noqa: PLC0415 - patched

    monkeypatch.setattr(failures, "DEFAULT_WAIT_S", 0.01)
    assert execute(room, fail_raw="transient", attempts="2").success
    assert room.incidents(open_only=False) == []
    assert not execute(room, fail_raw="transient", attempts="9").success
    found = room.only()
    assert found.detail == "ExchangeUnavailable: the exchange did not answer; try later (transient)"
    assert found.last_at <= datetime.now(UTC)
