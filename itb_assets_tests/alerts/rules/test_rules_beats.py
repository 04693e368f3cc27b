"""Rules over heartbeats, bills and the outbox: what is silent, refused, slow, dear or stuck."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rule_making import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    beats,
    config_of,
    insert,
    kline,
    looked,
    market,
    only,
    only_rule,
    outbox,
    told,
)

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.observability.alerts.outbox import Draft, dead, enqueue, sent
from itb_assets.observability.alerts.state import beat
from itb_assets.observability.logs import register_secret

SECOND = timedelta(seconds=1)
FED = {
    "trading_halted": "trading",
    "dagster_silent": "dagster_events",
    "orderbook_stopped": "orderbook:",
    "api_authentication_failed": "api:",
    "api_latency": "api:",
    "log_delivery_lagging": "log_delivery",
    "cloud_cost_over_budget": "cloud_cost",
    "cloud_cost_near_budget": "cloud_cost",
}


@pytest.mark.parametrize(("rule", "beat"), FED.items())
def test_what_nothing_feeds_says_which_heartbeat_would(connection, rule, beat):
    beats(connection, "alerter", age=SECOND)
    found = only(looked(connection, rule))
    assert found.state == "no_data"
    assert f"`{beat}" in found.detail


@pytest.mark.parametrize(("age", "state"), [(120 * SECOND, "ok"), (121 * SECOND, "firing")])
def test_a_silent_trading_process_is_critical(connection, age, state):
    beats(connection, "trading:main", age=age)
    found = only(looked(connection, "trading_halted"))
    assert (found.state, found.level, found.labels) == (state, Level.CRITICAL, {"process": "trading:main"})


def test_a_trading_process_that_halted_says_why(connection):
    beats(connection, "trading", age=SECOND, halted="exchange\nrefuses orders")
    found = only(looked(connection, "trading_halted"))
    assert found.state == "firing"
    assert found.detail.startswith("exchange refuses orders")


@pytest.mark.parametrize("padding", [0, 185])
def test_what_a_heartbeat_says_is_told_without_secrets(connection, padding):
    """They are taken out before it is cut: half a secret would not be known."""
    register_secret("swordfish42")
    said = f"{'x' * padding} refused swordfish42 password=hunter22"
    beats(connection, "trading", age=SECOND, halted=said)
    beats(connection, "api:binance", age=SECOND, auth_error=said)
    for rule in ("trading_halted", "api_authentication_failed"):
        found = only(looked(connection, rule))
        assert found.state == "firing"
        assert "refused" in found.detail
        assert "swordf" not in found.detail
        assert "hunter22" not in found.detail


def test_trading_of_one_symbol_that_halts_mutes_the_warnings_of_that_symbol(connection, tmp_path):
    """They are told when it trades again, if they are still wrong."""
    config = config_of(tmp_path, only_rule("trading_halted", "data_stale"))
    market(connection)
    insert(connection, "ohlcv", [kline(NOW - HOUR)])
    beats(connection, "trading:main", age=SECOND, halted="no margin", symbol="BTCUSDT")
    told(connection, config, NOW)
    assert [row[2]["rule"] for row in outbox(connection)] == ["trading_halted"]
    beat(connection, "trading:main", NOW + MINUTE, {"symbol": "BTCUSDT"})
    told(connection, config, NOW + MINUTE)
    said = [(row[2]["rule"], row[2]["why"]) for row in outbox(connection)[1:]]
    assert said == [("trading_halted", "over"), ("data_stale", "unsaid")]


@pytest.mark.parametrize("nothing", [None, "", False])
def test_a_reason_that_is_none_is_no_halt(connection, nothing):
    beats(connection, "trading", age=SECOND, halted=nothing)
    assert only(looked(connection, "trading_halted")).state == "ok"


@pytest.mark.parametrize("name", ["trading:main", "main"])
def test_an_expected_process_is_missed_from_the_start(connection, tmp_path, name):
    config = config_of(tmp_path, f'[rules.trading_halted]\nexpected = ["{name}"]\n')
    found = only(looked(connection, "trading_halted", config))
    assert (found.state, found.labels) == ("firing", {"process": "trading:main"})
    beats(connection, "trading:main", age=SECOND)
    assert only(looked(connection, "trading_halted", config)).state == "ok"


def test_a_heartbeat_has_to_be_young_to_end_an_absence(connection):
    beats(connection, "trading", age=90 * SECOND)
    before = {fingerprint_of("trading_halted", {"process": "trading"})}
    assert only(looked(connection, "trading_halted")).state == "ok"
    assert only(looked(connection, "trading_halted", open=before)).state == "firing"


def test_a_name_that_only_begins_alike_is_another(connection):
    beats(connection, "tradingview", age=DAY)
    assert only(looked(connection, "trading_halted")).state == "no_data"


@pytest.mark.parametrize(("age", "state"), [(18 * SECOND, "ok"), (19 * SECOND, "firing")])
def test_without_a_reader_of_events_nothing_that_fails_would_be_told(connection, age, state):
    beats(connection, "dagster_events", age=age)
    found = only(looked(connection, "dagster_silent"))
    assert (found.state, found.level) == (state, Level.ERROR)


def test_a_daemon_that_is_expected_is_missed_from_the_start(connection, tmp_path):
    config = config_of(tmp_path, '[rules.dagster_silent]\nexpected = ["dagster_events"]\n')
    assert only(looked(connection, "dagster_silent", config)).state == "firing"


def test_a_silent_collector_is_told_by_its_symbol(connection):
    beats(connection, "orderbook:BTCUSDT", age=61 * SECOND)
    beats(connection, "orderbook:ETHUSDT", age=SECOND)
    found = {each.labels["symbol"]: each for each in looked(connection, "orderbook_stopped")}
    assert (found["BTCUSDT"].state, found["BTCUSDT"].level) == ("firing", Level.ERROR)
    assert found["ETHUSDT"].state == "ok"


def test_an_expected_collector_is_missed(connection, tmp_path):
    config = config_of(tmp_path, '[rules.orderbook_stopped]\nexpected = ["BTCUSDT"]\n')
    found = only(looked(connection, "orderbook_stopped", config))
    assert (found.state, found.labels) == ("firing", {"symbol": "BTCUSDT"})


def test_refused_credentials_are_critical_however_long_ago(connection):
    beats(connection, "api:binance", age=3 * HOUR, auth_error="401 Invalid API-key", calls=3)
    found = only(looked(connection, "api_authentication_failed"))
    assert (found.state, found.level) == ("firing", Level.CRITICAL)
    assert found.labels == {"api": "binance"}
    assert "401 Invalid API-key" in found.detail


def test_credentials_that_are_let_in_are_fine(connection):
    beats(connection, "api:binance", age=3 * HOUR, auth_error=None, calls=3)
    assert only(looked(connection, "api_authentication_failed")).state == "ok"


@pytest.mark.parametrize(("latency", "state"), [(1.0, "ok"), (1.01, "firing"), (0, "ok")])
def test_an_api_is_slow_above_one_second(connection, latency, state):
    beats(connection, "api:binance", age=SECOND, latency_p95_s=latency, calls=20)
    found = only(looked(connection, "api_latency"))
    assert (found.state, found.level, found.value) == (state, Level.WARNING, latency)


@pytest.mark.parametrize(
    ("age", "detail", "state"),
    [
        (SECOND, {"latency_p95_s": 9.0, "calls": 19}, "insufficient"),
        (6 * MINUTE, {"latency_p95_s": 9.0, "calls": 99}, "insufficient"),
        (SECOND, {"latency_p95_s": "slow", "calls": 99}, "no_data"),
        (SECOND, {"latency_p95_s": True, "calls": 99}, "no_data"),
        (SECOND, {"latency_p95_s": -1, "calls": 99}, "no_data"),
        (SECOND, {}, "no_data"),
    ],
)
def test_a_latency_of_too_few_calls_or_unread_is_never_green(connection, age, detail, state):
    beats(connection, "api:binance", age=age, **detail)
    assert only(looked(connection, "api_latency")).state == state


@pytest.mark.parametrize(
    ("age", "detail", "state"),
    [
        (SECOND, {"oldest_s": 600.0}, "ok"),
        (SECOND, {"oldest_s": 601.0}, "firing"),
        (9 * MINUTE, {"oldest_s": 0.0}, "ok"),
        (11 * MINUTE, {"oldest_s": 0.0}, "firing"),
        (SECOND, {}, "no_data"),
    ],
)
def test_log_lines_that_wait_for_long_are_told(connection, age, detail, state):
    beats(connection, "log_delivery", age=age, **detail)
    assert only(looked(connection, "log_delivery_lagging")).state == state


BUDGET = "[budget]\nUSD = 1000\n"
OVER, NEAR = "cloud_cost_over_budget", "cloud_cost_near_budget"


def bill(connection, billed, *, provider="azure", age=HOUR, **changes):
    """Write what a provider billed of this month."""
    said = {
        "month": "2026-03",
        "currency": "USD",
        "billed": billed,
        "billed_until": (NOW - age).isoformat(),
    }
    beats(connection, f"cloud_cost:{provider}", age=SECOND, **(said | changes))


@pytest.mark.parametrize(
    ("billed", "over", "near"),
    [(800, "ok", "ok"), (801, "ok", "firing"), (1000, "ok", "firing"), (1000.5, "firing", "firing")],
)
def test_cost_is_held_against_the_budget(connection, tmp_path, billed, over, near):
    config = config_of(tmp_path, BUDGET)
    bill(connection, billed)
    assert [only(looked(connection, rule, config)).state for rule in (OVER, NEAR)] == [over, near]
    found = only(looked(connection, OVER, config))
    assert (found.level, found.labels) == (Level.CRITICAL, {"currency": "USD"})
    assert "in 2026-03, budget 1,000.00" in found.detail


def test_providers_are_added_up_and_currencies_are_not(connection, tmp_path):
    bill(connection, 600)
    bill(connection, 600, provider="gcp")
    bill(connection, 5000, provider="other", currency="BRL")
    bill(connection, 5000, provider="old", month="2026-02")
    found = {each.labels["currency"]: each for each in looked(connection, OVER, config_of(tmp_path, BUDGET))}
    assert (found["USD"].state, found["USD"].value) == ("firing", pytest.approx(120.0))
    assert found["BRL"].state == "no_data"
    assert "[budget] BRL" in found["BRL"].detail


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"age": 49 * HOUR}, "insufficient"),
        ({"billed": "much"}, "no_data"),
        ({"billed": "NaN"}, "no_data"),
        ({"month": "March"}, "no_data"),
        ({"billed_until": "2026-03-11T12:00:00"}, "no_data"),
    ],
)
def test_an_old_or_unread_bill_is_never_green(connection, tmp_path, changes, state):
    bill(connection, **({"billed": 5000} | changes))
    for rule in (OVER, NEAR):
        assert only(looked(connection, rule, config_of(tmp_path, BUDGET))).state == state


def put_in(connection, age, channel="telegram"):
    """Let a message wait for so long."""
    draft = Draft(
        dedup_key=f"{channel} {age}", channel=channel, level=Level.ERROR, kind="test", message={"title": "t"}
    )
    return enqueue(connection, draft, now=NOW - age)


def test_messages_that_wait_for_a_minute_are_told_by_channel(connection):
    put_in(connection, 61 * SECOND)
    put_in(connection, SECOND, channel="slack")
    found = {each.labels["channel"]: each for each in looked(connection, "alert_delivery_lagging")}
    assert (found["telegram"].state, found["telegram"].value) == ("firing", 61.0)
    assert found["slack"].state == "ok"


def test_an_empty_outbox_is_fine(connection):
    found = only(looked(connection, "alert_delivery_lagging"))
    assert (found.state, found.value, found.labels) == ("ok", 0.0, {"channel": "telegram"})


def test_what_was_sent_or_given_up_waits_no_more(connection):
    sent(connection, [put_in(connection, 2 * HOUR)], "1", NOW)
    dead(connection, [put_in(connection, 3 * HOUR)], "400", NOW)
    found = only(looked(connection, "alert_delivery_lagging"))
    assert found.state == "ok"
    assert "1 given up" in found.detail
