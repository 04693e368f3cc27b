"""What the tables of alerts hold after reports, silences, acknowledgements and beats."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alert_making import MINUTE, ROUTING, START, occurrence

from itb_assets.domain.alerts import Inhibition, Level, Routing, Silence
from itb_assets.errors import InputError
from itb_assets.observability.alerts import outbox, state, store

HOUR = 60 * MINUTE


@pytest.fixture
def connection(alerts_engine):
    """Return a connection in a transaction."""
    with alerts_engine.begin() as connection:
        yield connection


def tell(connection, event_id, *, now=START, routing=ROUTING, **other):
    """Report one that happens now."""
    told = occurrence(event_id, **({"at": now} | other))
    return store.report(connection, told, now=now, routing=routing)


def test_a_thousand_failures_are_one_incident_and_a_handful_of_messages(connection):
    """An asset that fails every minute for 1,000 minutes: told, and told again every four hours."""
    for turn in range(1000):
        tell(connection, f"e{turn}", now=START + turn * MINUTE, detail=f"try {turn}")
    [incident] = store.incidents(connection)
    assert (incident.occurrences, incident.detail) == (1000, "try 999")
    assert (incident.first_at, incident.last_at) == (START, START + 999 * MINUTE)
    rows = outbox.pending(connection)
    assert [row.kind for row in rows] == ["opened"] + ["repeated"] * 4
    assert [row.message["occurrences"] for row in rows] == [1, 241, 481, 721, 961]


def test_a_first_look_at_old_records_does_not_flood(connection):
    """What happened more than a day ago is kept and listed, and told only when it happens again."""
    for turn in range(300):
        told = occurrence(f"e{turn}", labels={"asset": f"a{turn}"}, at=START - timedelta(days=2))
        assert store.report(connection, told, now=START, routing=ROUTING).verdict.why == "too old"
    assert outbox.pending(connection) == []
    assert len(store.incidents(connection, limit=1000)) == 300
    again = tell(connection, "again", labels={"asset": "a7"})
    assert (again.verdict.why, len(again.rows), again.incident.occurrences) == ("unsaid", 1, 2)


def test_a_cause_told_twice_changes_nothing(connection):
    """Whoever is second, and even when its incident has ended meanwhile."""
    first = tell(connection, "e1")
    assert tell(connection, "e1", now=START + HOUR).incident is None
    assert tell(connection, "e1", detail="other words", level=Level.CRITICAL).verdict.why == "told already"
    assert store.incidents(connection) == [first.incident]
    over = tell(connection, "r1", now=START + HOUR, resolves=True)
    assert not over.incident.open
    assert tell(connection, "e1", now=START + 2 * HOUR).verdict.why == "told already"
    assert store.incidents(connection) == []
    assert [row.kind for row in outbox.pending(connection)] == ["opened", "resolved"]


def test_an_end_that_is_older_than_the_last_failure_ends_nothing(connection):
    tell(connection, "e1", now=START + HOUR)
    late = tell(connection, "r1", now=START + 2 * HOUR, at=START, resolves=True)
    assert (late.verdict.why, late.incident.open) == ("not open", True)
    assert tell(connection, "r2", now=START + 2 * HOUR, resolves=True).verdict.why == "over"


def test_an_end_of_nothing_is_remembered_and_makes_no_incident(connection):
    assert tell(connection, "r1", resolves=True).incident is None
    assert tell(connection, "r1", resolves=True).verdict.why == "told already"
    assert store.incidents(connection, open_only=False) == []


def test_what_gets_worse_goes_to_the_channels_of_the_worse(connection):
    tell(connection, "e1", level=Level.WARNING)
    worse = tell(connection, "e2", level=Level.CRITICAL, now=START + MINUTE)
    assert (worse.verdict.why, worse.incident.level) == ("worse", Level.CRITICAL)
    assert [row.channel for row in outbox.pending(connection)][:2] == ["telegram", "slack"]
    milder = tell(connection, "e3", level=Level.WARNING, now=START + 2 * MINUTE)
    assert (milder.verdict.why, milder.incident.level) == ("too soon", Level.CRITICAL)


def test_what_no_channel_hears_of_is_told_once_one_does(connection):
    deaf = Routing(channels={})
    assert tell(connection, "e1", routing=deaf).verdict.why == "no channel"
    assert tell(connection, "e2", now=START + MINUTE).verdict.why == "unsaid"
    assert tell(connection, "r1", now=START + MINUTE, routing=deaf, resolves=True).verdict.why == "no channel"


def test_who_looks_after_it_is_left_alone_until_it_gets_worse(connection):
    incident = tell(connection, "e1").incident
    acked = store.acknowledge(connection, incident.id, " ana ", START + MINUTE)
    assert (acked.acked_by, acked.acked_at) == ("ana", START + MINUTE)
    assert store.acknowledge(connection, incident.id, "rui", START + HOUR).acked_by == "ana"
    assert tell(connection, "e2", now=START + 99 * HOUR).verdict.why == "acknowledged"
    assert tell(connection, "e3", now=START + 99 * HOUR, level=Level.CRITICAL).verdict.why == "worse"
    assert tell(connection, "r1", now=START + 99 * HOUR, resolves=True).verdict.why == "over"
    for unknown in (incident.id, 99):
        with pytest.raises(InputError, match="alerts list"):
            store.acknowledge(connection, unknown, "ana", START)
    with pytest.raises(InputError, match="empty"):
        store.acknowledge(connection, incident.id, " ", START)


def test_an_incident_nobody_was_told_of_is_told_when_worse_than_acknowledged(connection):
    incident = tell(connection, "e1", routing=Routing(channels={}), level=Level.WARNING).incident
    store.acknowledge(connection, incident.id, "ana", START)
    assert tell(connection, "e2", level=Level.WARNING).verdict.why == "acknowledged"
    assert tell(connection, "e3", level=Level.ERROR).verdict.why == "worse"


def test_a_silence_keeps_quiet_and_ends(connection):
    """Everything is counted meanwhile, and told when it goes on after the silence."""
    asked = Silence(matchers={"symbol": "BTC*"}, until=START + HOUR, who="ana", why="moving house")
    kept = store.add_silence(connection, asked, START)
    quiet = tell(connection, "e1")
    assert (quiet.verdict.why, quiet.verdict.by) == ("silenced", f"silence {kept}")
    assert tell(connection, "e2", labels={"symbol": "ETHUSDT"}).verdict.notify
    assert store.silences(connection, now=START) == [replace(asked, id=kept, created_at=START)]
    assert tell(connection, "e3", now=START + HOUR).verdict.why == "unsaid"
    assert store.silences(connection, now=START + HOUR) == []
    with pytest.raises(InputError, match="ended"):
        store.add_silence(connection, asked, START + HOUR)


def test_a_silence_taken_back_is_over_and_stays_on_record(connection):
    asked = Silence(matchers={"rule": "*"}, until=START + HOUR, who="ana", why="moving house")
    kept = store.add_silence(connection, asked, START)
    assert store.remove_silence(connection, kept, START + MINUTE)
    assert not store.remove_silence(connection, kept, START + MINUTE)
    assert tell(connection, "e1", now=START + MINUTE).verdict.notify
    assert [(each.who, each.why) for each in store.silences(connection)] == [("ana", "moving house")]


def test_what_is_critical_mutes_the_warnings_of_its_symbol(connection):
    worse = tell(connection, "e1", level=Level.CRITICAL)
    muted = tell(connection, "e2", identity=1, level=Level.WARNING)
    assert (muted.verdict.why, muted.verdict.by) == ("inhibited", f"incident {worse.incident.id}")
    assert tell(connection, "e3", identity=2, level=Level.WARNING).verdict.notify
    assert tell(connection, "e4", rule="gap_found", level=Level.ERROR).verdict.notify
    tell(connection, "r1", resolves=True)
    assert tell(connection, "e5", identity=1, level=Level.WARNING).verdict.why == "unsaid"


def test_what_nobody_was_told_of_mutes_nothing(connection):
    tell(connection, "e1", level=Level.CRITICAL, routing=Routing(channels={}))
    assert tell(connection, "e2", identity=1, level=Level.WARNING).verdict.notify


def test_an_inhibition_may_be_of_one_rule(connection):
    routing = replace(ROUTING, inhibitions=(Inhibition(source_rule="trading_halted"),))
    tell(connection, "e1", level=Level.CRITICAL)
    assert tell(connection, "e2", identity=1, level=Level.WARNING, routing=routing).verdict.notify
    tell(connection, "e3", rule="trading_halted", level=Level.CRITICAL)
    muted = tell(connection, "e4", rule="gap_found", level=Level.WARNING, routing=routing)
    assert muted.verdict.why == "inhibited"


def test_what_comes_and_goes_is_told_as_that_once(connection):
    for turn in range(30):
        now = START + turn * MINUTE
        tell(connection, f"e{turn}", now=now)
        tell(connection, f"r{turn}", now=now, resolves=True)
    said = [(row.kind, row.message["why"]) for row in outbox.pending(connection)]
    assert said == [("opened", "new"), ("resolved", "over")] * 4 + [("opened", "flapping")]
    later = START + 4 * HOUR
    assert tell(connection, "later", now=later).verdict.why == "new"


def test_a_message_carries_what_its_reader_needs(connection):
    """All of it plain data, with text no database could hold made fit."""
    tell(
        connection,
        "e1",
        title="Training\nfailed",
        detail="ValueError: \x00",
        action="alert-training-failed",
        url="http://ui/runs/1",
        chart=b"\x89PNG\x00",
    )
    [row] = outbox.claim(connection, now=START, limit=9, lease_s=1)
    assert row.chart == b"\x89PNG\x00"
    incident_id = row.message["incident_id"]
    assert row.message == {
        "rule": "training_failed",
        "level": "error",
        "labels": {"asset": "models", "symbol": "BTCUSDT"},
        "title": "Training failed",
        "detail": "ValueError: \N{REPLACEMENT CHARACTER}",
        "action": "alert-training-failed",
        "url": "http://ui/runs/1",
        "at": START.isoformat(),
        "first_at": START.isoformat(),
        "occurrences": 1,
        "incident_id": incident_id,
        "why": "new",
    }


def test_open_ones_are_listed_first_and_of_these_the_worst(connection):
    tell(connection, "e1", labels={"asset": "a"}, level=Level.WARNING, now=START + HOUR)
    tell(connection, "e2", labels={"asset": "b"}, level=Level.CRITICAL)
    tell(connection, "e3", labels={"asset": "c"}, level=Level.CRITICAL, now=START + 2 * HOUR)
    tell(connection, "r3", labels={"asset": "c"}, now=START + 2 * HOUR, resolves=True)
    named = [each.labels["asset"] for each in store.incidents(connection, open_only=False)]
    assert named == ["b", "a", "c"]
    assert [each.labels["asset"] for each in store.incidents(connection, limit=1)] == ["b"]


def test_an_incident_may_be_closed_by_hand(connection):
    incident = tell(connection, "e1").incident
    assert not store.close(connection, incident.id, START + MINUTE).open
    assert store.incidents(connection) == []
    with pytest.raises(InputError, match="alerts list"):
        store.close(connection, incident.id, START)


def test_beats_cursors_and_states_are_the_last_of_each(connection):
    store.beat(connection, "alerter", START, {"rows": 1})
    store.beat(connection, "alerter", START + MINUTE, {"rows": 2})
    store.beat(connection, "alerter", START, {"rows": 3})
    assert store.beats(connection) == {"alerter": store.Beat("alerter", START + MINUTE, {"rows": 2})}
    assert state.read_cursor(connection, "events") is None
    state.move_cursor(connection, "events", "7", START)
    state.move_cursor(connection, "events", "8", START)
    assert state.read_cursor(connection, "events") == "8"
    for turn, said in enumerate(["ok", "firing", "firing"]):
        state.note_state(
            connection,
            rule="data_stale",
            labels={"symbol": "BTCUSDT"},
            state=said,
            value=float(turn),
            detail="",
            now=START + turn * MINUTE,
        )
    [only] = state.states(connection)
    assert (only.state, only.value, only.since, only.at) == ("firing", 2, START + MINUTE, START + 2 * MINUTE)


def test_forgetting_spares_what_is_open_and_what_waits(connection):
    old, ended = (tell(connection, f"e{name}", labels={"asset": name}) for name in "ab")
    tell(connection, "rb", labels={"asset": "b"}, resolves=True)
    assert state.forget(connection, START + HOUR)[0] == 0
    assert len(store.incidents(connection, open_only=False)) == 2
    waiting = [row.id for row in outbox.pending(connection)]
    outbox.sent(connection, waiting, "1", START)
    state.forget(connection, START + HOUR)
    assert [each.id for each in store.incidents(connection, open_only=False)] == [old.incident.id]
    assert tell(connection, "ea", labels={"asset": "a"}).verdict.why == "told already"
    assert (
        ended.incident.id not in connection.execute(sa.text("SELECT incident_id FROM alert_events")).scalars()
    )
