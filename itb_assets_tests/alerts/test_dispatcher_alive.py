"""The daily word that it is alive: once a day in UTC, whoever starts when, and with what it should say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alert_making import occurrence
from bot_api import UNLIMITED, BotApi
from databases import on_one_engine
from dispatching import TOKEN, FastClock, all_sent, dispatching, eventually, put, rows, telegram

from itb_assets.domain.alerts import Level, Routing
from itb_assets.observability.alerts import outbox, state, store
from itb_assets.observability.alerts.dispatcher import HEARTBEAT, DispatchRules, _Keeper
from itb_assets.observability.alerts.spoken import Spoken

pytestmark = on_one_engine(
    "postgres", because="a session of its own holds a lock, which the other build lacks"
)
DAY = datetime(2026, 3, 1, tzinfo=UTC)
TOKYO, LIMA = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))
QUIET = Routing(channels=dict.fromkeys(Level, ()))


@pytest.fixture
def api():
    """Return the local Bot API, without limits."""
    with BotApi(TOKEN, limits=UNLIMITED) as started:
        yield started


class Looking:
    """A dispatcher at work whose every look is asked for, at a time of our choice."""

    def __init__(self, engine, api, language="en"):
        """Start one; nothing of an earlier one is known to it."""
        channels = [telegram(api)]
        self._now, self._engine = DAY, engine
        self._keeper = _Keeper([], channels, Spoken(language=language), lambda: self._now, DispatchRules())

    def at(self, *times):
        """Look at these times, one after the other; return the days on which it was said."""
        with self._engine.connect() as connection:
            for self._now in times:
                self._keeper.look(connection)
        return said_on(self._engine)


def said_on(engine):
    return [row.dedup_key.removeprefix("alive:") for row in rows(engine, "dedup_key", "kind = 'alive'")]


def hours(*found):
    return [DAY + timedelta(hours=hour) for hour in found]


def test_down_over_midnight_it_says_so_when_it_is_back(alerts_engine, api):
    """The day it was away for is not made up for: that silence was the alarm."""
    assert Looking(alerts_engine, api).at(*hours(7, 22)) == ["2026-03-01"]
    assert Looking(alerts_engine, api).at(*hours(24 + 5.9)) == ["2026-03-01"]
    assert Looking(alerts_engine, api).at(*hours(24 + 9, 24 + 23)) == ["2026-03-01", "2026-03-02"]
    assert Looking(alerts_engine, api).at(*hours(96 + 6)) == ["2026-03-01", "2026-03-02", "2026-03-05"]


def test_up_over_midnight_it_waits_for_the_morning(alerts_engine, api):
    looking = Looking(alerts_engine, api)
    assert looking.at(*hours(5.99)) == []
    assert looking.at(*hours(6, 12, 23.99, 24.01, 29.99)) == ["2026-03-01"]
    assert looking.at(*hours(30)) == ["2026-03-01", "2026-03-02"]


def test_started_again_and_again_in_a_day_it_says_it_once(alerts_engine, api):
    """Also where the first word was sent meanwhile, or two work at the same time."""
    Looking(alerts_engine, api).at(*hours(6))
    (row,) = rows(alerts_engine, "id", "kind = 'alive'")
    with alerts_engine.begin() as connection:
        outbox.sent(connection, [row.id], "1", DAY + timedelta(hours=7))
    for hour in (8, 9, 23):
        assert Looking(alerts_engine, api).at(*hours(hour)) == ["2026-03-01"]


@pytest.mark.parametrize("zone", [TOKYO, LIMA])
def test_a_clock_of_another_zone_makes_no_other_day(alerts_engine, api, zone):
    """In Tokyo it is past six, and then tomorrow, long before UTC is; in Lima it is yesterday."""
    local = [at.astimezone(zone) for at in hours(0, 3, 5.9, 6, 12, 18, 23, 24, 26, 29.9)]
    assert Looking(alerts_engine, api).at(*local[:3]) == []
    assert Looking(alerts_engine, api).at(*local) == ["2026-03-01"]
    (row,) = rows(alerts_engine, "created_at", "kind = 'alive'")
    assert row.created_at == DAY + timedelta(hours=6)


SAID = {
    "en": "Alerts are alive|Open incidents: 2|Sent in 24 h: 1|Refused in 24 h: 1|Waiting: 3|"
    "Oldest heartbeat: orderbook:BTCUSDT, 2 h 5 min ago",
    "pt": "Os alertas estão ativos|Incidentes abertos: 2|Enviados em 24 h: 1|Recusados em 24 h: 1|"
    "Na fila: 3|Sinal de vida mais antigo: orderbook:BTCUSDT, há 2 h 5 min",
}


@pytest.mark.parametrize("language", SAID)
def test_it_counts_what_is_open_sent_given_up_and_waiting(alerts_engine, api, language):
    now = DAY + timedelta(hours=8)
    made = put(alerts_engine, *"abcdefg", now=now - timedelta(days=2))
    with alerts_engine.begin() as connection:
        outbox.sent(connection, made[:1], "1", now - timedelta(hours=25))
        outbox.sent(connection, made[1:2], "1", now - timedelta(hours=23))
        outbox.dead(connection, made[2:3], "no", now - timedelta(hours=23))
        outbox.dead(connection, made[3:4], "no", now - timedelta(hours=25))
        for number in range(3):
            told = occurrence(f"e{number}", labels={"asset": str(number)}, at=now)
            found = store.report(connection, told, now=now, routing=QUIET)
        store.close(connection, found.incident.id, now)
        state.beat(connection, "orderbook:BTCUSDT", now - timedelta(minutes=125))
        state.beat(connection, "cloud_cost:aws", now - timedelta(days=1))
    Looking(alerts_engine, api, language).at(now)
    (row,) = rows(alerts_engine, "message", "kind = 'alive'")
    lines = [row.message["title"], *row.message["detail"].splitlines()]
    assert "|".join(lines).replace("\xa0", " ") == SAID[language]


def test_it_arrives_with_its_lines(alerts_engine, api):
    """From the loop itself, over the channel; its own heartbeat is the only one."""
    clock = FastClock(1, DAY + timedelta(hours=6))
    with dispatching(alerts_engine, telegram(api), clock=clock, alive_hour=6):
        eventually(lambda: bool(api.texts))
        all_sent(alerts_engine)
    (text,) = api.texts
    assert re.search(r"^💚 .*Alerts are alive", text)
    assert re.search(r"Oldest heartbeat: alerter, 0\s+s ago$", text)


def test_without_a_channel_nothing_is_put_in(alerts_engine):
    keeper = _Keeper([], [], Spoken(), lambda: DAY + timedelta(hours=9), DispatchRules())
    with alerts_engine.connect() as connection:
        keeper.look(connection)
        assert connection.scalar(sa.text("SELECT count(*) FROM alert_outbox")) == 0
        assert set(state.beats(connection)) == {"alerter"}


class Speechless(Spoken):
    """Has no words for the daily message."""

    def alive(self, now, **figures):
        raise ValueError(now, figures)


def test_a_daily_word_that_cannot_be_made_keeps_nothing_back(alerts_engine, api):
    keeper = _Keeper([], [telegram(api)], Speechless(), lambda: DAY + timedelta(hours=7), DispatchRules())
    with alerts_engine.connect() as connection:
        keeper.look(connection)
    assert said_on(alerts_engine) == []
    with alerts_engine.begin() as connection:
        assert state.beats(connection)[HEARTBEAT].at == DAY + timedelta(hours=7)
