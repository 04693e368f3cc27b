"""Telegram away for an hour, in every way, and dispatchers killed in it: all arrives, the worst first."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from outages import (
    TOKEN,
    BotApi,
    Sent,
    all_sent,
    asked,
    cases,
    cause,
    dispatcher_process,
    rows,
    tables,
    told,
)

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.pace import Limits

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from alert_storm_judge import missing, most_within, repeats

GROUP = -1001
HOUR_S = 3600
FACTOR = 240
CAUSES = 240
EVERY_S = HOUR_S / CAUSES
KILLED_AT = (50, 130, 210)
CRITICAL = 40


@dataclass(frozen=True)
class Clock:
    """Runs fast from now on, alike in every process."""

    since: float
    factor: float = FACTOR

    def __call__(self) -> datetime:
        return self.of(time.time())

    def of(self, real: float) -> datetime:
        """Return what it shows at a real time."""
        return datetime.fromtimestamp(self.since + (real - self.since) * self.factor, UTC)

    def seconds(self) -> float:
        return self().timestamp()


@dataclass
class Hour:
    """What was done, and when the channel was back."""

    engine: sa.Engine
    clock: Clock
    telegram: BotApi
    slack: BotApi
    kills: int = 0
    tries_while_closed: int = 0
    back: datetime | None = None

    def confirmed(self) -> list[Sent]:
        """Return what Telegram accepted and said so, in order; all of it after it was back."""
        receipts = {str(row.receipt).partition(" ")[0] for row in rows(self.engine, "receipt")}
        return [each for each in self.telegram.sent if f"{each.chat}/{each.message_id}" in receipts]


@contextmanager
def standing_by(hour: Hour, url: str, count: int) -> Iterator[None]:
    """Run dispatchers, of which one works and the others take over."""
    given = {
        "chat": GROUP,
        "slack_url": hour.slack.slack_url,
        "poll_s": 0.02,
        "timeouts_s": [1.0, 0.3],
        "clock": {"since": hour.clock.since, "factor": FACTOR},
    }
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(dispatcher_process(url, hour.telegram, **given))
        yield


def kill_the_one(hour: Hour) -> None:
    ((pid,),) = asked(hour.engine, "SELECT (detail ->> 'pid')::int FROM heartbeats WHERE name = 'alerter'")
    os.kill(pid, signal.SIGKILL)
    hour.kills += 1


def trouble(hour: Hour, number: int) -> None:
    """Change how Telegram is away: nobody listens, a gateway's error page, nobody answers."""
    if number == CAUSES // 3:
        tries = "SELECT sum(attempts) FROM alert_outbox WHERE channel = 'telegram'"
        hour.tries_while_closed = int(asked(hour.engine, tries)[0][0])
        hour.telegram.fault("error", times=None, status=502)
        hour.telegram.start()
    if number == 2 * CAUSES // 3:
        hour.telegram.lift()
        hour.telegram.fault("slow", times=None, seconds=5)
    if number in KILLED_AT:
        kill_the_one(hour)


def level_of(number: int) -> Level:
    return Level.CRITICAL if number % 12 == 0 else (Level.INFO, Level.WARNING, Level.ERROR)[number % 3]


def lived_through(hour: Hour) -> None:
    """Have causes come in at an even rate for an hour of the clock, Telegram being away."""
    hour.telegram.stop()
    begun = hour.clock()
    for number in range(CAUSES):
        while (wait := (begun - hour.clock()).total_seconds() + number * EVERY_S) > 0:
            time.sleep(wait / FACTOR)
        trouble(hour, number)
        now = hour.clock()
        told(hour.engine, cause(number, now, level=level_of(number)), now)
    hour.back = hour.clock()
    hour.telegram.lift()


@pytest.fixture(scope="module")
def hour(postgres) -> Iterator[Hour]:
    """Return an hour that was lived through, everything delivered that could be."""
    postgres.ensure_database("hour")
    url = str(postgres.url("hour"))
    clock = Clock(time.time())
    with (
        tables(url) as engine,
        BotApi(TOKEN, chats=[GROUP], clock=clock.seconds) as telegram,
        BotApi(TOKEN, clock=clock.seconds) as slack,
    ):
        lived = Hour(engine, clock, telegram, slack)
        with standing_by(lived, url, len(KILLED_AT) + 1):
            lived_through(lived)
            all_sent(engine, within_s=60)
        yield lived


def test_it_was_an_hour_and_dispatchers_were_killed(hour):
    lasted = hour.back - min(row.created_at for row in rows(hour.engine))
    assert lasted > timedelta(minutes=55)
    assert hour.kills == len(KILLED_AT)


def test_every_cause_is_delivered_or_counted_and_repeats_are_marked(hour):
    columns = "id, channel, level, kind, message ->> 'title' AS title, created_at, sent_at, receipt"
    found = [row._mapping for row in rows(hour.engine, columns)]
    assert len([row for row in found if row["channel"] == "telegram"]) == CAUSES
    assert missing(found, hour.telegram.sent) == []
    assert repeats(hour.telegram.sent, [])["unmarked"] == 0


def test_nothing_is_given_up_for_being_old(hour):
    assert rows(hour.engine, where="dead_at IS NOT NULL") == []


def test_the_worst_come_first_when_it_is_back(hour):
    """The try that finds out that it is back may be of any level."""
    critical = {f"case-{number}" for number in range(CAUSES) if level_of(number) is Level.CRITICAL}
    arrived = [cases(each.text) for each in hour.confirmed()]
    first = next(at for at, named in enumerate(arrived) if named - critical and at > 0)
    assert critical <= set.union(*arrived[: first + 1])


def test_it_is_delivered_soon_after_it_is_back(hour):
    late = [row.sent_at - hour.back for row in rows(hour.engine, "sent_at", "channel = 'telegram'")]
    assert max(late) < timedelta(minutes=40), "of which a second of ours is four"


def test_never_faster_than_published(hour):
    assert not [status for _, status in hour.telegram.requests if status == 429]
    assert most_within(hour.telegram.sent, 60 / FACTOR) <= Limits().most_in_a_minute


def test_who_is_away_is_not_hammered(hour):
    """A third of the hour nobody listened, so the tries are those of the outbox; later they are requests."""
    third = HOUR_S / 3
    assert 20 < hour.tries_while_closed < third / 3.5
    limits = Limits()
    most = limits.burst * (1 + len(KILLED_AT)) + limits.per_minute * (HOUR_S / 60) * 2 / 3
    before = [status for _, status in hour.telegram.requests if status != 200]
    assert 20 < len(before) <= most


def test_what_is_critical_went_over_the_other_channel_meanwhile(hour):
    critical = {f"case-{number}" for number in range(CAUSES) if level_of(number) is Level.CRITICAL}
    there = {
        case: hour.clock.of(each.at.timestamp())
        for each in reversed(hour.slack.sent)
        for case in cases(each.text)
    }
    assert set(there) == critical
    created = rows(
        hour.engine,
        "message ->> 'title' AS title, created_at",
        f"level = {CRITICAL} AND channel = 'telegram'",
    )
    late = sorted(there[cases(row.title).pop()] - row.created_at for row in created)
    assert late[0] > timedelta(seconds=15)
    assert late[len(late) // 2] < timedelta(minutes=8), "of which a second of ours is four"
    assert late[-1] < timedelta(minutes=40)
