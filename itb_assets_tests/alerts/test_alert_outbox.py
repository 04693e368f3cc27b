"""A message in the outbox is taken by one, sent or given back, and says when it may be a repeat."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alert_making import MINUTE, START

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.outbox import Draft

SECOND = timedelta(seconds=1)
DRAFT = Draft(
    dedup_key="k", channel="telegram", level=Level.ERROR, kind="opened", message={"title": "It failed"}
)


@pytest.fixture
def connection(alerts_engine):
    """Return a connection in a transaction."""
    with alerts_engine.begin() as connection:
        yield connection


def put(connection, key, **other) -> int | None:
    """Put one in, now unless told otherwise."""
    now = other.pop("now", START)
    return outbox.enqueue(connection, replace(DRAFT, dedup_key=key, **other), now=now)


def take(connection, now=START, **other):
    """Claim what is due for 20 seconds."""
    return outbox.claim(connection, now=now, lease_s=20, **({"limit": 100} | other))


def test_the_same_key_twice_is_one_message(connection):
    assert put(connection, "a") is not None
    assert put(connection, "a", message={"title": "other words"}) is None
    assert [row.message for row in outbox.pending(connection)] == [{"title": "It failed"}]


def test_the_worst_is_taken_first_and_nothing_that_is_not_due(connection):
    put(connection, "a", level=Level.INFO)
    put(connection, "b")
    put(connection, "c", level=Level.CRITICAL, channel="slack")
    put(connection, "d", level=Level.CRITICAL, next_at=START + MINUTE)
    put(connection, "e")
    assert [row.dedup_key for row in take(connection, limit=2)] == ["c", "b"]
    assert [row.dedup_key for row in take(connection, channel="slack")] == []
    assert [row.dedup_key for row in take(connection, now=START + MINUTE)] == ["c", "d", "b", "e", "a"]


def test_a_lease_that_ran_out_may_be_a_repeat(connection):
    """Nobody gets a row during its lease; after it the row says that it may have been sent."""
    put(connection, "a")
    [first] = take(connection)
    assert (first.attempts, first.leased_before) == (1, False)
    assert take(connection, now=START + 19 * SECOND) == []
    [second] = take(connection, now=START + 20 * SECOND)
    assert (second.attempts, second.leased_before) == (2, True)


def test_who_takes_over_ends_all_leases_at_once(connection):
    put(connection, "a")
    put(connection, "b")
    take(connection, limit=1)
    assert outbox.clear_leases(connection) == 1
    assert [(row.dedup_key, row.leased_before) for row in take(connection)] == [("a", True), ("b", False)]


def test_what_was_refused_for_now_is_no_repeat_and_what_lost_its_answer_may_be(connection):
    put(connection, "a")
    put(connection, "b")
    a, b = (row.id for row in take(connection))
    outbox.retry(connection, [a], START + SECOND, "429")
    outbox.retry(connection, [b], START + SECOND, "no answer", maybe_sent=True)
    assert take(connection) == []
    again = take(connection, now=START + SECOND)
    assert [(row.leased_before, row.last_error) for row in again] == [(False, "429"), (True, "no answer")]


def test_what_was_sent_stays_sent(connection):
    """A second word about it, by one who was slow, changes nothing."""
    put(connection, "a")
    [row] = take(connection)
    assert outbox.sent(connection, [row.id], "msg 7", START) == 1
    assert outbox.sent(connection, [row.id], "msg 8", START + MINUTE) == 0
    assert outbox.retry(connection, [row.id], START, "late") == 0
    assert outbox.dead(connection, [row.id], "late", START) == 0
    assert take(connection, now=START + MINUTE) == []
    kept = connection.execute(sa.text("SELECT receipt, last_error, lease_until FROM alert_outbox")).one()
    assert tuple(kept) == ("msg 7", None, None)


def test_the_dead_are_listed_and_come_back_as_new_ones(connection):
    put(connection, "a")
    put(connection, "b")
    put(connection, "c")
    a, b, c = (row.id for row in take(connection))
    outbox.dead(connection, [a], "403", START)
    outbox.sent(connection, [b], "1", START)
    assert [(row.dedup_key, row.last_error) for row in outbox.dead_letters(connection)] == [("a", "403")]
    made = outbox.replay(connection, [a, b, c], START + MINUTE)
    assert len(made) == 2
    assert outbox.replay(connection, [a, b], START + MINUTE) == []
    fresh = [row for row in outbox.pending(connection) if row.id in made]
    assert [(row.attempts, row.leased_before, row.message) for row in fresh] == [
        (0, False, {"title": "It failed"})
    ] * 2


def test_what_came_back_is_given_up_no_more_and_comes_again_only_by_its_number(connection):
    """Nor does it hide another whose number ends as its own does; given up once more it has a new number."""
    ids = [put(connection, f"k{number}") for number in range(12)]
    outbox.dead(connection, ids, "403", START)
    [first] = outbox.replay(connection, ids[:1], START + MINUTE)
    assert [row.id for row in outbox.dead_letters(connection)] == ids[:0:-1]
    assert outbox.given_up(connection) == 11
    assert len(outbox.replay(connection, None, START + 2 * MINUTE)) == 11
    assert (outbox.dead_letters(connection), outbox.given_up(connection)) == ([], 0)
    assert outbox.replay(connection, None, START + 3 * MINUTE) == []
    assert len(outbox.replay(connection, ids[:1], START + 4 * MINUTE)) == 1
    outbox.dead(connection, [first], "403", START + 5 * MINUTE)
    assert [row.id for row in outbox.dead_letters(connection)] == [first]
    assert len(outbox.replay(connection, None, START + 6 * MINUTE)) == 1
    assert outbox.given_up(connection) == 0


def test_times_of_sending_count_a_digest_once(connection):
    ids = [put(connection, key) for key in "abcd"]
    other = put(connection, "e", channel="slack")
    outbox.sent(connection, ids[:3], "1", START)
    outbox.sent(connection, ids[3:], "2", START + MINUTE)
    outbox.sent(connection, [other], "3", START + 2 * MINUTE)
    assert outbox.sent_times(connection, "telegram", START) == [START, START + MINUTE]
    assert outbox.sent_times(connection, "telegram", START + SECOND) == [START + MINUTE]


def test_the_backlog_says_since_when_each_channel_waits(connection):
    put(connection, "a")
    put(connection, "b", level=Level.CRITICAL, now=START + MINUTE)
    put(connection, "c", channel="slack", now=START + SECOND)
    take(connection)
    assert outbox.backlog(connection) == [
        outbox.Backlog("slack", 1, START + SECOND, None),
        outbox.Backlog("telegram", 2, START, START + MINUTE),
    ]


def test_nothing_to_settle_is_nothing(connection):
    assert outbox.sent(connection, [], "1", START) == 0


def test_a_message_of_any_text_and_number_is_kept(connection):
    """What JSON or the database has no place for is replaced, not refused."""
    odd = {"title": "a\x00b\ud800", "labels": {"x\x00": ["\x00", 1.5, None]}, "value": float("nan")}
    put(connection, "a", message=odd)
    [row] = outbox.pending(connection)
    mark = "\N{REPLACEMENT CHARACTER}"
    assert row.message == {
        "title": f"a{mark}b{mark}",
        "labels": {f"x{mark}": [mark, 1.5, None]},
        "value": "nan",
    }


def test_claiming_uses_its_index(connection):
    """Among 20,000 that were sent, the few that wait are found without looking at all."""
    many = """
    INSERT INTO alert_outbox (dedup_key, channel, level, kind, message, created_at, next_at, sent_at)
    SELECT 'k' || n, 'telegram', 30, 'opened', '{}', now(), now(), now() FROM generate_series(1, 20000) AS n
    """
    connection.execute(sa.text(many))
    put(connection, "a")
    connection.execute(sa.text("ANALYZE alert_outbox"))
    values = {"now": START, "lease_until": START, "limit": 10, "channel": None}
    plan = connection.execute(sa.text(f"EXPLAIN {outbox._CLAIM}"), values).scalars()
    assert any("alert_outbox_due" in line for line in plan)
