"""Several who report, acknowledge and claim at once: one incident, no count lost, no message taken twice."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from alert_making import ROUTING, START, occurrence
from alert_reporters import ASSETS
from databases import on_one_engine

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import outbox, store

pytestmark = on_one_engine(
    "postgres",
    because="transactions wait for each other here; TimescaleDB for tests runs one after the other",
)

HERE = Path(__file__).parent
THREADS = 8


def address(engine: sa.Engine) -> str:
    """Return where an engine leads to, password and all."""
    return engine.url.render_as_string(hide_password=False)


def start(engine: sa.Engine, name: str, reports: str, **other) -> subprocess.Popen[str]:
    """Start a process that reports."""
    command = [sys.executable, str(HERE / "alert_reporters.py"), address(engine), name, reports]
    return subprocess.Popen(command, cwd=HERE, text=True, stdout=subprocess.PIPE, **other)


def at_once(work, count: int = THREADS) -> list:
    """Run something in threads that begin together."""
    gate = threading.Barrier(count)

    def turn(number: int):
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(turn, range(count)))


def report(engine: sa.Engine, event_id: str, **other) -> store.Reported:
    """Report one in a transaction of its own."""
    with engine.begin() as connection:
        return store.report(connection, occurrence(event_id, **other), now=START, routing=ROUTING)


def woken(listener, *, within_s: float) -> list[str]:
    """Return what a connection hears, waiting so long for the first."""
    select.select([listener], [], [], within_s)
    listener.poll()
    return [each.channel for each in listener.notifies]


def test_all_at_once_are_one_incident_with_every_count(alerts_engine):
    """Eight threads of 20 reports each of one thing, and one of them is told."""
    at_once(lambda number: [report(alerts_engine, f"e{number}-{turn}") for turn in range(20)])
    with alerts_engine.begin() as connection:
        [incident] = store.incidents(connection, open_only=False)
        assert incident.occurrences == THREADS * 20
        assert [row.kind for row in outbox.pending(connection)] == ["opened"]


def test_one_cause_told_by_all_at_once_is_told_once(alerts_engine):
    """The hook, the sensor and the reaper have the same event: one of them reports it."""
    for turn in range(10):
        said = at_once(lambda _, turn=turn: report(alerts_engine, f"e{turn}", labels={"asset": f"a{turn}"}))
        assert Counter(each.verdict.why for each in said) == {"new": 1, "told already": THREADS - 1}
    with alerts_engine.begin() as connection:
        assert [each.occurrences for each in store.incidents(connection)] == [1] * 10


def test_processes_that_report_several_things_do_not_lock_each_other_up(alerts_engine):
    """Four processes, three of five things a transaction in any order, each cause told twice."""
    reports = 25
    running = [start(alerts_engine, name, str(reports)) for name in "abcd"]
    assert [each.wait(timeout=60) for each in running] == [0] * 4
    for each in running:
        each.stdout.close()
    with alerts_engine.begin() as connection:
        incidents = store.incidents(connection, open_only=False)
        assert len(incidents) == ASSETS
        assert sum(each.occurrences for each in incidents) == 4 * reports * 3
        assert len(outbox.pending(connection)) == ASSETS


def test_a_reporter_that_is_killed_leaves_nothing_and_holds_up_nobody(alerts_engine):
    """Killed in its transaction, its cause is as if it had never been told; the next one tells it."""
    running = start(alerts_engine, "a", "hang")
    with running.stdout as said:
        assert said.readline() == "reported\n"
        running.kill()
        running.wait()
    assert report(alerts_engine, "hung").verdict.why == "new"


def test_a_cause_that_is_rolled_back_was_never_told(alerts_engine):
    """The message is part of the transaction of its cause, and so is waking the dispatcher."""
    with alerts_engine.connect() as listener:
        raw = listener.execution_options(isolation_level="AUTOCOMMIT").connection.driver_connection
        raw.cursor().execute(f"LISTEN {outbox.WAKE}")
        with alerts_engine.connect() as connection:
            store.report(connection, occurrence("e1"), now=START, routing=ROUTING)
            connection.rollback()
        assert woken(raw, within_s=0.1) == []
        assert report(alerts_engine, "e1").verdict.why == "new"
        assert woken(raw, within_s=10) == [outbox.WAKE]


def test_an_acknowledgement_meanwhile_is_not_lost(alerts_engine):
    """Whoever counts an occurrence does not write over who looks after it."""
    incident = report(alerts_engine, "e0").incident

    def work(number: int) -> None:
        if number:
            for turn in range(10):
                report(alerts_engine, f"e{number}-{turn}")
            return
        with alerts_engine.begin() as connection:
            store.acknowledge(connection, incident.id, "ana", START)

    at_once(work)
    with alerts_engine.begin() as connection:
        [kept] = store.incidents(connection)
        assert (kept.acked_by, kept.occurrences) == ("ana", 1 + 10 * (THREADS - 1))


def test_a_report_that_is_not_committed_holds_up_no_message_of_its_incident(alerts_engine):
    """The dispatcher copies messages that are late; whoever reports meanwhile is not waited for."""
    incident = report(alerts_engine, "e0").incident
    draft = outbox.Draft(
        dedup_key="copied",
        channel="slack",
        level=Level.ERROR,
        kind="opened",
        message={},
        incident_id=incident.id,
    )
    with alerts_engine.connect() as reporting, alerts_engine.begin() as dispatching:
        store.report(reporting, occurrence("e1"), now=START, routing=ROUTING)
        dispatching.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
        assert outbox.enqueue(dispatching, draft, now=START) is not None


def test_failures_and_ends_at_once_leave_at_most_one_open(alerts_engine):
    """Every failure is counted in exactly one incident, whatever ended between."""

    def work(number: int) -> None:
        for turn in range(15):
            report(alerts_engine, f"e{number}-{turn}", resolves=number % 2 == 0)

    at_once(work)
    with alerts_engine.begin() as connection:
        incidents = store.incidents(connection, open_only=False, limit=1000)
        assert sum(each.occurrences for each in incidents) == 15 * THREADS // 2
        assert sum(each.open for each in incidents) <= 1


def test_no_message_is_taken_by_two(alerts_engine):
    """Eight claim 200 messages by threes: each message is taken once, the worst not last."""
    with alerts_engine.begin() as connection:
        for turn in range(200):
            draft = outbox.Draft(
                dedup_key=f"k{turn}",
                channel="telegram",
                level=Level.CRITICAL if turn % 10 == 0 else Level.ERROR,
                kind="opened",
                message={},
            )
            outbox.enqueue(connection, draft, now=START)

    def work(_: int) -> list[tuple[int, Level]]:
        taken = []
        while True:
            with alerts_engine.begin() as connection:
                rows = outbox.claim(connection, now=START, limit=3, lease_s=20)
            if not rows:
                return taken
            taken += [(row.id, row.level) for row in rows]

    taken = at_once(work)
    everything = [row_id for rows in taken for row_id, _ in rows]
    assert len(everything) == len(set(everything)) == 200
    for rows in taken:
        levels = [level for _, level in rows]
        assert levels == sorted(levels, reverse=True)


def test_a_claim_ends_with_its_lease(alerts_engine):
    """What one has taken another gets when the lease is over, and not before."""
    with alerts_engine.begin() as connection:
        store.report(connection, occurrence("e1"), now=START, routing=ROUTING)
    with alerts_engine.begin() as connection:
        assert len(outbox.claim(connection, now=START, limit=9, lease_s=20)) == 1
    with alerts_engine.begin() as connection:
        assert outbox.claim(connection, now=START + timedelta(seconds=19), limit=9, lease_s=20) == []
        [row] = outbox.claim(connection, now=START + timedelta(seconds=20), limit=9, lease_s=20)
        assert row.leased_before


def test_nobody_waits_for_what_another_is_taking(alerts_engine):
    """While one has not yet committed what it took, another gets the rest at once."""
    for turn in range(3):
        report(alerts_engine, f"e{turn}", labels={"asset": f"a{turn}"})
    with alerts_engine.begin() as one, alerts_engine.begin() as other:
        other.execute(sa.text("SET LOCAL statement_timeout = '5s'"))
        taken = [
            [row.id for row in outbox.claim(connection, now=START, limit=limit, lease_s=20)]
            for connection, limit in ((one, 2), (other, 9))
        ]
    assert [len(ids) for ids in taken] == [2, 1]
    assert not set(taken[0]) & set(taken[1])
