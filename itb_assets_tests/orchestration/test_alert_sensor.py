"""The sensors run from the start, every five seconds, and say what they did."""

from __future__ import annotations

import dagster as dg
import pytest
from alert_room import Room
from pipeline_making import settings_of
from pydantic import SecretStr

from itb_assets.errors import ItbError
from itb_assets.orchestration.alerts.records import EVENTS
from itb_assets.orchestration.alerts.sensor import EVERY_S, alert_sensors, fast_teller, subjects_of
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.strategies import read_strategies


def platform_on(root, url: str | None) -> Platform:
    """Return a platform whose tables are at a URL."""
    settings = settings_of(root / "data", "http://127.0.0.1:9")
    address = None if url is None else SecretStr(url)
    return Platform(settings.model_copy(update={"database_url": address}), read_strategies())


def tick(platform: Platform, name: str, instance: dg.DagsterInstance) -> str:
    """Have a sensor tick and return what it says."""
    sensor = next(each for each in alert_sensors(platform) if each.name == name)
    with dg.build_sensor_context(instance=instance) as context:
        found = sensor(context)
    assert isinstance(found, dg.SkipReason)
    return found.skip_message or ""


def test_they_run_by_themselves_every_five_seconds(tmp_path):
    for sensor in alert_sensors(platform_on(tmp_path, None)):
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert sensor.minimum_interval_seconds == EVERY_S < 5
        assert len(sensor.description or "") > 30


def test_a_tick_tells_what_failed(room: Room, tmp_path):
    room.run(fail_raw="bug")
    said = tick(platform_on(tmp_path, room.url), "alert_events", room.instance)
    assert "1 occurrences told" in said
    assert room.only().rule == "pipeline_error"


def test_a_tick_brings_the_page_of_incidents_up_to_date_even_while_another_reads(room: Room, tmp_path):
    written = "SELECT id FROM event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION'"
    platform = platform_on(tmp_path, room.url)
    with room.writer.writing(EVENTS, room.reader.clock()):
        assert "another process" in tick(platform, "alert_events", room.instance)
        before = len(room.records(written))
        tick(platform, "alert_events", room.instance)
    assert before == len(room.records(written)) == 1


def test_without_a_database_it_says_what_to_set(room: Room, tmp_path):
    assert "ITB_DATABASE_URL" in tick(platform_on(tmp_path, None), "alert_events", room.instance)
    assert fast_teller(platform_on(tmp_path, None)) is None


def test_while_the_database_is_away_the_tick_fails(room: Room, tmp_path):
    away = platform_on(tmp_path, "postgresql+psycopg2://nobody@127.0.0.1:9/nowhere")
    with pytest.raises(ItbError, match=r"127\.0\.0\.1"):
        tick(away, "alert_events", room.instance)


def test_runs_whose_process_is_gone_are_counted(room: Room, tmp_path):
    assert tick(platform_on(tmp_path, None), "lost_runs", room.instance).startswith("0 runs")


@pytest.mark.parametrize("phase", ["files", "dual"])
def test_checks_of_what_rules_see_are_left_to_them_where_there_are_tables(tmp_path, phase):
    platform = platform_on(tmp_path, None)
    settings = platform.settings.model_copy(update={"storage_phase": phase})
    left = subjects_of(Platform(settings, platform.strategies)).left_to_rules
    by_rules = {("raw/klines", "gaps"), ("raw/klines", "freshness"), ("drift/aggressive", "drift")}
    assert left >= {("alerts/incidents", "none_open")}
    assert bool(left >= by_rules) == (phase == "dual") == bool(left & by_rules)
