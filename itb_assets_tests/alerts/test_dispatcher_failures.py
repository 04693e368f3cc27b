"""Whatever a channel does, nothing is lost, and what may be a repeat says so."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from bot_api import UNLIMITED, BotApi
from databases import on_one_engine
from dispatching import (
    TOKEN,
    FastClock,
    Timed,
    all_sent,
    dispatching,
    eventually,
    put,
    rows,
    said,
    slack,
    telegram,
    the_log,
)

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.pace import Limits

pytestmark = on_one_engine(
    "postgres", because="a session of its own holds a lock, which the other build lacks"
)
REPEAT = "[possible repeat]"


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42, -5], limits=UNLIMITED) as running:
        yield running


@pytest.fixture
def logged():
    with the_log() as lines:
        yield lines


def test_a_pause_that_is_asked_for_is_kept_to_the_second(alerts_engine, api, logged):
    api.fault("too_many", retry_after=2)
    put(alerts_engine, "one")
    channel = Timed(telegram(api), lambda: datetime.now(UTC))
    with dispatching(alerts_engine, channel):
        eventually(lambda: len(channel.asked) >= 1)
        put(alerts_engine, "two", level=Level.CRITICAL)
        all_sent(alerts_engine)
    assert 2 <= channel.gaps_s[0] < 6, "and no other message is tried meanwhile"
    assert [status for _, status in api.requests] == [429, 200, 200]
    assert not any(REPEAT in text for text in said(api))


def test_a_pause_outlives_the_process(alerts_engine, api, logged):
    api.fault("too_many", retry_after=2)
    put(alerts_engine, "one")
    first, second = (Timed(telegram(api), lambda: datetime.now(UTC)) for _ in range(2))
    with dispatching(alerts_engine, first):
        eventually(lambda: bool(rows(alerts_engine, where="last_error IS NOT NULL")))
    put(alerts_engine, "two")
    with dispatching(alerts_engine, second):
        all_sent(alerts_engine)
    assert 2 <= (second.asked[0] - first.asked[0]).total_seconds() < 8


def test_a_channel_that_fails_is_tried_after_2_4_8_seconds_up_to_a_minute(alerts_engine, api, logged):
    clock = FastClock(40)
    channel = Timed(telegram(api), clock)
    put(alerts_engine, "one")
    with api.during("error", status=502), dispatching(alerts_engine, channel, clock=clock):
        eventually(lambda: len(channel.asked) >= 7)
    for gap, expected in zip(channel.gaps_s, (2, 4, 8, 16, 32, 60), strict=False):
        assert expected <= gap < expected + 200  # five seconds of a busy machine are two hundred here


def test_one_message_that_never_gets_through_does_not_keep_back_the_rest(alerts_engine, api, logged):
    class Choosy:
        name = "telegram"

        def send(self, text_html, chart=None):
            if "Poison" in text_html:
                raise OSError("the token is in these words: " + TOKEN)
            return telegram(api).send(text_html, chart)

    put(alerts_engine, "poison", level=Level.CRITICAL)
    put(alerts_engine, "one", "two", "three")
    clock = FastClock(10)
    with dispatching(alerts_engine, Choosy(), clock=clock):
        api.wait(3)
    (poisoned,) = rows(alerts_engine, "last_error, sent_at, dead_at", "sent_at IS NULL")
    assert poisoned.last_error == "telegram failed with OSError"
    assert poisoned.dead_at is None


def test_an_hour_without_the_channel_costs_nothing(alerts_engine, api, logged):
    """The clock runs fast while the channel is away, and slowly afterwards, when it is judged."""
    clocks = [FastClock(1200)]

    def clock():
        return clocks[-1]()

    begun = clock()
    with dispatching(alerts_engine, telegram(api), clock=clock):
        with api.outage():
            for number in range(12):
                put(alerts_engine, f"failure {number}", now=clock())
                time.sleep(0.25)
            back = clock()
            clocks.append(FastClock(30, back))
        all_sent(alerts_engine)
    assert (back - begun).total_seconds() >= 3600
    assert sorted(text.split()[3].rstrip(":") for text in said(api)) == sorted(
        str(number) for number in range(12)
    )
    assert not any(REPEAT in text for text in said(api)), "what was never connected cannot have arrived"
    late = [(row.sent_at - back).total_seconds() for row in rows(alerts_engine, "sent_at")]
    assert 0 < max(late) < 300, "a minute, and what eight seconds of a busy machine are here"


def test_a_lost_answer_makes_a_possible_repeat_and_nothing_else_does(alerts_engine, api, logged):
    put(alerts_engine, "one")
    api.fault("lost_answer")
    with dispatching(alerts_engine, telegram(api), clock=FastClock(10)):
        all_sent(alerts_engine)
        with api.outage():
            put(alerts_engine, "two")
            eventually(lambda: bool(rows(alerts_engine, where="last_error IS NOT NULL")))
        all_sent(alerts_engine)
    assert [REPEAT in text for text in said(api)] == [False, True, False]


def test_a_lost_answer_to_a_digest_marks_its_lines(alerts_engine, api, logged):
    put(alerts_engine, "one", "two")
    api.fault("lost_answer")
    limits = Limits(burst=100, per_minute=6000, digest_below=1000)
    with dispatching(alerts_engine, telegram(api), clock=FastClock(10), limits=limits):
        all_sent(alerts_engine)
    assert [text.count(REPEAT) for text in said(api)] == [0, 2]


def test_what_is_refused_goes_over_the_other_channel_with_word_of_it(alerts_engine, api, logged):
    put(alerts_engine, "one", "two")
    other = slack(api.slack_url)
    with api.during("forbidden", method="sendMessage"), dispatching(alerts_engine, telegram(api), other):
        eventually(lambda: len(said(api)) == 3)
        time.sleep(0.2)
    arrived = [message for message in api.sent if message.service == "slack"]
    assert len(arrived) == 3
    words = " ".join(said(api)).replace("*", " ")
    assert "telegram refuses messages" in words
    assert {"one", "two"} <= set(words.split())
    dead = rows(alerts_engine, "last_error", "dead_at IS NOT NULL")
    assert [row.last_error for row in dead] == [
        "Telegram answered 403: Forbidden: bot was blocked by the user"
    ] * 2
    assert sum("CRITICAL" in line and "refused for good" in line for line in logged) == 2


def test_both_refuse_and_it_ends(alerts_engine, api, logged):
    """Neither channel sends back what it was handed."""
    put(alerts_engine, "one", level=Level.CRITICAL)
    nowhere = slack(f"{api.url}/services/T0/B0/gone")
    with api.during("forbidden", method="sendMessage"), dispatching(alerts_engine, telegram(api), nowhere):
        eventually(lambda: len(rows(alerts_engine, where="dead_at IS NOT NULL")) >= 4)
        time.sleep(0.5)
        all_sent(alerts_engine)
    assert len(rows(alerts_engine)) < 8
    assert not said(api)


def test_one_bad_line_does_not_cost_the_digest(alerts_engine, api, logged):
    class Picky:
        name = "telegram"

        def send(self, text_html, chart=None):
            from itb_assets.observability.alerts.channels import Refused  # noqa: PLC0415

            if "Bad" in text_html:
                raise Refused("Telegram answered 400: Bad Request", status=400)
            return telegram(api).send(text_html, chart)

    put(alerts_engine, *(f"good {number}" for number in range(9)), "bad")
    limits = Limits(burst=1000, per_minute=60_000, digest_below=10_000)
    with dispatching(alerts_engine, Picky(), limits=limits):
        all_sent(alerts_engine)
    (dead,) = rows(alerts_engine, "message ->> 'title' AS title", "dead_at IS NOT NULL")
    assert dead.title == "bad"


def test_a_chat_that_is_none_is_noticed_after_three(alerts_engine, api, logged):
    put(alerts_engine, *(f"failure {number}" for number in range(50)))
    with dispatching(alerts_engine, telegram(api, chat=99), slack(api.slack_url)):
        all_sent(alerts_engine)
    assert len(rows(alerts_engine, where="channel = 'telegram' AND dead_at IS NOT NULL")) == 50
    assert len([1 for method, _ in api.requests if method == "sendMessage"]) == 4
    assert len(rows(alerts_engine, where="channel = 'slack' AND sent_at IS NOT NULL")) == 51


def test_what_is_critical_and_late_goes_over_the_second_channel_too(alerts_engine, api, logged):
    begun = time.monotonic()
    put(alerts_engine, "loss", level=Level.CRITICAL)
    put(alerts_engine, "late data", level=Level.WARNING)
    rules = {"escalate_to": "slack", "escalate_after_s": 15, "clock": FastClock(10)}
    with (
        BotApi(TOKEN) as away,
        away.during("error", status=503),
        dispatching(alerts_engine, telegram(away), slack(api.slack_url), **rules),
    ):
        api.wait(1)
        assert 1.4 < time.monotonic() - begun < 10
        away.lift()
        all_sent(alerts_engine)
        assert len(said(away)) == 2
    assert len(said(api)) == 1
    assert "loss" in said(api)[0]


def test_what_went_to_both_is_not_doubled(alerts_engine, api, logged):
    now = datetime.now(UTC)
    with alerts_engine.begin() as connection:
        incident = connection.scalar(
            sa.text(
                "INSERT INTO alert_incidents (fingerprint, rule, level, labels, title, detail, first_at, "
                "last_at, opened_at, occurrences) VALUES ('0123456789abcdef', 'loss', 40, '{}', 'loss', '', "
                ":now, :now, :now, 1) RETURNING id"
            ),
            {"now": now},
        )
    for channel in ("telegram", "slack"):
        put(alerts_engine, "loss", level=Level.CRITICAL, channel=channel, incident_id=incident, now=now)
    rules = {"escalate_to": "slack", "escalate_after_s": 0.2}
    other = slack(api.slack_url)
    with (
        BotApi(TOKEN) as away,
        away.during("error"),
        dispatching(alerts_engine, telegram(away), other, **rules),
    ):
        eventually(lambda: len(said(api)) == 1)
        time.sleep(0.8)
    assert len(rows(alerts_engine)) == 2
    assert len(said(api)) == 1


def test_a_chat_that_moved_is_followed_and_remembered(alerts_engine, api, logged):
    api.move(-5, -1005)
    put(alerts_engine, "one")
    with dispatching(alerts_engine, telegram(api, chat=-5)):
        all_sent(alerts_engine)
        put(alerts_engine, "two")
        all_sent(alerts_engine)
    put(alerts_engine, "three")
    with dispatching(alerts_engine, telegram(api, chat=-5)):
        all_sent(alerts_engine)
    assert [message.chat for message in api.sent] == ["-1005"] * 3
    assert [status for _, status in api.requests] == [400, 200, 200, 200]
    assert not any(REPEAT in text for text in said(api))
    assert any("-1005" in line for line in logged)
