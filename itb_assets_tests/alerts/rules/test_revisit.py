"""What time alone changes: quiet that ends, what flapped and settled, and rules that are switched off."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alert_making import MINUTE, ROUTING, START, occurrence

from itb_assets.domain.alerts import Level, Routing, Silence
from itb_assets.observability.alerts import outbox, store
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.revisit import revisit
from itb_assets.observability.alerts.rules import evaluate_all, tell

HOUR, DAY = 60 * MINUTE, timedelta(days=1)


def report(connection, event_id, *, now=START, **other):
    """Report one that happens now."""
    told = occurrence(event_id, **({"at": now} | other))
    return store.report(connection, told, now=now, routing=ROUTING)


def said(connection):
    """Return kind, reason and count of every message, oldest first."""
    rows = outbox.pending(connection)
    found = [(row.id, row.kind, row.message["why"], row.message["occurrences"]) for row in rows]
    return [each[1:] for each in sorted(found)]


def again(connection, now):
    """Look at what was kept quiet; return why each was told."""
    return [each.verdict.why for each in revisit(connection, now=now, routing=ROUTING)]


def test_what_failed_once_during_a_silence_is_told_when_it_ends(connection):
    """A weekly training fails once: no second failure comes to tell of it."""
    asked = Silence(matchers={"symbol": "BTC*"}, until=START + 3 * DAY, who="ana", why="moving house")
    store.add_silence(connection, asked, START)
    report(connection, "e1", now=START + MINUTE)
    assert again(connection, START + 2 * DAY) == []
    assert again(connection, START + 3 * DAY) == ["unsaid"]
    assert again(connection, START + 3 * DAY + MINUTE) == []
    assert said(connection) == [("opened", "unsaid", 1)]
    assert store.incidents(connection)[0].occurrences == 1


def test_a_silence_that_is_taken_back_tells_at_once(connection):
    kept = store.add_silence(
        connection, Silence(matchers={"rule": "*"}, until=START + DAY, who="ana", why="tests"), START
    )
    report(connection, "e1", now=START + MINUTE)
    store.remove_silence(connection, kept, START + 2 * MINUTE)
    assert again(connection, START + 2 * MINUTE) == ["unsaid"]


def test_what_got_worse_during_a_silence_is_told_as_that(connection):
    report(connection, "e1", level=Level.WARNING)
    asked = Silence(matchers={"rule": "*"}, until=START + HOUR, who="ana", why="tests")
    store.add_silence(connection, asked, START)
    report(connection, "e2", now=START + MINUTE, level=Level.ERROR)
    assert again(connection, START + HOUR) == ["worse"]
    assert said(connection)[1:] == [("repeated", "worse", 2)]


def test_what_was_inhibited_is_told_when_the_worse_is_over(connection):
    report(connection, "e1", level=Level.CRITICAL)
    report(connection, "e2", identity=1, level=Level.WARNING, now=START + MINUTE)
    assert again(connection, START + HOUR) == []
    report(connection, "r1", now=START + HOUR, resolves=True)
    assert again(connection, START + HOUR) == ["unsaid"]
    assert again(connection, START + 2 * HOUR) == []


def test_what_is_over_before_its_silence_is_not_told(connection):
    asked = Silence(matchers={"rule": "*"}, until=START + HOUR, who="ana", why="tests")
    store.add_silence(connection, asked, START)
    report(connection, "e1", now=START + MINUTE)
    report(connection, "r1", now=START + 2 * MINUTE, resolves=True)
    assert again(connection, START + HOUR) == []


def test_old_failures_of_a_first_start_stay_untold(connection):
    for turn in range(50):
        report(connection, f"e{turn}", labels={"asset": f"a{turn}"}, now=START, at=START - 2 * DAY)
    assert again(connection, START + MINUTE) == []
    assert again(connection, START + DAY) == []


def test_a_silence_that_began_when_it_was_old_already_tells_nothing(connection):
    """Failures of long ago, untold at the first start; a silence of an hour a week later is not why."""
    for turn in range(5):
        report(connection, f"e{turn}", labels={"asset": f"a{turn}"}, now=START, at=START - 2 * DAY)
    week = START + 7 * DAY
    asked = Silence(matchers={"rule": "*"}, until=week + HOUR, who="ana", why="tests")
    store.add_silence(connection, asked, week)
    report(connection, "silenced", labels={"asset": "new"}, now=week + MINUTE)
    assert again(connection, week + HOUR) == ["unsaid"]
    assert [row.message["labels"] for row in outbox.pending(connection)] == [{"asset": "new"}]
    assert again(connection, week + DAY) == []


def test_what_was_silenced_within_its_day_is_told_however_long_the_silence_was(connection):
    """Not told at first for want of a channel; the silence began before it was old."""
    made = occurrence("e1", at=START)
    store.report(connection, made, now=START, routing=Routing(channels={}))
    asked = Silence(matchers={"rule": "*"}, until=START + 3 * DAY, who="ana", why="tests")
    store.add_silence(connection, asked, START + HOUR)
    assert again(connection, START + 3 * DAY) == ["unsaid"]


def test_who_looks_after_it_is_not_told(connection):
    asked = Silence(matchers={"rule": "*"}, until=START + HOUR, who="ana", why="tests")
    store.add_silence(connection, asked, START)
    made = report(connection, "e1", now=START + MINUTE)
    store.acknowledge(connection, made.incident.id, "rui", START + 2 * MINUTE)
    assert again(connection, START + HOUR) == []


def test_without_a_channel_nobody_is_told(connection):
    asked = Silence(matchers={"rule": "*"}, until=START + HOUR, who="ana", why="tests")
    store.add_silence(connection, asked, START)
    report(connection, "e1", now=START + MINUTE)
    assert revisit(connection, now=START + HOUR, routing=Routing(channels={})) == []
    assert again(connection, START + HOUR) == ["unsaid"]


def test_whoever_has_the_turn_is_not_waited_for(rules_engine, connection):
    """Two who wait for each other would stop the alerter."""
    with rules_engine.connect() as busy, busy.begin() as transaction:
        made = occurrence("e1", at=START)
        key = int.from_bytes(bytes.fromhex(made.fingerprint), signed=True)
        busy.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        outside_of_turns(connection, made)
        connection.execute(sa.text("SET LOCAL statement_timeout = '2s'"))
        assert again(connection, START + HOUR) == []
        transaction.rollback()
    assert again(connection, START + HOUR) == ["unsaid"]


def outside_of_turns(connection, told):
    """Keep an incident that nobody was told of, without taking the turn of its identity."""
    statement = sa.text(
        "INSERT INTO alert_incidents (fingerprint, rule, level, labels, title, detail, first_at, last_at, "
        "opened_at, occurrences) VALUES (:fingerprint, :rule, 30, CAST(:labels AS jsonb), "
        "'t', '', :at, :at, :at, 1)"
    )
    values = {"fingerprint": told.fingerprint, "rule": told.rule, "labels": json.dumps(dict(told.labels))}
    connection.execute(statement, values | {"at": told.at})


def flips(connection, every, until, *, last_good=True):
    """Let a check fail and pass in turn, one of them in each `every`; return the time of the last."""
    turns = until // every
    turns += turns % 2 if last_good else 1 - turns % 2
    for turn in range(turns):
        now = START + turn * every
        report(connection, f"f{turn}", now=now, resolves=bool(turn % 2))
        if every >= 5 * MINUTE:
            again(connection, now)
    return now


@pytest.mark.parametrize("every", [5, 60, 5 * 60, 15 * 60], ids=["5s", "1m", "5m", "15m"])
def test_a_check_that_flips_at_every_tick_is_a_handful_of_messages_a_day(connection, every):
    """Klines of 5 minutes are checked every 5 minutes: 144 failures and 144 successes a day."""
    flips(connection, timedelta(seconds=every), min(DAY, 300 * timedelta(seconds=every)))
    kinds = said(connection)
    assert len(kinds) <= 8 + 1 + DAY // (4 * HOUR)
    assert sum(why == "flapping" for _, why, _ in kinds) >= 1


def test_what_flapped_and_is_good_for_half_an_hour_is_told_as_over_once(connection):
    last = flips(connection, MINUTE, HOUR)
    before = said(connection)
    assert before[-1][:2] == ("opened", "flapping")
    assert again(connection, last + 29 * MINUTE) == []
    assert again(connection, last + 30 * MINUTE) == ["settled"]
    assert again(connection, last + HOUR) == []
    assert said(connection)[-1][:2] == ("resolved", "settled")


def test_what_flapped_and_stays_bad_for_half_an_hour_is_told_as_such(connection):
    last = flips(connection, MINUTE, HOUR, last_good=False)
    assert again(connection, last + 29 * MINUTE) == []
    assert again(connection, last + 30 * MINUTE) == ["unsaid"]
    assert again(connection, last + HOUR) == []
    over = report(connection, "over", now=last + 2 * HOUR, resolves=True)
    assert over.verdict.why in {"over", "flapping"}


def test_a_rule_of_events_that_is_switched_off_ends_what_it_told(connection, tmp_path):
    report(connection, "e1")
    file = tmp_path / "own.toml"
    file.write_text("[rules.training_failed]\nenabled = false\n", "utf-8")
    config = load_config(file)
    found = evaluate_all(connection, config, START + HOUR)
    reported = tell(connection, found, config, START + HOUR)
    [over] = [each for each in reported if each.incident.rule == "training_failed"]
    assert (over.incident.rule, over.incident.open, over.verdict.why) == ("training_failed", False, "gone")
    [last] = [row for row in outbox.pending(connection) if row.kind == "resolved"]
    assert "switched off" in last.message["detail"]
    assert "training_failed" not in {each.rule for each in store.incidents(connection)}
