"""Nothing is lost and nothing told twice: cursors, crashes, outages, damage, storms and old records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alert_room import ASSETS, KLINES, WOLF, Room, asked

from itb_assets.errors import DatabaseUnavailable, ItbError
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts import reading
from itb_assets.orchestration.alerts.reading import HEARTBEAT, AlertReader
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.checks.base import Verdict

STEP_FAILURE = "SELECT id, run_id, event FROM event_logs WHERE dagster_event_type = 'STEP_FAILURE'"


def copies(room: Room, count: int, *, markets: int = 1, name: str = "copy") -> None:
    """Have the one failed step look as if it had failed in as many runs more."""
    failed = room.records(f"{STEP_FAILURE} ORDER BY id")[0]
    room.records(
        "INSERT INTO runs (run_id, pipeline_name, status, run_body, create_timestamp, update_timestamp) "
        "SELECT :name || n, pipeline_name, status, replace(replace(run_body, :old, :name || n), "
        "'DEMOWOLFUSDT', 'M' || n % :markets || 'USDT'), now(), now() "
        "FROM runs, generate_series(1, :count) n WHERE run_id = :old",
        old=failed.run_id,
        count=count,
        name=f"{name}-",
        markets=markets,
    )
    room.records(
        "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key) "
        "SELECT :name || n, replace(event, :old, :name || n), dagster_event_type, timestamp, step_key "
        "FROM event_logs, generate_series(1, :count) n WHERE id = :id",
        old=failed.run_id,
        id=failed.id,
        count=count,
        name=f"{name}-",
    )


def test_a_thousand_failures_of_one_asset_are_one_incident_and_a_message(room: Room):
    room.run(fail_raw="bug")
    copies(room, 1_000)
    look = room.look()
    assert look.told == 1_001
    by_market = {each.labels["symbol"]: each.occurrences for each in room.incidents()}
    assert by_market == {WOLF.symbol: 1, "M0USDT": 1_000}
    assert len(room.messages()) == 2


def test_failures_of_many_markets_are_an_incident_each(room: Room):
    room.run(fail_raw="bug")
    copies(room, 300, markets=100)
    room.look()
    assert len(room.incidents()) == 101


def test_a_look_goes_on_where_the_last_ended_and_tells_nothing_twice(room: Room):
    room.run(fail_raw="bug")
    assert room.look().told == 1
    assert (room.look().events, room.only().occurrences) == (0, 1)
    room.rows("DELETE FROM alert_cursors")
    again = room.look()
    assert again.events > 0
    assert (room.only().occurrences, len(room.messages())) == (1, 1)


def test_a_look_ends_after_its_time_and_the_next_goes_on(room: Room):
    room.run(fail_raw="bug")
    copies(room, 500)
    object.__setattr__(room.reader, "longest_s", 0.0)
    seen = [room.look().events for _ in range(4)]
    assert seen[:2] == [reading.BATCH] * 2
    assert sum(seen) == 502  # the run that failed is an event of its own
    assert sum(each.occurrences for each in room.incidents()) == 501


def test_an_event_that_becomes_visible_late_is_told(room: Room):
    """Its number was taken before those of others that were committed, and read, first."""
    room.run(fail_raw="bug")
    [failed] = room.records(STEP_FAILURE)
    room.records("UPDATE event_logs SET dagster_event_type = 'HIDDEN' WHERE id = :id", id=failed.id)
    room.run()
    assert room.look().told == 0
    room.records("UPDATE event_logs SET dagster_event_type = 'STEP_FAILURE' WHERE id = :id", id=failed.id)
    assert room.look().told == 1
    assert room.only().rule == "pipeline_error"


def test_a_success_that_is_looked_at_again_ends_no_later_failure(room: Room):
    room.run()
    room.look()
    room.run(fail_raw="bug")
    room.look()
    room.look()
    assert room.only().labels["asset"] == KLINES


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
import dagster as dg
from alert_room import ASSETS, UI
from itb_assets.observability.alerts.config import load_config
from itb_assets.orchestration.alerts.reading import AlertReader
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import AlertWriter, Writing
Writing.move = lambda self, read: os.kill(os.getpid(), signal.SIGKILL)
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    writer = AlertWriter(sys.argv[2], load_config())
    AlertReader(writer, Subjects(ASSETS), ui_url=UI).look(instance)
"""


def test_a_reader_killed_before_its_cursor_moved_left_nothing_behind(room: Room, dagster_home):
    room.run(fail_raw="bug")
    here = os.path.dirname(__file__)  # noqa: PTH120 - an argument of a process
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(dagster_home), room.url, here], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert room.incidents(open_only=False) == []
    assert room.look().told == 1
    assert (room.only().occurrences, len(room.messages())) == (1, 1)


def test_while_the_database_is_away_nothing_moves_and_then_it_goes_on(room: Room):
    room.run(fail_raw="bug")
    name = sa.make_url(room.url).database
    server = sa.create_engine(sa.make_url(room.url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as outside:
        outside.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        try:
            gone = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            outside.execute(gone, {"name": name})
            for _ in range(2):
                with pytest.raises(ItbError, match=r"alerts|5432|postgres"):
                    room.look()
        finally:
            outside.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    server.dispose()
    assert room.look().told == 1
    assert room.only().occurrences == 1


def test_a_database_that_drops_the_connection_midway_gets_all_of_it_later(room: Room, monkeypatch):
    room.run(fail_raw="bug")
    killed = threading.Event()
    reported = store.report_all

    def cut(connection, *arguments, **options):
        done = reported(connection, *arguments, **options)
        if not killed.is_set():
            killed.set()
            pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            room.rows("SELECT pg_terminate_backend(:pid)", pid=pid)
        return done

    monkeypatch.setattr(store, "report_all", cut)
    with pytest.raises(DatabaseUnavailable):
        room.look()
    assert room.incidents(open_only=False) == []
    assert room.look().told == 1


def test_an_event_that_is_damaged_is_told_once_and_the_others_go_on(room: Room):
    room.run(fail_raw="bug")
    copies(room, 2)
    damaged = room.records(f"{STEP_FAILURE} ORDER BY id")[1]
    room.records("UPDATE event_logs SET event = '{\"torn' WHERE id = :id", id=damaged.id)
    look = room.look()
    assert (look.told, look.unreadable) == (3, 1)
    rules = {each.rule: each for each in room.incidents()}
    assert set(rules) == {"pipeline_error", "event_unreadable"}
    assert str(damaged.id) in rules["event_unreadable"].title
    assert room.look().events == 0


def test_a_run_that_is_damaged_keeps_no_event_from_being_told(room: Room):
    """Dagster reads the runs of a batch all at once, and none where one cannot be read."""
    room.run(fail_raw="bug")
    copies(room, 2)
    room.records("UPDATE runs SET run_body = '{\"torn' WHERE run_id = 'copy-1'")
    look = room.look()
    assert (look.told, look.unreadable) == (3, 0)
    found = {each.labels.get("symbol", "") for each in room.incidents()}
    assert found == {WOLF.symbol, "M0USDT", ""}  # whose market only its run knows
    assert room.look().events == 0


def test_an_event_of_another_version_is_told_as_such(room: Room):
    room.run(fail_raw="bug")
    room.records(
        "UPDATE event_logs SET event = replace(event, 'StepFailureData', 'StepNobodyKnows') "
        "WHERE dagster_event_type = 'STEP_FAILURE'"
    )
    assert room.look().unreadable == 1
    assert room.only().rule == "event_unreadable"


def test_what_the_tables_refuse_is_told_as_such_and_the_rest_as_it_is(room: Room, monkeypatch):
    room.run(fail_raw="bug")
    copies(room, 3)
    reported = store.report_all

    def picky(connection, occurrences, **options):
        if any("copy-2" in each.event_id and each.rule != "event_unreadable" for each in occurrences):
            connection.execute(sa.text("SELECT 1 / 0"))
        return reported(connection, occurrences, **options)

    monkeypatch.setattr(store, "report_all", picky)
    room.look()
    found = {
        each.rule: each.occurrences for each in room.incidents() if each.labels.get("symbol") != WOLF.symbol
    }
    assert found == {"pipeline_error": 2, "event_unreadable": 1}
    assert room.look().events == 0


def test_a_check_that_flips_with_every_run_is_a_handful_of_messages(room: Room):
    """Four times it is told that it fails and passes, then that it comes and goes, then nothing."""
    for turn in range(11):
        asked.verdicts["odd"] = Verdict(passed=bool(turn % 2), why="odd one out")
        room.run()
        room.look()
    said = room.rows("SELECT kind, message ->> 'why' AS why FROM alert_outbox ORDER BY id")
    assert [tuple(row) for row in said] == [("opened", "new"), ("resolved", "over")] * 4 + [
        ("opened", "flapping")
    ]
    assert len(room.incidents(open_only=False)) == 6


def test_the_first_look_leaves_thousands_of_old_failures_be(room: Room):
    room.run(fail_raw="bug")
    copies(room, 3_000, markets=1_000)
    room.records("UPDATE event_logs SET timestamp = timestamp - interval '1 hour'")
    room.run(market=None, fail_op="yes")
    room.rows("DELETE FROM alert_cursors")
    room.look()
    assert room.only().labels == {"job": "tidy", "step": "purge"}


def test_a_cursor_of_other_records_begins_anew(room: Room):
    """Dagster's database was made again: numbers begin at one, and the cursor lies far ahead."""
    room.rows("UPDATE alert_cursors SET cursor = :text", text='{"after":900000000,"seen":[]}')
    room.run(fail_raw="bug")
    assert room.look().told == 1


def test_two_readers_at_once_tell_everything_once(room: Room):
    room.run(fail_raw="bug")
    copies(room, 400)
    other = AlertReader(AlertWriter(room.url, load_config()), Subjects(ASSETS))
    looks = []

    def read(reader: AlertReader) -> None:
        looks.extend(reader.look(room.instance) for _ in range(3))

    threads = [threading.Thread(target=read, args=(reader,)) for reader in (room.reader, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.writer.close()
    room.look()
    assert sum(each.occurrences for each in room.incidents()) == 401


def test_every_look_says_that_it_looked(room: Room):
    before = datetime.now(UTC)
    room.look()
    with room.engine.begin() as connection:
        assert store.beats(connection)[HEARTBEAT].at >= before


def test_a_look_that_has_much_to_read_is_not_taken_for_a_dead_one(room: Room, monkeypatch):
    """It says after every batch that it looked, and ends before the rule that listens for that runs out."""
    room.run(fail_raw="bug")
    copies(room, 2 * reading.BATCH)
    seen: list[object] = []
    monkeypatch.setattr(room.writer, "beat", lambda _name, _now, detail: seen.append(detail["events"]))
    room.look()
    assert seen == [reading.BATCH, 2 * reading.BATCH, 2 * reading.BATCH + 2]
    assert load_config().rules.dagster_silent.threshold > 2 * reading.LONGEST_S


def test_a_wrong_url_is_refused_before_anything_is_read():
    with pytest.raises(ItbError):
        AlertWriter("no url", load_config())
