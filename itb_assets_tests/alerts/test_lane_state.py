"""What a lane remembers survives its process, and a memory that makes no sense is no reason to be hasty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from itb_assets.domain.alerts.pace import Limits, Pace, Pause
from itb_assets.observability.alerts.lane_state import (
    LaneState,
    chat_now,
    load_state,
    remember_move,
    save_state,
)
from itb_assets.observability.alerts.state import move_cursor

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits()


def load(connection, now=NOON, sent=(), channel="telegram"):
    return load_state(connection, channel, limits=LIMITS, sent=sent, now=now)


def test_it_goes_on_where_it_was(alerts_engine):
    pace = Pace(limits=LIMITS, tokens=1.5, at=NOON)
    state = LaneState(pace=pace, pause=Pause.of(30, NOON), failures=4)
    with alerts_engine.begin() as connection:
        save_state(connection, "telegram", state, NOON)
        assert load(connection) == state
        later = load(connection, NOON + timedelta(seconds=20))
        assert later.pause.left_s(NOON + timedelta(seconds=20)) == pytest.approx(10)
        assert later.pace.tokens == pytest.approx(5.5)
        assert load(connection, channel="slack").pace.tokens == LIMITS.burst


def test_messages_that_were_sent_count_even_if_they_were_not_remembered(alerts_engine):
    full = LaneState(pace=Pace.full(LIMITS, NOON), pause=Pause.of(0, NOON))
    sent = [NOON - timedelta(seconds=second) for second in range(6)]
    with alerts_engine.begin() as connection:
        save_state(connection, "telegram", full, NOON)
        assert load(connection, sent=sent).pace.tokens == pytest.approx(2)


@pytest.mark.parametrize("cursor", ["", "no JSON", "[]", "7", '{"tokens": 7}', '{"tokens": 7, "at": "noon"}'])
def test_a_memory_that_makes_no_sense_is_replaced_by_what_was_sent(alerts_engine, cursor):
    with alerts_engine.begin() as connection:
        move_cursor(connection, "lane:telegram", cursor, NOON)
        found = load(connection, sent=[NOON, NOON - timedelta(seconds=1)])
    assert found.pace.tokens == pytest.approx(5 + 0.2)
    assert found.failures == 0


def test_of_two_memories_the_more_careful_one_holds():
    hasty = LaneState(pace=Pace.full(LIMITS, NOON), pause=Pause.of(60, NOON), failures=0)
    tired = LaneState(pace=Pace(limits=LIMITS, tokens=0, at=NOON), pause=Pause.of(0, NOON), failures=3)
    both = LaneState(pace=tired.pace, pause=hasty.pause, failures=3)
    assert hasty.careful(tired) == tired.careful(hasty) == both


def test_failures_wait_half_as_long_as_their_rows_and_an_answer_ends_that():
    state = LaneState(pace=Pace.full(LIMITS, NOON).taken(NOON), pause=Pause.of(0, NOON))
    lost = state.failed(NOON, reached=True)
    assert (lost.failures, lost.wait_s(NOON), lost.pace.tokens) == (1, 1, 6)
    away = lost.failed(NOON, reached=False)
    assert (away.failures, away.wait_s(NOON), away.pace.tokens) == (2, 2, 7)
    for _ in range(50):
        away = away.failed(NOON, reached=False)
    assert away.wait_s(NOON) == 4
    assert (away.reached(NOON).failures, away.reached(NOON).wait_s(NOON)) == (0, 0)


def test_a_chat_is_followed_through_every_move_and_in_no_circle(alerts_engine):
    with alerts_engine.begin() as connection:
        remember_move(connection, "telegram", "-5", "-1005", NOON)
        remember_move(connection, "telegram", "-1005", "-1006", NOON)
        assert chat_now(connection, "telegram", "-5") == "-1006"
        assert chat_now(connection, "telegram", "42") == "42"
        remember_move(connection, "telegram", "-1006", "-5", NOON)
        assert chat_now(connection, "telegram", "-5") in {"-5", "-1005", "-1006"}
