"""The alerter reads Dagster's events beside the sensor: each is told once, whatever is away or wrong."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import as_file, files

import pytest
import sqlalchemy as sa
from alert_room import MODEL, WOLF, Room
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster._utils.error import SerializableErrorInfo
from pipeline_making import settings_of
from pydantic import SecretStr
from test_alert_reading import copies

from itb_assets.errors import DatabaseUnavailable
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.state import beats
from itb_assets.orchestration.alerts.alerter import PAUSE, Alerter
from itb_assets.orchestration.alerts.reading import HEARTBEAT
from itb_assets.orchestration.alerts.watch import DagsterWatch
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.partitions import SYMBOLS
from itb_assets.storage.layout import Layout

SOON_S = 20.0


@pytest.fixture
def watch(room: Room, tmp_path) -> Iterator[DagsterWatch]:
    """Return what the alerter of the same two databases looks with, its strategies in a folder."""
    (tmp_path / "own").mkdir()
    settings = settings_of(tmp_path / "data", "http://127.0.0.1:9", strategies_dir=tmp_path / "own")
    urls = {
        "database_url": SecretStr(room.url),
        "dagster_url": SecretStr(room.dagster.url.render_as_string(hide_password=False)),
    }
    made = DagsterWatch(settings.model_copy(update=urls), room.url, load_config())
    yield made
    made.close()


@contextmanager
def away(url: sa.URL) -> Iterator[None]:
    """Let nobody into a database for the length of a block, and throw out who is in."""
    server = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    gone = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with server.connect() as outside:
        outside.execute(sa.text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false'))
        try:
            outside.execute(gone, {"name": url.database})
            yield
        finally:
            outside.execute(sa.text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true'))
    server.dispose()


def let_go(room: Room) -> None:
    """Have nobody keep a connection that was cut."""
    room.dagster.dispose()
    for storage in (
        room.instance.run_storage,
        room.instance.event_log_storage,
        room.instance.schedule_storage,
    ):
        storage._engine.dispose()


def soon(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def failed_tick(room: Room) -> None:
    """Have a sensor fail."""
    error = SerializableErrorInfo("ValueError: odd\n", [], "ValueError")
    now = datetime.now(UTC).timestamp()
    data = TickData(
        "o", "eyes", InstigatorType.SENSOR, TickStatus.FAILURE, now, [], error=error, selector_id="s"
    )
    room.instance.create_tick(data)


def heartbeat(room: Room) -> datetime | None:
    """Return when a sensor last said that it looked."""
    with room.engine.begin() as connection:
        found = beats(connection).get(HEARTBEAT)
    return None if found is None else found.at


def test_it_tells_what_failed_and_leaves_the_heartbeat_to_the_sensor(room: Room, watch: DagsterWatch):
    """Else a dead daemon would look alive for as long as an alerter reads."""
    before = heartbeat(room)
    room.run(fail_raw="bug")
    failed_tick(room)
    assert watch.look() == ""
    assert {each.rule for each in room.incidents()} == {"pipeline_error", "automation_failed"}
    assert heartbeat(room) == before
    room.look()
    assert heartbeat(room) != before
    assert [each.occurrences for each in room.incidents()] == [1, 1]


def test_sensor_and_alerter_at_once_tell_each_event_once(room: Room, watch: DagsterWatch):
    """Events keep coming while both look as often as they can; whoever finds the other at it leaves it."""
    room.run(fail_raw="bug")
    stop, looks = threading.Event(), {"sensor": 0, "alerter": 0}

    def read(name: str, look: Callable[[], object]) -> None:
        while not stop.is_set():
            look()
            looks[name] += 1

    threads = [
        threading.Thread(target=read, args=("sensor", room.look)),
        threading.Thread(target=read, args=("alerter", watch.look)),
    ]
    for thread in threads:
        thread.start()
    try:
        for part in range(8):
            copies(room, 50, markets=50, name=f"part{part}")
            room.records("SELECT pg_sleep(0.1)")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    room.look()
    assert min(looks.values()) >= 2
    found = {each.labels["symbol"]: each.occurrences for each in room.incidents()}
    assert found.pop(WOLF.symbol) == 1
    assert (len(found), set(found.values())) == (50, {8})
    assert len(room.messages()) == 51


def test_who_waits_for_dagster_in_the_middle_of_writing_loses_its_turn(room: Room):
    """A reader that hangs in Dagster's database must not keep the other one from reading."""
    slow, now = AlertWriter(room.url, load_config(), idle_timeout_s=2.0), datetime.now(UTC)

    def free() -> bool:
        with room.writer.writing("events", now) as other:
            return other is not None

    def hang() -> None:
        with slow.writing("events", now) as hangs:
            assert hangs is not None
            assert not free()
            soon(free)
            hangs.cursor()

    with pytest.raises(DatabaseUnavailable):
        hang()
    slow.close()


@pytest.mark.parametrize(("limit_s", "unanswered_ms"), [(15.0, "10000"), (2.0, "3000")])
def test_a_database_whose_machine_vanished_is_given_up(room: Room, limit_s: float, unanswered_ms: str):
    """It ends no connection and answers none, so that the limits of its statements do not help."""
    writer = AlertWriter(room.url, load_config(), statement_timeout_s=limit_s)
    with writer.reading() as connection:
        said = connection.connection.dbapi_connection.get_dsn_parameters()
    writer.close()
    assert said["tcp_user_timeout"] == unanswered_ms
    assert [said[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == ["10", "5", "3"]


def test_a_sensor_that_finds_another_reading_says_that_it_is_alive(room: Room):
    before = heartbeat(room)
    other = AlertWriter(room.url, load_config())
    with other.writing("event_logs", datetime.now(UTC)) as held:
        assert held is not None
        assert room.look().busy
    assert heartbeat(room) != before
    other.close()


def test_strategies_that_are_wrong_keep_events_waiting_and_nothing_else(
    room: Room, watch: DagsterWatch, tmp_path
):
    room.run(fail_raw="bug")
    failed_tick(room)
    broken = tmp_path / "own" / "mine.jsonc"
    broken.write_text("{ this is none", "utf-8")
    watch.try_to_look()
    assert "mine.jsonc" in watch.trouble
    assert [each.rule for each in room.incidents()] == ["automation_failed"]
    broken.unlink()
    watch.try_to_look()
    assert watch.trouble == ""
    assert {each.rule for each in room.incidents()} == {"pipeline_error", "automation_failed"}


def test_a_folder_of_strategies_that_is_gone_is_said_and_read_when_it_is_back(watch: DagsterWatch, tmp_path):
    (tmp_path / "own").rmdir()
    watch.try_to_look()
    assert str(tmp_path / "own") in watch.trouble
    (tmp_path / "own").mkdir()
    watch.try_to_look()
    assert watch.trouble == ""


def test_a_strategy_that_was_added_is_known_at_the_next_look(room: Room, watch: DagsterWatch, tmp_path):
    """Else its model's failure would be told as that of a nameless step, and not end with its success."""
    room.run(fail_models="bug")
    watch.look()
    assert (room.only().rule, "asset" in room.only().labels) == ("run_failed", False)
    with as_file(files("itb_assets") / "strategies" / "aggressive.jsonc") as shipped:
        shutil.copy(shipped, tmp_path / "own" / "brisk.jsonc")
    room.run(fail_models="bug")
    assert watch.look() == ""
    assert MODEL in {each.labels.get("asset") for each in room.incidents()}


def test_while_dagsters_database_is_away_rules_are_computed_and_then_it_is_read(
    room: Room, watch: DagsterWatch
):
    room.instance.add_dynamic_partitions(str(SYMBOLS.name), [WOLF.symbol])
    alerter = Alerter(room.engine, load_config(), [], watch)
    room.run(fail_raw="bug")
    watch.try_to_look()
    assert {market.symbol for market in watch.followed or ()} == {WOLF.symbol}
    room.run(market=None, fail_op="yes")
    with away(room.dagster.url):
        let_go(room)
        watch.try_to_look()
        assert f"{room.dagster.url.database} " in watch.trouble
        assert alerter.round(datetime.now(UTC)).evaluations > 10
        assert room.only().labels["asset"] == "raw/klines"
    watch.try_to_look()
    assert watch.trouble == ""
    assert {each.rule for each in room.incidents()} == {"pipeline_error", "run_failed"}


def test_while_our_database_is_away_nothing_is_lost(room: Room, watch: DagsterWatch):
    watch.look()
    room.run(fail_raw="bug")
    with away(sa.make_url(room.url)):
        watch.try_to_look()
        assert watch.trouble
    watch.try_to_look()
    assert watch.trouble == ""
    assert (room.only().occurrences, len(room.messages())) == (1, 1)


def test_the_first_look_begins_where_no_home_of_dagster_is(watch: DagsterWatch, tmp_path):
    assert not Layout(tmp_path / "data").dagster_home.exists()
    watch.try_to_look()
    assert (watch.trouble, watch.asked.is_set()) == ("", True)


def test_rounds_after_an_outage_know_since_when_they_watch_and_slow_ones_do_not(room: Room):
    """A machine so slow that rounds lie far apart must not wait for heartbeats for ever."""
    alerter, start = Alerter(room.engine, load_config(), []), datetime.now(UTC)
    alerter.round(alerter._resumed(start))
    assert alerter._watched_since == start
    alerter.round(alerter._resumed(start + 3 * PAUSE))
    assert alerter._watched_since == start
    alerter._failed = True
    again = start + 5 * PAUSE
    alerter.round(alerter._resumed(again))
    assert (alerter._watched_since, alerter._failed) == (again, False)
