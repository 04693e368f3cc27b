"""All rules at one look: what is news, what goes on, what is over, what broke, and what is noted."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from rule_making import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TODAY,
    config_of,
    drift,
    executed,
    insert,
    kline,
    market,
    only,
    only_rule,
    outbox,
    told,
    trade,
)

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import rules
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.outbox import Draft, enqueue
from itb_assets.observability.alerts.rules import RULES, Look, evaluate_all, tell
from itb_assets.observability.alerts.state import beat, states
from itb_assets.observability.alerts.store import incidents

SECOND = timedelta(seconds=1)
FIVE_S = 5 * SECOND
PNG = b"\x89PNG"


@pytest.fixture
def halting(tmp_path):
    """Return a configuration of one rule alone, over a heartbeat."""
    return config_of(tmp_path, only_rule("trading_halted"))


def test_what_goes_wrong_is_told_once_and_its_end_once(connection, halting):
    for step in range(4):
        now = NOW + step * FIVE_S
        beat(connection, "trading", now, {"halted": "no margin"})
        news = told(connection, halting, now)
        assert len(news) == (1 if step == 0 else 0)
    assert news == []
    end = NOW + 4 * FIVE_S
    beat(connection, "trading", end, {})
    over = only(told(connection, halting, end))
    assert over.resolves
    assert told(connection, halting, end + FIVE_S) == []
    assert [row[0] for row in outbox(connection)] == ["opened", "resolved"]
    assert incidents(connection) == []


def test_what_goes_on_is_told_again_after_the_interval_of_its_level(connection, halting):
    beat(connection, "trading", NOW, {"halted": "no margin"})
    for step in range(60 * 60 // 15):
        told(connection, halting, NOW + 3 * step * FIVE_S)
    kinds = [row[0] for row in outbox(connection)]
    assert kinds == ["opened", "repeated", "repeated", "repeated"]
    assert incidents(connection)[0].occurrences < 60


def test_a_value_around_its_threshold_opens_one_incident(connection, halting):
    """The heartbeat is 119, 121, 119, ... seconds old."""
    for step in range(40):
        now = NOW + step * MINUTE
        beat(connection, "trading", now - (119 + 2 * (step % 2)) * SECOND, {})
        told(connection, halting, now)
    rows = connection.execute(sa.text("SELECT count(*) FROM alert_incidents")).scalar_one()
    assert rows == 1


def test_what_cannot_be_told_any_more_is_not_over(connection, tmp_path):
    config = config_of(tmp_path, only_rule("api_latency"))
    beat(connection, "api:binance", NOW, {"latency_p95_s": 3.0, "calls": 50})
    assert only(told(connection, config, NOW)).rule == "api_latency"
    later = NOW + HOUR
    assert told(connection, config, later) == []
    assert only(states(connection)).state == "insufficient"
    assert len(incidents(connection)) == 1
    beat(connection, "api:binance", later + MINUTE, {"latency_p95_s": 0.2, "calls": 50})
    assert only(told(connection, config, later + MINUTE)).resolves


def test_what_is_not_watched_any_more_says_so(connection, halting):
    beat(connection, "trading:old", NOW, {"halted": "no margin"})
    told(connection, halting, NOW)
    connection.execute(sa.text("DELETE FROM heartbeats"))
    over = only(told(connection, halting, NOW + MINUTE))
    assert over.resolves
    assert "not watched any more" in over.detail
    assert only(states(connection)).state == "no_data"


def test_a_rule_that_is_switched_off_ends_what_it_opened(connection, halting, tmp_path):
    beat(connection, "trading", NOW, {"halted": "no margin"})
    told(connection, halting, NOW)
    off = config_of(tmp_path, only_rule())
    assert only(told(connection, off, NOW + MINUTE)).resolves
    assert states(connection) == []


def test_a_look_that_was_taken_back_is_told_by_the_next(connection, halting):
    beat(connection, "trading", NOW, {"halted": "no margin"})
    with connection.begin_nested() as savepoint:
        first = only(told(connection, halting, NOW))
        savepoint.rollback()
    assert only(told(connection, halting, NOW)).event_id == first.event_id
    assert len(outbox(connection)) == 1


def test_a_rule_that_fails_is_an_alert_and_stops_no_other(connection, tmp_path, monkeypatch):
    config = config_of(tmp_path, only_rule("trading_halted", "data_stale", "rule_broken"))

    def fails(look: Look):
        yield from look.rows("SELECT 1/0 AS x")

    beat(connection, "trading", NOW, {"halted": "no margin"})
    monkeypatch.setitem(rules.evaluate.RULES, "data_stale", fails)
    news = {each.rule: each for each in told(connection, config, NOW)}
    assert set(news) == {"trading_halted", "rule_broken"}
    assert news["rule_broken"].labels == {"watched": "data_stale"}
    assert "division by zero" in news["rule_broken"].detail
    assert told(connection, config, NOW + 30 * SECOND) == []
    monkeypatch.undo()
    news = {each.rule: each for each in told(connection, config, NOW + 2 * MINUTE)}
    assert news["rule_broken"].resolves


def test_a_rule_that_takes_too_long_is_stopped(connection, tmp_path, monkeypatch):
    config = config_of(tmp_path, only_rule("data_stale", "rule_broken"))

    def slow(look: Look):
        yield from look.rows("SELECT pg_sleep(5)")

    monkeypatch.setattr(rules.evaluate, "TIMEOUT_S", 0.05)
    monkeypatch.setitem(rules.evaluate.RULES, "data_stale", slow)
    assert "statement timeout" in only(told(connection, config, NOW)).detail
    assert connection.execute(sa.text("SELECT current_setting('statement_timeout')")).scalar() == "0"


def test_rules_are_computed_as_often_as_they_ask(connection, tmp_path, monkeypatch):
    config = config_of(tmp_path, only_rule("gap_found"))
    looks = []

    def seen(look: Look):
        looks.append(look.now)
        yield look.lacks("gap_found", "no klines")

    monkeypatch.setitem(rules.evaluate.RULES, "gap_found", seen)
    for step in range(25):
        evaluate_all(connection, config, NOW + step * FIVE_S)
    assert len(looks) == 3
    evaluate_all(connection, config, NOW + 24 * FIVE_S + SECOND, due_only=False)
    assert len(looks) == 4
    evaluate_all(connection, config, NOW - DAY)
    assert len(looks) == 5


def test_every_rule_says_what_it_lacks_in_an_empty_database(connection):
    found = evaluate_all(connection, load_config(), NOW)
    assert {each.rule for each in found.evaluations} == {
        name for name, rule in load_config().rules.named().items() if rule.source != "events" and rule.enabled
    }
    assert {each.rule for each in found.evaluations if each.state == "ok"} == {"alert_delivery_lagging"}
    assert all(each.detail for each in found.evaluations)
    assert found.occurrences == ()
    assert found.reports == ()
    noted = states(connection)
    assert len(noted) == len(found.evaluations)


def everything_wrong(connection, now=NOW):
    """Write rows that fire every rule there is, but those of costs."""
    market(connection)
    rows = [kline(now - HOUR - n * 5 * MINUTE) for n in range(600) if n != 20]
    for day in range(1, 21):
        hour = [
            kline(now - HOUR - n * 5 * MINUTE - day * DAY, volume=0.01, width=1.000001) for n in range(12)
        ]
        rows += [row for row in hour if row["time"] < now - HOUR - 599 * 5 * MINUTE]
    early = now - HOUR - 600 * 5 * MINUTE
    quiet = [
        row | {"volume": 0.01, "high": 100.0001} if early < row["time"] < now - 3 * HOUR else row
        for row in rows
    ]
    insert(connection, "ohlcv", quiet)
    insert(connection, "trades", [executed(n, -30.0, ended=now - n * MINUTE) for n in range(40)])
    lost = [trade(f"p{n}", -3.0, ended=now - n * MINUTE) for n in range(40)]
    lost += [
        trade(f"d{day}-{n}", -1.0, ended=TODAY - day * DAY + n * HOUR) for day in (1, 2, 3) for n in range(12)
    ]
    insert(connection, "trades", lost)
    insert(
        connection,
        "model_drift",
        [drift("win_rate", "warning"), drift("psi:x", "error"), drift("drifted_features", "ok", n=9)],
    )
    beat(connection, "trading", now - HOUR, {})
    beat(connection, "dagster_events", now - HOUR, {})
    beat(connection, "orderbook:BTCUSDT", now - HOUR, {})
    beat(connection, "api:binance", now, {"latency_p95_s": 3, "calls": 99, "auth_error": "401"})
    beat(connection, "log_delivery", now, {"oldest_s": 9000})
    bill = {"month": "2026-03", "currency": "USD", "billed": 2000, "billed_until": now.isoformat()}
    beat(connection, "cloud_cost", now, bill)
    draft = Draft(
        dedup_key="stuck", channel="telegram", level=Level.INFO, kind="test", message={"title": "stuck"}
    )
    enqueue(connection, draft, now=now - HOUR)


ALL_ON = """
[capital.executed]
USDT = 10000
[budget]
USD = 1000
[rules.win_rate_low_days]
enabled = true
"""


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_rule_fires_and_speaks_both_languages(connection, tmp_path, language):
    everything_wrong(connection)
    config = config_of(tmp_path, f'language = "{language}"\n{ALL_ON}')
    found = evaluate_all(connection, config, NOW)
    firing = {each.rule for each in found.evaluations if each.state == "firing"}
    assert firing == set(RULES)
    assert {each.rule for each in found.occurrences} == set(RULES)
    assert {each.rule for each in found.reports} == {"daily_pnl", "model_summary", "cost_summary"}
    charts = {each.rule for each in found.occurrences if (each.chart or b"").startswith(PNG)}
    assert charts == {"daily_loss", "daily_loss_paper", "model_drift", "feature_drift"}
    assert next(each for each in found.reports if each.rule == "daily_pnl").chart is not None
    for each in found.occurrences:
        assert each.level >= Level.WARNING
        assert each.title
        assert each.detail
        assert "\n" not in each.title
        assert each.action == f"alert-{each.rule.replace('_', '-')}"
    muted = {
        (each.incident.rule, each.verdict.why)
        for each in tell(connection, found, config, NOW)
        if not each.rows
    }
    assert muted == {("cloud_cost_near_budget", "inhibited"), ("api_latency", "inhibited")}
    assert len(outbox(connection)) == len(found.occurrences) - len(muted) + 3 + 1


def test_both_engines_compute_every_rule(alerts_engine, tmp_path):
    with alerts_engine.begin() as connection:
        everything_wrong(connection)
        found = evaluate_all(connection, config_of(tmp_path, ALL_ON), NOW)
    assert {each.rule for each in found.evaluations if each.state == "firing"} == set(RULES)


@pytest.mark.parametrize("error", [ValueError("no font"), OSError(28, "no space"), MemoryError()])
def test_an_alert_whose_chart_cannot_be_drawn_goes_out_without(connection, tmp_path, monkeypatch, error):
    def fails(*_: object, **__: object) -> bytes:
        raise error

    monkeypatch.setattr(rules.pictures, "measure_chart", fails)
    insert(connection, "model_drift", [drift("win_rate", "warning")])
    news = only(told(connection, config_of(tmp_path, only_rule("model_drift")), NOW))
    assert news.chart is None
    assert [row[0] for row in outbox(connection)] == ["opened"]


def test_a_chart_whose_rows_cannot_be_read_takes_nothing_along(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(rules.pictures, "_LOOKS", "SELECT 1/0 AS x")
    insert(connection, "model_drift", [drift("win_rate", "warning")])
    news = only(told(connection, config_of(tmp_path, only_rule("model_drift")), NOW))
    assert (news.rule, news.chart) == ("model_drift", None)


def test_looking_is_cheap_enough_for_every_five_seconds(connection, tmp_path):
    """A thousand trades, a look of two hundred measures a day, two markets: well below a second."""
    everything_wrong(connection)
    many = [trade(f"m{n}", 1.0, ended=NOW - n * 10 * MINUTE) for n in range(1000)]
    insert(connection, "trades", many)
    insert(
        connection,
        "model_drift",
        [drift(f"psi:{n}", "ok", at=NOW - day * DAY) for n in range(200) for day in range(10)],
    )
    config = config_of(tmp_path, ALL_ON)
    told(connection, config, NOW)
    statements = []
    sa.event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2].strip()))
    evaluate_all(connection, config, NOW + 10 * MINUTE)
    assert len(statements) < 250
    assert not [text for text in statements if text.startswith(("LOCK", "CREATE"))]
