"""Thousands of incidents that nobody was told of: what stays quiet costs nothing, the others take turns."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alert_making import MINUTE, ROUTING, START, occurrence

from itb_assets.domain.alerts import Level, Routing, Silence
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.revisit import AT_MOST, revisit

MANY = 3000
SOME = 150
KEEP = sa.text("""
INSERT INTO alert_incidents (
    fingerprint, rule, level, labels, title, detail, first_at, last_at, opened_at, occurrences,
    acked_by, acked_at, notified_level, flapping_at, flapping_level, resolved_at
) VALUES (
    :fingerprint, :rule, :level, CAST(:labels AS jsonb), 't', '', :at, :at, :at, 1,
    :acked_by, :acked_at, :notified_level, :flapping_at, :flapping_level, :resolved_at
)
""")
UNSET = dict.fromkeys(
    ["acked_by", "acked_at", "notified_level", "flapping_at", "flapping_level", "resolved_at"]
)


def untold(connection, count, level=Level.ERROR, **columns):
    """Keep so many open incidents of one symbol that nobody was told of; assets begin with the count."""
    made = [occurrence(labels={"symbol": "BTCUSDT", "asset": f"{count}-{level}-{n}"}) for n in range(count)]
    given = UNSET | {"level": int(level), "at": START} | columns
    values = [
        {"fingerprint": each.fingerprint, "rule": each.rule, "labels": json.dumps(dict(each.labels)), **given}
        for each in made
    ]
    connection.execute(KEEP, values)


def silence(connection, **matchers):
    """Ask for an hour of quiet."""
    asked = Silence(matchers=matchers, until=START + 60 * MINUTE, who="ana", why="tests")
    store.add_silence(connection, asked, START)


def look(connection, now, routing=ROUTING):
    """Look again; return how many statements it took and the levels of what was told."""
    statements = []

    def note(*given):
        statements.append(given[2])

    sa.event.listen(connection, "before_cursor_execute", note)
    told = revisit(connection, now=now, routing=routing)
    sa.event.remove(connection, "before_cursor_execute", note)
    return len(statements), [each.incident.level for each in told]


def silenced(connection):
    silence(connection, rule="*")
    untold(connection, MANY)


def unheard(connection):
    untold(connection, MANY, Level.WARNING)


def inhibited(connection):
    worse = occurrence("worse", level=Level.CRITICAL)
    assert store.report(connection, worse, now=START, routing=ROUTING).rows
    untold(connection, MANY, Level.WARNING)


def looked_after(connection):
    untold(connection, MANY, acked_by="ana", acked_at=START, notified_level=int(Level.ERROR))


def flapping(connection):
    for turn in range(3):
        untold(connection, MANY, resolved_at=START + timedelta(seconds=turn))
    untold(connection, MANY, flapping_at=START, flapping_level=int(Level.ERROR))


@pytest.mark.parametrize("quiet", [silenced, unheard, inhibited, looked_after, flapping])
def test_what_is_quiet_costs_no_statement_and_no_lock_each(connection, quiet):
    """Three thousand at every look, of which there is one every two seconds."""
    quiet(connection)
    heard = {level: names for level, names in ROUTING.channels.items() if level != Level.WARNING}
    routing = Routing(channels=heard) if quiet is unheard else ROUTING
    statements, told = look(connection, START + MINUTE, routing)
    assert told == []
    assert statements <= 6
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert connection.scalar(sa.text(locks)) <= 1


def test_many_are_told_at_several_looks_the_worst_first(connection):
    """What is older and stays quiet is in nobody's way."""
    silence(connection, asset=f"{MANY}-*")
    untold(connection, MANY)
    untold(connection, SOME)
    untold(connection, SOME, Level.CRITICAL)
    looks = [look(connection, START + turn * MINUTE) for turn in (1, 2, 3)]
    first = [Level.CRITICAL] * SOME + [Level.ERROR] * (AT_MOST - SOME)
    assert [told for _, told in looks] == [first, [Level.ERROR] * (2 * SOME - AT_MOST), []]
    assert max(statements for statements, _ in looks) < 12 * AT_MOST


def test_many_whose_turn_another_has_are_in_nobodys_way(rules_engine, connection):
    """A transaction that hangs holds up what it reports and nothing else."""
    untold(connection, AT_MOST, Level.CRITICAL)
    untold(connection, SOME)
    with rules_engine.connect() as busy, busy.begin() as transaction:
        given = [each.fingerprint for each in store.incidents(connection, limit=AT_MOST)]
        keys = [int.from_bytes(bytes.fromhex(each), signed=True) for each in given]
        busy.execute(sa.text("SELECT pg_advisory_xact_lock(key) FROM unnest(:keys) AS key"), {"keys": keys})
        assert look(connection, START + MINUTE)[1] == [Level.ERROR] * SOME
        transaction.rollback()
    assert look(connection, START + 2 * MINUTE)[1] == [Level.CRITICAL] * AT_MOST


def test_many_that_flapped_and_are_over_are_told_at_several_looks(connection):
    over = {"flapping_at": START, "flapping_level": int(Level.ERROR), "resolved_at": START}
    untold(connection, AT_MOST + 1, **over)
    later = START + 60 * MINUTE
    assert [len(look(connection, later + turn * MINUTE)[1]) for turn in range(3)] == [AT_MOST, 1, 0]
