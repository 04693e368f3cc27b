"""What Prometheus reads: the tables as they are at the scrape, and nothing where they cannot be read."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import sqlalchemy as sa
from alert_making import START, occurrence
from databases import on_one_engine
from dispatching import put, real_clock
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from itb_assets.domain.alerts import Level, Routing
from itb_assets.observability.alerts import outbox, state, store
from itb_assets.observability.alerts.metrics import FAMILIES, AlertMetrics

NOW = START + timedelta(minutes=5)
QUIET = Routing(channels=dict.fromkeys(Level, ()))


def scraped(connect, *, channels=("telegram",), now=NOW, timeout_s=2.0):
    """Return the samples of one scrape: by name and labels their value."""
    registry = CollectorRegistry()
    registry.register(AlertMetrics(connect, lambda: now, channels=channels, timeout_s=timeout_s))
    return parsed(generate_latest(registry).decode())


def parsed(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_empty_database_has_its_zeros(alerts_engine):
    """What is known to exist is 0, not missing: an alert on it would otherwise never see its first one."""
    found = scraped(alerts_engine.connect, channels=("telegram", "slack"))
    levels = [level.label for level in Level]
    expected = {("itb_database_up",): 1.0}
    expected |= {("itb_incidents_open", level): 0.0 for level in levels}
    for channel in ("telegram", "slack"):
        expected |= {("itb_outbox_pending", *sorted((channel, level))): 0.0 for level in levels}
        for name in ("itb_outbox_oldest_seconds", "itb_outbox_dead_total", "itb_alerts_sent_total"):
            expected[(name, channel)] = 0.0
    assert found == expected


def test_every_figure_is_that_of_the_tables(alerts_engine):
    with alerts_engine.begin() as connection:
        state.beat(connection, "alerter", NOW - timedelta(seconds=7))
        state.beat(connection, "trading:main", NOW + timedelta(seconds=9))
        for number, level in enumerate((Level.ERROR, Level.ERROR, Level.CRITICAL)):
            told = occurrence(f"e{number}", level=level, labels={"symbol": str(number)})
            store.report(connection, told, now=START, routing=QUIET)
        for symbol, said in (("A", "ok"), ("B", "firing"), ("C", "firing")):
            state.note_state(
                connection,
                rule="gap_found",
                labels={"symbol": symbol},
                state=said,
                value=None,
                detail="",
                now=NOW,
            )
    ids = put(alerts_engine, "a", "b", "c", "d", now=START)
    put(alerts_engine, "late", level=Level.CRITICAL, channel="slack", now=NOW - timedelta(seconds=30))
    with alerts_engine.begin() as connection:
        outbox.sent(connection, ids[:2], "1", NOW)
        outbox.dead(connection, ids[2:3], "refused", NOW)
    found = scraped(alerts_engine.connect)
    assert {key: value for key, value in found.items() if value} == {
        ("itb_database_up",): 1,
        ("itb_heartbeat_age_seconds", "alerter"): 7,
        ("itb_incidents_open", "error"): 2,
        ("itb_incidents_open", "critical"): 1,
        ("itb_outbox_pending", "error", "telegram"): 1,
        ("itb_outbox_pending", "critical", "slack"): 1,
        ("itb_outbox_oldest_seconds", "telegram"): 300,
        ("itb_outbox_oldest_seconds", "slack"): 30,
        ("itb_outbox_dead_total", "telegram"): 1,
        ("itb_alerts_sent_total", "telegram"): 2,
        ("itb_rule_state", "firing", "gap_found"): 2,
        ("itb_rule_state", "gap_found", "ok"): 1,
    }
    assert found[("itb_heartbeat_age_seconds", "trading:main")] == 0  # of a clock that goes before ours
    assert found[("itb_rule_state", "gap_found", "no_data")] == 0


def test_what_is_forgotten_still_counts(alerts_engine):
    """A counter that fell would read as one that began again, and as so many new dead letters."""
    ids = put(alerts_engine, *"abcdef", now=START)
    with alerts_engine.begin() as connection:
        outbox.sent(connection, ids[:3], "1", START)
        outbox.dead(connection, ids[3:5], "refused", START)
    before = scraped(alerts_engine.connect)
    for days in (1, 2):
        with alerts_engine.begin() as connection:
            gone = state.forget(connection, START + timedelta(days=days))[0]
        assert gone == (5 if days == 1 else 0)
        assert scraped(alerts_engine.connect) == before
    (again,) = put(alerts_engine, "g", now=NOW)
    with alerts_engine.begin() as connection:
        outbox.sent(connection, [again], "1", NOW)
        assert state.forget(connection, NOW + timedelta(days=1))[0] == 1
    assert scraped(alerts_engine.connect)[("itb_alerts_sent_total", "telegram")] == 4


def test_names_and_words_are_those_that_prometheus_asks_for(alerts_engine):
    registry = CollectorRegistry()
    registry.register(AlertMetrics(alerts_engine.connect, lambda: NOW, channels=("telegram",)))
    text = generate_latest(registry).decode()
    said = dict(line.split(" ", 3)[2:] for line in text.splitlines() if line.startswith("# HELP"))
    kinds = dict(line.split(" ", 3)[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    assert len(said) == len(FAMILIES) + 1
    for name, words in said.items():
        assert name.startswith("itb_")
        assert words.endswith((".", "else."))
        assert len(words.split()) >= 6
        assert (kinds[name] == "counter") == name.endswith("_total")


def test_a_database_that_is_gone_leaves_nothing_but_that(alerts_engine):
    """Also on the same collector that read it a moment ago."""
    away = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/itb", poolclass=sa.NullPool)
    now, registry = [alerts_engine], CollectorRegistry()

    def connect():
        return now[0].connect()

    registry.register(AlertMetrics(connect, lambda: NOW, channels=("telegram",)))
    assert parsed(generate_latest(registry).decode())[("itb_alerts_sent_total", "telegram")] == 0
    now[0] = away
    assert parsed(generate_latest(registry).decode()) == {("itb_database_up",): 0}
    now[0] = alerts_engine
    assert parsed(generate_latest(registry).decode())[("itb_database_up",)] == 1


waits = on_one_engine(
    "postgres", because="TimescaleDB's test server has one session: nobody in it waits for somebody's lock"
)


@waits
def test_a_table_that_somebody_locks_costs_a_short_wait(alerts_engine):
    """And scrapes that come meanwhile do not pile up sessions."""
    with alerts_engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE alert_outbox IN ACCESS EXCLUSIVE MODE"))
        began, found = time.monotonic(), []
        threads = [
            threading.Thread(target=lambda: found.append(scraped(alerts_engine.connect, timeout_s=0.2)))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [{("itb_database_up",): 0}] * 3
        assert time.monotonic() - began < 3
    assert scraped(alerts_engine.connect)[("itb_database_up",)] == 1


@waits
def test_one_scrape_at_a_time_reads(alerts_engine):
    opened, registry = [], CollectorRegistry()

    def connect():
        opened.append(1)
        return alerts_engine.connect()

    registry.register(AlertMetrics(connect, lambda: NOW, timeout_s=0.3))
    with alerts_engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE heartbeats IN ACCESS EXCLUSIVE MODE"))
        threads = [threading.Thread(target=generate_latest, args=(registry,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert 1 <= len(opened) <= 3
    assert alerts_engine.pool.checkedout() == 0


def test_dashboards_read_ages_and_what_is_open(alerts_engine):
    """The worst first, with how long it lasts; what is over is not there."""
    now = real_clock()
    with alerts_engine.begin() as connection:
        state.beat(connection, "alerter", now - timedelta(seconds=40), {"pid": 1})
        state.beat(connection, "of a clock before ours", now + timedelta(hours=1))
        for event, level, minutes in (
            ("a", Level.WARNING, 90),
            ("b", Level.CRITICAL, 30),
            ("c", Level.ERROR, 5),
        ):
            at = now - timedelta(minutes=minutes)
            told = occurrence(event, level=level, labels={"symbol": event}, at=at, url=f"http://ui/{event}")
            found = store.report(connection, told, now=at, routing=QUIET)
        store.close(connection, found.incident.id, now)
        incidents = connection.execute(sa.text("SELECT * FROM open_incidents")).mappings().all()
        ages = connection.execute(sa.text("SELECT * FROM heartbeat_ages ORDER BY name")).mappings().all()
    assert [(row["level"], row["url"], round(row["minutes_open"])) for row in incidents] == [
        ("critical", "http://ui/b", 30),
        ("warning", "http://ui/a", 90),
    ]
    assert [row["name"] for row in ages] == ["alerter", "of a clock before ours"]
    assert 39 <= ages[0]["age_seconds"] < 100  # by the clock of the database
    assert (ages[0]["detail"], ages[1]["age_seconds"]) == ({"pid": 1}, 0)
