"""Failed ticks and daemons in trouble are told, by what a real instance keeps of them, and end again."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from alert_room import Room
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from itb_assets.orchestration.alerts.ticks import SILENT_AFTER_S
from itb_assets.orchestration.orphans import LAUNCHED_BY

ERROR = SerializableErrorInfo("itb_assets.errors.ConfigError: 1 problem found\n  - x\n", [], "ConfigError")


def now() -> float:
    """Return the time in Unix seconds."""
    return datetime.now(UTC).timestamp()


GONE = SerializableErrorInfo(
    "dagster._core.errors.DagsterUserCodeUnreachableError: Unable to reach the user code server.\n",
    [],
    "DagsterUserCodeUnreachableError",
    cause=SerializableErrorInfo(
        "dagster._core.errors.DagsterUserCodeUnreachableError: Could not reach user code server. "
        "gRPC Error code: UNAVAILABLE\n",
        [],
        "DagsterUserCodeUnreachableError",
        cause=SerializableErrorInfo("grpc._channel._InactiveRpcError: <...>\n", [], "_InactiveRpcError"),
    ),
)


def tick(
    room: Room,
    status: TickStatus,
    *,
    kind: InstigatorType = InstigatorType.SENSOR,
    name: str = "eyes",
    error: SerializableErrorInfo = ERROR,
):
    """Have a sensor or schedule tick."""
    error = error if status is TickStatus.FAILURE else None
    data = TickData("origin", name, kind, status, now(), [], error=error, selector_id=f"selector {name}")
    return room.instance.create_tick(data)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (InstigatorType.SENSOR, "sensor"),
        (InstigatorType.SCHEDULE, "schedule"),
    ],
)
def test_a_failed_tick_is_told_until_one_goes_well(room: Room, kind: InstigatorType, word: str):
    tick(room, TickStatus.FAILURE, kind=kind)
    room.look()
    found = room.only()
    assert (found.rule, found.labels) == ("automation_failed", {word: "eyes"})
    assert found.detail == "ConfigError: 1 problem found (terminal)"
    tick(room, TickStatus.SKIPPED, kind=kind, name="others")
    room.look()
    assert room.only().occurrences == 1
    tick(room, TickStatus.SKIPPED, kind=kind)
    room.look()
    assert room.incidents() == []


def test_a_tick_is_told_when_it_is_over(room: Room):
    begun = tick(room, TickStatus.STARTED)
    assert room.look().ticks == 0
    tick(room, TickStatus.SUCCESS, name="others")
    room.look()
    room.instance.update_tick(begun.with_status(TickStatus.FAILURE, error=ERROR))
    assert room.look().told == 1
    assert room.only().labels == {"sensor": "eyes"}


def test_a_code_server_that_is_gone_is_one_incident_and_not_one_of_every_sensor(room: Room):
    for name in ("eyes", "ears"):
        tick(room, TickStatus.FAILURE, name=name, error=GONE)
    room.look()
    found = room.only()
    assert found.labels == {"server": "code"}
    assert (found.title, found.occurrences) == ("Dagster's code server: does not answer", 2)
    assert found.detail == "Could not reach user code server. gRPC Error code: UNAVAILABLE"
    tick(room, TickStatus.SKIPPED, name="others")
    room.look()
    assert room.incidents() == []


def under_way(room: Room, symbol: str, *, tags: dict[str, str]) -> None:
    """Have a run of a market under way."""
    named = {"dagster/partition": f"5m|{symbol}"} | tags
    room.instance.add_run(dg.DagsterRun("build", status=dg.DagsterRunStatus.STARTED, tags=named))


def test_runs_that_a_code_server_carries_are_named_when_it_is_gone(room: Room):
    launched = {LAUNCHED_BY: "{}"}
    for symbol in ("AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT"):
        under_way(room, symbol, tags=launched)
    under_way(room, "BYHANDUSDT", tags={})
    tick(room, TickStatus.FAILURE, error=GONE)
    room.look()
    of = ", ".join(f"build of {symbol} 5m" for symbol in ("AUSDT", "BUSDT", "CUSDT"))
    assert room.only().detail.endswith(f"UNAVAILABLE; runs under way: {of} and 2 more")


def beat(room: Room, *, daemon: str = "SCHEDULER", errors=(), age: float = 0.0, process: str = "one") -> None:
    """Have a daemon beat."""
    room.instance.add_daemon_heartbeat(DaemonHeartbeat(now() - age, daemon, process, list(errors)))


@pytest.fixture(autouse=True)
def _no_beats(room: Room):
    room.instance.wipe_daemon_heartbeats()
    yield
    room.instance.wipe_daemon_heartbeats()


def test_a_damaged_run_keeps_no_failed_tick_from_being_told(room: Room):
    for symbol in ("AUSDT", "BUSDT"):
        under_way(room, symbol, tags={LAUNCHED_BY: "{}"})
    room.records("UPDATE runs SET run_body = '{\"torn' WHERE run_body LIKE '%AUSDT%'")
    tick(room, TickStatus.FAILURE, error=GONE)
    assert room.look().told == 1
    assert room.only().detail.endswith("runs under way: build of BUSDT 5m")


def test_a_damaged_tick_keeps_no_error_of_a_daemon_from_being_told(room: Room):
    tick(room, TickStatus.FAILURE)
    room.records("UPDATE job_ticks SET tick_body = '{\"torn'")
    beat(room, daemon="SENSOR", errors=[GONE])
    room.look()
    assert {each.rule for each in room.incidents()} == {"event_unreadable", "daemon_error"}


def test_errors_of_a_daemon_are_told_once_while_they_are_carried_along(room: Room):
    for _ in range(3):
        beat(room, errors=[ERROR])
        room.look()
    found = room.only()
    assert (found.rule, found.labels) == ("daemon_error", {"daemon": "scheduler"})
    assert found.occurrences <= 2  # five minutes may end meanwhile
    assert len(room.messages()) == 1
    beat(room)
    room.look()
    assert room.incidents() == []


def test_a_failed_tick_is_not_told_again_as_an_error_of_its_daemon(room: Room):
    tick(room, TickStatus.FAILURE)
    beat(room, daemon="SENSOR", errors=[ERROR])
    for _ in range(2):
        room.look()
    assert room.only().rule == "automation_failed"


def test_a_daemon_that_stopped_while_another_works_is_told(room: Room):
    beat(room, age=SILENT_AFTER_S + 5)
    beat(room, daemon="SENSOR")
    room.look()
    found = room.only()
    assert found.labels == {"daemon": "scheduler"}
    assert found.detail.startswith("no heartbeat for")


def test_heartbeats_of_a_daemon_that_was_started_again_are_no_silence(room: Room):
    beat(room, age=3_600, process="before")
    beat(room, daemon="SENSOR", process="after")
    room.look()
    assert room.incidents() == []


def test_a_daemon_that_this_instance_does_not_need_is_let_be(room: Room):
    beat(room, daemon="NOBODY", errors=[ERROR])
    room.look()
    assert room.incidents() == []
