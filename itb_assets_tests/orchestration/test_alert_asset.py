"""The page of open incidents is written when they change, and never alarms about itself."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from alert_room import ASSETS, KLINES, UI, Room

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts import store
from itb_assets.orchestration.alerts.asset import (
    CHECK,
    INCIDENTS,
    MOST_SHOWN,
    NO_DATABASE,
    incidents_check,
    show_incidents,
)
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.build import build_defs, build_platform
from itb_assets.settings import load_settings

EVALUATIONS = (
    "SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION' AND run_id = ''"
)


@pytest.fixture(autouse=True)
def _left(room: Room) -> None:
    """Read events as the sensor does."""
    left = [(INCIDENTS.to_user_string(), CHECK)]
    object.__setattr__(room.reader, "subjects", Subjects(ASSETS, left_to_rules=left))


def shown(room: Room) -> bool:
    """Show what is open now."""
    return show_incidents(room.instance, room.writer, datetime.now(UTC))


def newest(room: Room) -> dg.AssetCheckEvaluation:
    """Return what the page says."""
    key = dg.AssetCheckKey(INCIDENTS, CHECK)
    [record] = room.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    return record.event.get_dagster_event().asset_check_evaluation_data


def test_it_shows_what_is_open_and_that_it_is_over(room: Room):
    assert shown(room)
    assert newest(room).passed
    room.run(fail_raw="bug")
    room.look()
    assert shown(room)
    found = newest(room)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert KLINES in str(found.description)
    room.run()
    room.look()
    assert shown(room)
    assert newest(room).passed


def test_it_is_written_when_something_changes_and_only_then(room: Room):
    room.run(fail_raw="bug")
    room.look()
    assert [shown(room) for _ in range(3)] == [True, False, False]
    with room.engine.begin() as connection:
        store.acknowledge(connection, room.only().id, "ann", datetime.now(UTC))
    assert [shown(room) for _ in range(2)] == [True, False]
    assert "| ann |" in str(newest(room).description)
    assert len(room.records(EVALUATIONS)) == 2


def test_it_is_no_alert_itself(room: Room):
    room.run(fail_raw="bug")
    room.look()
    shown(room)
    room.look()
    assert room.only().rule == "pipeline_error"


def test_each_row_tells_how_bad_what_since_when_and_where(room: Room):
    """Words that look like markup are shown as they are; who looks after it, and its run, stand beside."""
    result = room.run(fail_raw="bug")
    room.look()
    found = room.only()
    odd = Occurrence(
        event_id="odd",
        rule="daemon_error",
        level=Level.WARNING,
        labels={"daemon": "odd"},
        title="<b>a|b</b> [c](d)",
        at=datetime.now(UTC),
    )
    room.writer.tell(odd, datetime.now(UTC))
    shown(room)
    said, _, heads, _, first, second = str(newest(room).description).splitlines()
    assert said == "2 incidents are open"
    assert heads == "| id | level | what | since | acknowledged | run |"
    assert first.startswith(f"| {found.id} | error | {KLINES} ")
    since = f"{found.first_at.astimezone(UTC):%d %b %H:%M} UTC".replace(" ", "\N{NO-BREAK SPACE}")
    assert f"| {since} | no |" in first
    assert first.endswith(f"| [open]({UI}/runs/{result.run_id}) |")
    assert r"| warning | \<b\>a\|b\</b\> \[c\](d) |" in second


def test_more_than_a_page_holds_are_counted(room: Room):
    now = datetime.now(UTC)
    for number in range(MOST_SHOWN + 1):
        odd = Occurrence(
            event_id=f"odd {number}",
            rule="daemon_error",
            level=Level.ERROR,
            labels={"daemon": str(number)},
            title=f"number {number}",
            at=now,
        )
        room.writer.tell(odd, now)
    shown(room)
    said, _, *lines = str(newest(room).description).splitlines()
    assert said == f"more than {MOST_SHOWN} incidents are open"
    assert len(lines) == MOST_SHOWN + 2


def test_without_a_database_it_says_so_and_does_not_pass(tmp_path):
    settings = load_settings(data_root=tmp_path, database_url=None, dagster_url=None)
    defs = build_defs(settings=settings)
    graph = defs.resolve_asset_graph()
    assert NO_DATABASE in str(graph.get(INCIDENTS).description)
    job = dg.Definitions(
        assets=[dg.AssetSpec(INCIDENTS)],
        asset_checks=[incidents_check()],
        resources={"platform": build_platform(settings)},
        jobs=[dg.define_asset_job("look", dg.AssetSelection.checks(dg.AssetCheckKey(INCIDENTS, CHECK)))],
    ).resolve_job_def("look")
    with dg.DagsterInstance.ephemeral() as instance:
        [found] = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.description == NO_DATABASE
