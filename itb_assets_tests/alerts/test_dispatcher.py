"""What the outbox holds reaches people once, the worst first, at the pace that the channel bears."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from bot_api import UNLIMITED, BotApi
from databases import on_one_engine
from dispatching import (
    TOKEN,
    FastClock,
    all_sent,
    dispatching,
    eventually,
    put,
    quick,
    rows,
    said,
    slack,
    telegram,
)

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.pace import Limits
from itb_assets.observability.alerts.dispatcher import DispatchRules
from itb_assets.observability.alerts.lane import LaneRules
from itb_assets.observability.alerts.state import beats

pytestmark = on_one_engine(
    "postgres", because="a session of its own holds a lock, which the other build lacks"
)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (10).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 20


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42], limits=UNLIMITED) as running:
        yield running


def test_the_worst_comes_first_and_each_comes_once(alerts_engine, api):
    put(alerts_engine, "late data", level=Level.WARNING)
    put(alerts_engine, "training failed")
    put(alerts_engine, "loss", level=Level.CRITICAL)
    with dispatching(alerts_engine, telegram(api)):
        all_sent(alerts_engine)
        time.sleep(0.2)
    assert [text.partition("\n")[0].rpartition(": ")[2] for text in said(api)] == [
        "loss",
        "training failed",
        "late data",
    ]
    found = rows(alerts_engine, "sent_at, receipt, attempts, lease_until, leased_before")
    assert all(row.sent_at and row.receipt.startswith("42/") for row in found)
    assert all(row.attempts == 1 and row.lease_until is None and not row.leased_before for row in found)


def test_a_notice_wakes_it_at_once(alerts_engine, api):
    rules = DispatchRules(lane=LaneRules(poll_s=30), look_every_s=30, alive_hour=24)
    with dispatching(alerts_engine, telegram(api), given=rules):
        eventually(lambda: len(_holders(alerts_engine)) == 2)
        time.sleep(0.5)
        put(alerts_engine, "training failed")
        api.wait(1, timeout_s=10)  # by itself it looks every thirty


def test_without_a_notice_it_looks_by_itself(alerts_engine, api):
    begun = time.monotonic()
    put(alerts_engine, "later", next_at=datetime.now(UTC) + timedelta(seconds=0.6))
    with dispatching(alerts_engine, telegram(api)):
        api.wait(1, timeout_s=10)
    assert time.monotonic() - begun >= 0.5


def test_scarce_tokens_make_one_digest_of_everything(alerts_engine, api):
    put(alerts_engine, *(f"failure {number}" for number in range(30)))
    put(alerts_engine, "loss", level=Level.CRITICAL)
    with dispatching(alerts_engine, telegram(api), limits=Limits(burst=7, per_minute=12)):
        all_sent(alerts_engine)
    assert len(said(api)) == 5
    assert "27 alerts" in said(api)[-1]
    found = rows(alerts_engine, "receipt, sent_at")
    assert sorted(Counter(row.receipt for row in found).values()) == [1, 1, 1, 1, 27]
    assert len({row.sent_at for row in found}) == 5


def test_the_last_token_is_kept_for_what_is_critical(alerts_engine, api):
    clock = FastClock(0.1)  # so that there is no further token for a hundred seconds
    with dispatching(alerts_engine, telegram(api), clock=clock, limits=Limits(burst=2, per_minute=6)):
        put(alerts_engine, "first", now=clock())
        api.wait(1)
        put(alerts_engine, "second", now=clock())
        time.sleep(0.3)
        assert len(said(api)) == 1, "a warning does not take the last token"
        put(alerts_engine, "loss", level=Level.CRITICAL, now=clock())
        api.wait(2)
    assert "loss" in said(api)[1]
    assert "second" in said(api)[1], "what waits travels along"


def test_a_restart_does_not_fill_the_bucket(alerts_engine, api):
    limits = Limits(burst=3, per_minute=30, digest_below=1, reserve=0)
    put(alerts_engine, "one", "two", "three")
    begun = datetime.now(UTC)
    with dispatching(alerts_engine, telegram(api), limits=limits):
        all_sent(alerts_engine)
    put(alerts_engine, "four")
    with dispatching(alerts_engine, telegram(api), limits=limits):
        all_sent(alerts_engine)
    assert 2 <= (api.sent[3].at - begun).total_seconds() < 10


def test_what_was_sent_is_counted_when_nothing_else_is_remembered(alerts_engine, api):
    limits = Limits(burst=2, per_minute=30, digest_below=1, reserve=0)
    put(alerts_engine, "one", "two")
    begun = datetime.now(UTC)
    with dispatching(alerts_engine, telegram(api), limits=limits):
        all_sent(alerts_engine)
    with alerts_engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM alert_cursors"))
    put(alerts_engine, "three")
    with dispatching(alerts_engine, telegram(api), limits=limits):
        all_sent(alerts_engine)
    assert (api.sent[2].at - begun).total_seconds() >= 2


def test_a_chart_goes_with_its_message(alerts_engine, api):
    put(alerts_engine, "drift", chart=PNG)
    with dispatching(alerts_engine, telegram(api)):
        all_sent(alerts_engine)
    assert api.sent[0].photo == PNG
    assert "drift" in said(api)[0]


def test_each_channel_has_a_lane_of_its_own(alerts_engine, api):
    """A channel that hangs keeps no other back."""
    asked, go_on = threading.Event(), threading.Event()

    class Hanging:
        name = "telegram"

        def send(self, text_html, chart=None):
            asked.set()
            go_on.wait(60)
            return telegram(api).send(text_html, chart)

    put(alerts_engine, "slow")
    with dispatching(alerts_engine, Hanging(), slack(api.slack_url)):
        try:
            assert asked.wait(15)
            put(alerts_engine, "quick", channel="slack")
            eventually(lambda: bool(rows(alerts_engine, where="channel = 'slack' AND sent_at IS NOT NULL")))
            assert not rows(alerts_engine, where="channel = 'telegram' AND sent_at IS NOT NULL")
        finally:
            go_on.set()
        all_sent(alerts_engine)
    assert sorted(message.service for message in api.sent) == ["slack", "telegram"]


def test_the_second_of_two_waits_for_the_first(alerts_engine, api):
    other = BotApi(TOKEN, chats=[42], limits=UNLIMITED)
    with other, dispatching(alerts_engine, telegram(api)) as first:
        eventually(lambda: len(_holders(alerts_engine)) == 2)
        holders = _holders(alerts_engine)
        with dispatching(alerts_engine, telegram(other)):
            put(alerts_engine, *(f"failure {number}" for number in range(20)))
            all_sent(alerts_engine)
            assert (len(said(api)), len(other.texts)) == (20, 0)
            first.set()
            eventually(lambda: not _holders(alerts_engine) & holders)
            put(alerts_engine, "one more")
            all_sent(alerts_engine)
    assert (len(said(api)), len(other.texts)) == (20, 1)


def _holders(engine) -> set[int]:
    """Return the sessions that hold a lock in this database: the dispatcher's and one of each lane."""
    found = (
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with engine.connect() as connection:
        return set(connection.scalars(sa.text(found)))


def test_its_locks_end_with_it(alerts_engine, api):
    """A connection that went back to a pool would keep the next dispatcher out for ever."""
    with dispatching(alerts_engine, telegram(api)):
        eventually(lambda: len(_holders(alerts_engine)) == 2)
    eventually(lambda: not _holders(alerts_engine))  # the server ends a session a little later


def test_it_says_that_it_lives_and_what_waits(alerts_engine, api):
    put(alerts_engine, "later", next_at=datetime.now(UTC) + timedelta(hours=1))
    put(alerts_engine, "now")
    with dispatching(alerts_engine, telegram(api), beat_every_s=0.1):
        eventually(lambda: _beat(alerts_engine).get("channels", {}).get("telegram", {}).get("sent") == 1)
        first = _beat(alerts_engine, "at")
        eventually(lambda: _beat(alerts_engine, "at") > first)
        said = _beat(alerts_engine)
    assert said["channels"]["telegram"]["waiting"] == 1
    assert TOKEN not in json.dumps(said)


def _beat(engine, what="detail"):
    with engine.connect() as connection:
        found = beats(connection).get("alerter")
        return {} if found is None else getattr(found, what)


def test_it_says_that_all_is_well_once_a_day_whatever_happens(alerts_engine, api):
    def run(start: datetime, until: int) -> None:
        rules = {"alive_hour": 6, "beat_every_s": 3600}
        with dispatching(alerts_engine, telegram(api), clock=FastClock(1, start), **rules):
            time.sleep(0.3)
            eventually(lambda: len(said(api)) == until)

    day = datetime(2026, 3, 1, 5, 59, 59, 900_000, tzinfo=UTC)
    run(day - timedelta(minutes=1), 0)
    run(day, 1)
    run(day + timedelta(hours=3), 1)
    run(day + timedelta(days=1), 2)
    assert all("alive" in text for text in said(api))
    keys = [row.dedup_key for row in rows(alerts_engine, "dedup_key")]
    assert keys == ["alive:2026-03-01", "alive:2026-03-02"]


def test_odd_words_arrive_as_well(alerts_engine, api):
    put(
        alerts_engine, "odd", message={"title": "odd <b>", "labels": 7, "at": {"no": "time"}, "detail": ["x"]}
    )
    with dispatching(alerts_engine, telegram(api)):
        all_sent(alerts_engine)
    assert "odd <b>" in said(api)[0]


def test_a_message_that_cannot_be_shown_is_named(alerts_engine, api, monkeypatch):
    def broken(*_: object, **__: object) -> str:
        raise KeyError("no such word")

    monkeypatch.setattr("itb_assets.observability.alerts.spoken.render", broken)
    put(alerts_engine, "loss <b>", level=Level.CRITICAL)
    with dispatching(alerts_engine, telegram(api)):
        all_sent(alerts_engine)
    assert said(api) == ["critical loss <b>"]


def test_what_was_put_in_for_a_channel_that_is_not_set_up_takes_another(alerts_engine, api):
    put(alerts_engine, "elsewhere", channel="slack")
    with dispatching(alerts_engine, telegram(api)):
        api.wait(1)
        eventually(lambda: bool(rows(alerts_engine, where="channel = 'slack' AND dead_at IS NOT NULL")))
    assert "elsewhere" in said(api)[0]


def test_two_channels_of_one_name_are_refused(alerts_engine, api):
    from itb_assets.observability.alerts.dispatcher import run_dispatcher  # noqa: PLC0415
    from itb_assets.observability.alerts.spoken import Spoken  # noqa: PLC0415

    with pytest.raises(ValueError, match="telegram, telegram: expected each name once"):
        run_dispatcher(
            connect=alerts_engine.connect,
            channels=[telegram(api), telegram(api)],
            spoken=Spoken(),
            clock=lambda: datetime.now(UTC),
            stop=None,
            rules=quick(),
        )
