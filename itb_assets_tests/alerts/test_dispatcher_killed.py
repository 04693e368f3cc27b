"""Cut off from its database, killed or told to end, the dispatcher loses nothing and repeats only marked."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from bot_api import UNLIMITED, BotApi
from databases import on_one_engine
from dispatching import (
    ONE_ENGINE,
    TOKEN,
    all_sent,
    dispatcher_process,
    dispatching,
    put,
    rows,
    said,
    telegram,
    the_log,
)

from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.server.embedded import EmbeddedPostgres

one_engine = on_one_engine("postgres", because=ONE_ENGINE)
REPEAT = "[possible repeat]"


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42], limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def logged():
    with the_log() as lines:
        yield lines


def cut_sessions(engine: sa.Engine) -> None:
    """End every session of the database, as a server that restarts does."""
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    with engine.begin() as connection:
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {others}"))
    engine.dispose()


@one_engine
def test_sessions_that_are_cut_cost_nothing(alerts_engine, api, logged):
    with dispatching(alerts_engine, telegram(api)):
        for number in range(12):
            put(alerts_engine, f"failure {number}")
            cut_sessions(alerts_engine)
            time.sleep(0.1)
        all_sent(alerts_engine)
    assert sorted({text.partition("\n")[0] for text in said(api)}) == sorted(
        {f"❌ error: failure {number}" for number in range(12)}
    )
    assert len(said(api)) == 12


@one_engine
def test_an_answer_that_came_while_the_database_was_away_is_remembered(alerts_engine, api, logged):
    """The process knows that it arrived: it is written down later, not sent again."""
    api.fault("slow", seconds=1)
    put(alerts_engine, "one")
    with dispatching(alerts_engine, telegram(api)):
        api.wait(1)
        cut_sessions(alerts_engine)
        all_sent(alerts_engine)
        time.sleep(0.3)
    assert len(said(api)) == 1


@one_engine
def test_killed_in_the_middle_it_is_sent_again_and_says_so(database_url, alerts_engine, api):
    put(alerts_engine, "one")
    api.fault("slow", seconds=30)
    with dispatcher_process(database_url, api) as process:
        api.wait(1)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    put(alerts_engine, "two")
    with dispatcher_process(database_url, api):
        all_sent(alerts_engine)
    assert [REPEAT in text for text in said(api)] == [False, True, False]
    assert "one" in said(api)[1]


@one_engine
def test_a_message_that_may_have_arrived_counts_for_the_next_process_too(database_url, alerts_engine, api):
    limits = {"burst": 1, "per_minute": 15, "digest_below": 1, "reserve": 0}
    put(alerts_engine, "one")
    api.fault("slow", seconds=30)
    with dispatcher_process(database_url, api, limits=limits) as process:
        api.wait(1)
        process.kill()
        process.wait(10)
    with dispatcher_process(database_url, api, limits=limits):
        api.wait(2)
    assert (api.sent[1].at - api.sent[0].at).total_seconds() > 3.5


@one_engine
def test_told_to_end_it_finishes_what_is_under_way(database_url, alerts_engine, api):
    put(alerts_engine, "one")
    api.fault("slow", seconds=1.5)
    with dispatcher_process(database_url, api) as process:
        api.wait(1)
        put(alerts_engine, "two", next_at=datetime.now(UTC))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    first, second = rows(alerts_engine, "sent_at, lease_until, leased_before")
    assert first.sent_at is not None
    assert (second.sent_at, second.lease_until, second.leased_before) == (None, None, False)


def test_a_database_that_goes_away_for_a_while_is_waited_for(tmp_path, api, logged):
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        server.ensure_database("alerts")
        engine = sa.create_engine(server.url("alerts"), pool_pre_ping=True)
        migrate(engine)
        put(engine, "before")
        with dispatching(engine, telegram(api)):
            all_sent(engine)
            api.fault("slow", seconds=2)
            put(engine, "under way")
            api.wait(2)
            server.stop(at_once=True)
            time.sleep(2.5)
            server.start()
            put(engine, "after")
            all_sent(engine, within_s=20)
        engine.dispose()
    finally:
        server.stop(at_once=True)
    assert [text.partition("\n")[0].rpartition(": ")[2] for text in said(api)] == [
        "before",
        "under way",
        "after",
    ]
    assert not any(REPEAT in text for text in said(api))
    assert 1 <= sum("alerts wait for the database" in line for line in logged) <= 8, "not once a look"
