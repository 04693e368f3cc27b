"""A clock moved by hand: who is away is not hammered, the worst go first, an hour put back holds up none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from lane_stepping import HandClock, Noted, stepping
from outages import ROUTING, asked, cases, cause, rows, telegram, told

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.pace import Limits
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.dispatcher import DispatchRules, _Keeper
from itb_assets.observability.alerts.escalation import escalate
from itb_assets.observability.alerts.rules import evaluate_all, tell
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import beat, beats
from itb_assets.observability.alerts.store import report

HOUR_S = 3600.0
BACK = -HOUR_S


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def most_in_a_minute(times: list[datetime]) -> int:
    return max(sum(at <= other < at + timedelta(seconds=60) for other in times) for at in times)


@pytest.mark.parametrize("how", ["closed", "502"])
def test_who_is_away_is_tried_at_most_so_often(engine, bot, clock, how):
    channel = Noted(telegram(bot), clock)
    for number in range(60):
        told(engine, cause(number, clock()), clock())
    if how == "closed":
        bot.stop()
    else:
        bot.fault("error", times=None, status=502)
    with stepping(engine, channel, clock) as steps:
        steps.work(300)
        gaps = [(after - before).total_seconds() for before, after in pairwise(channel.tries)]
        assert gaps[:2] == [1.0, 2.0]
        assert min(gaps[2:]) >= 4.0
        assert 40 <= len(channel.tries) <= 80
        assert most_in_a_minute(channel.tries) <= Limits().most_in_a_minute


def test_back_again_the_worst_go_first(engine, bot, clock):
    """However long each had yet to wait; the first try is of whatever was due."""
    channel = Noted(telegram(bot), clock)
    critical = {f"case-{number}" for number in range(0, 40, 4)}
    bot.stop()
    with stepping(engine, channel, clock) as steps:
        for number in range(40):
            level = Level.ERROR if number % 4 else Level.CRITICAL
            told(engine, cause(number, clock(), level=level), clock())
            steps.work(15)
        bot.start()
        back = clock()
        steps.work(90)
    assert not rows(engine, where="sent_at IS NULL")
    arrived = [cases(text) for _, text in channel.brought]
    others = next(at for at, found in enumerate(arrived) if at and found - critical)
    assert critical <= set.union(*arrived[: others + 1])
    assert channel.brought[others][0] - back < timedelta(seconds=15)


@pytest.mark.parametrize("away", [False, True])
def test_a_clock_that_is_put_back_holds_up_nothing(engine, bot, clock, away):
    """Neither what waits for its turn, nor what comes in; and the pace holds."""
    channel = Noted(telegram(bot), clock)
    with stepping(engine, channel, clock) as steps:
        for number in range(10):
            told(engine, cause(number, clock()), clock())
        if away:
            bot.fault("error", times=None, status=502)
        steps.work(25)
        clock.move(BACK)
        bot.lift()
        for number in range(10, 20):
            told(engine, cause(number, clock()), clock())
        began, tried = clock(), len(channel.tries)
        steps.work(150)
    assert not rows(engine, where="sent_at IS NULL")
    assert set.union(*(cases(text) for _, text in channel.brought)) == {f"case-{n}" for n in range(20)}
    since = channel.tries[tried:]
    assert since[0] - began < timedelta(seconds=10)
    assert most_in_a_minute(since) <= Limits().per_minute + Limits().burst
    assert len(since) <= 7 + 150 / 5


def test_what_is_to_be_tried_again_does_not_wait_for_the_hour_to_come_back(engine, bot, clock):
    told(engine, cause(1, clock()), clock())
    bot.fault("error", times=2, status=502)
    channel = Noted(telegram(bot), clock)
    with stepping(engine, channel, clock) as steps:
        steps.work(3)
        clock.move(BACK)
        steps.work(10)
    assert len(channel.tries) == 3
    assert [cases(text) for _, text in channel.brought] == [{"case-1"}]


def test_a_message_under_way_when_the_clock_is_put_back_is_not_held_by_its_lease(engine, bot, clock):
    """Its sender was killed: the next one releases what it held, whatever the clock says."""
    told(engine, cause(1, clock()), clock())
    asked(engine, "UPDATE alert_outbox SET lease_until = :until", until=clock() + timedelta(seconds=20))
    clock.move(BACK)
    channel = Noted(telegram(bot), clock)
    with stepping(engine, channel, clock) as steps:
        steps.work(5)
    assert [cases(text) for _, text in channel.brought] == [{"case-1"}]


def test_what_is_critical_and_late_goes_over_the_other_channel_within_its_time(engine, clock):
    told(engine, cause(1, clock(), level=Level.CRITICAL), clock())
    clock.move(BACK)
    told(engine, cause(2, clock(), level=Level.CRITICAL), clock())
    clock.move(16)
    with engine.begin() as connection:
        assert escalate(connection, to="slack", after_s=15, now=clock()) == 2


def test_who_lives_is_seen_to(engine, clock):
    """His heartbeat takes the place of one that lies in the future; one that comes late does not."""

    def beat_at(seconds: float) -> float:
        with engine.begin() as connection:
            beat(connection, "trading", clock() + timedelta(seconds=seconds))
            return (beats(connection)["trading"].at - clock()).total_seconds()

    assert [beat_at(seconds) for seconds in (0, -2, -HOUR_S, 5 - HOUR_S)] == [0, 0, -HOUR_S, 5 - HOUR_S]


def test_what_goes_on_is_repeated_and_what_is_over_ends(engine, clock):
    """Though all that was written of it lies in the future."""

    def say(*, resolves: bool = False) -> str:
        one = replace(
            cause(1, clock(), level=Level.CRITICAL),
            event_id=f"{clock().isoformat()} {resolves}",
            resolves=resolves,
        )
        with engine.begin() as connection:
            return report(connection, one, now=clock(), routing=ROUTING).verdict.why

    assert say() == "new"
    clock.move(BACK)
    assert say() == "repeat"
    clock.move(60)
    assert say() == "too soon"
    clock.move(15 * 60)
    assert say() == "repeat"
    clock.move(-40 * 60)
    assert say(resolves=True) == "over"


def test_a_rule_that_goes_on_firing_reminds(engine, clock):
    """Every fifteen minutes a CRITICAL, in the hour that comes twice as in any other."""
    config = load_config()
    with engine.begin() as connection:
        beat(connection, "trading", clock(), {"halted": "by hand"})

    def pass_minutes(count: int) -> list[str]:
        seen = len(rows(engine))
        for _ in range(count):
            with engine.begin() as connection:
                tell(connection, evaluate_all(connection, config, clock()), config, clock())
            clock.move(60)
        return [row.kind for row in rows(engine)[seen:] if row.level == Level.CRITICAL]

    assert pass_minutes(40) == ["opened", "repeated", "repeated"]
    clock.move(-40 * 60 + 1)
    assert pass_minutes(40).count("repeated") >= 3


def test_the_dispatcher_goes_on_looking(engine, clock):
    keeper = _Keeper([], [], Spoken(), clock, DispatchRules())
    for seconds in (0, BACK):
        clock.move(seconds)
        with engine.connect() as connection:
            keeper.look(connection)
            assert beats(connection)["alerter"].at == clock()
