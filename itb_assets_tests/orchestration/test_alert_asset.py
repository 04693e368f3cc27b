"""The page of open incidents is written when they change, and never alarms about itself."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from alert_room import ASSETS, KLINES, Room

from itb_assets.observability.alerts import store
from itb_assets.orchestration.alert_asset import CHECK, INCIDENTS, show_incidents
from itb_assets.orchestration.alert_subjects import Subjects

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
    assert KLINES in found.metadata["incidents"].value
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
    assert "ann" in newest(room).metadata["incidents"].value
    assert len(room.records(EVALUATIONS)) == 2


def test_it_is_no_alert_itself(room: Room):
    room.run(fail_raw="bug")
    room.look()
    shown(room)
    room.look()
    assert room.only().rule == "pipeline_error"
