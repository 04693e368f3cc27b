"""Summaries: once a day, of the day before, and none of nothing."""

from __future__ import annotations

import pytest
from rule_making import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TODAY,
    beats,
    config_of,
    drift,
    executed,
    insert,
    only,
    only_rule,
    outbox,
    results,
    told,
)

from itb_assets.observability.alerts.catalogue import MINUS
from itb_assets.observability.alerts.rules import evaluate_all
from itb_assets.observability.alerts.store import incidents

PNG = b"\x89PNG"


def test_summaries_are_told_once_a_day(connection, tmp_path):
    config = config_of(tmp_path, only_rule("daily_pnl"))
    rows = [*results(3, 1, ended=TODAY - HOUR), executed(9, -2.5, ended=TODAY - 2 * HOUR)]
    insert(connection, "trades", rows)
    early = TODAY + 9 * MINUTE
    assert evaluate_all(connection, config, early).reports == ()
    for now in (TODAY + 11 * MINUTE, TODAY + 12 * MINUTE, TODAY + 23 * HOUR):
        told(connection, config, now)
    assert evaluate_all(connection, config, TODAY + 23 * HOUR + 2 * MINUTE).reports == ()
    kind, level, message, chart = only(outbox(connection))
    assert (kind, level) == ("report", 10)
    assert message["title"] == "profit and loss of 10 Mar 2026"
    assert message["detail"].splitlines() == [
        f"binance_spot main BTCUSDT (executed): {MINUS}2.50 USDT, 0 of 1 won",
        "BTCUSDT 5m aggressive (on paper): +2.00 USDT, 3 of 4 won",
    ]
    assert bytes(chart).startswith(PNG)
    told(connection, config, TODAY + DAY + 11 * MINUTE)
    assert [row[2]["title"] for row in outbox(connection)][1:] == ["profit and loss of 11 Mar 2026"]
    assert outbox(connection)[1][2]["detail"] == "no trade ended"
    assert incidents(connection, open_only=False) == []


def test_after_a_week_off_one_day_is_summed_up(connection, tmp_path):
    config = config_of(tmp_path, only_rule("daily_pnl"))
    insert(connection, "trades", results(3, 1, ended=TODAY - HOUR))
    told(connection, config, TODAY + HOUR)
    told(connection, config, TODAY + 7 * DAY + HOUR)
    titles = [row[2]["title"] for row in outbox(connection)]
    assert titles == ["profit and loss of 10 Mar 2026", "profit and loss of 17 Mar 2026"]


def test_a_clock_that_was_a_year_ahead_keeps_no_summary_back(connection, tmp_path):
    """Nor is a day told twice when the clock is put back over it."""
    config = config_of(tmp_path, only_rule("daily_pnl"))
    for days in (0, 365):
        insert(connection, "trades", results(3, 1, ended=TODAY + days * DAY - HOUR))
    for days in (365, 0, 1, 0):
        told(connection, config, TODAY + days * DAY + HOUR)
    titles = [row[2]["title"] for row in outbox(connection)]
    assert titles == [f"profit and loss of {day}" for day in ("10 Mar 2027", "10 Mar 2026", "11 Mar 2026")]


@pytest.mark.parametrize("rule", ["daily_pnl", "model_summary", "cost_summary"])
def test_a_summary_of_nothing_is_not_sent_and_says_what_it_lacks(connection, tmp_path, rule):
    found = evaluate_all(connection, config_of(tmp_path, only_rule(rule)), NOW)
    assert found.reports == ()
    assert only(found.evaluations).state == "no_data"


@pytest.mark.parametrize("rule", ["daily_pnl", "model_summary", "cost_summary"])
def test_a_summary_waits_for_its_time(connection, tmp_path, rule):
    """What it would sum up is there; a minute before its time nothing is told, at its time it is."""
    insert(connection, "trades", results(3, 1, ended=TODAY - HOUR))
    insert(connection, "model_drift", [drift("win_rate", "ok", at=TODAY - HOUR)])
    said = {"month": "2026-03", "currency": "USD", "billed": 1, "billed_until": TODAY.isoformat()}
    beats(connection, "cloud_cost", age=MINUTE, **said)
    config = config_of(tmp_path, f'{only_rule(rule)}\n[rules.{rule}]\nat = "09:30"\n')
    early = evaluate_all(connection, config, TODAY + 9 * HOUR + 29 * MINUTE, due_only=False)
    assert early.reports == ()
    assert only(early.evaluations).detail == "due at 09:30 UTC"
    assert only(evaluate_all(connection, config, TODAY + 9 * HOUR + 30 * MINUTE).reports).rule == rule


def test_models_and_costs_are_summed_up(connection, tmp_path):
    insert(
        connection,
        "model_drift",
        [drift("win_rate", "ok", value=0.5712, n=210), drift("psi:x", "warning", value=0.2)],
    )
    beats(
        connection,
        "cloud_cost",
        age=MINUTE,
        month="2026-03",
        currency="USD",
        billed=100,
        billed_until="2026-03-11T00:00:00+00:00",
    )
    found = evaluate_all(connection, config_of(tmp_path, "[budget]\nUSD = 500\n"), NOW)
    details = {each.rule: each.detail for each in found.reports}
    assert details["model_summary"] == ("BTCUSDT 5m aggressive: drift in psi:x; won 57.1% of 210 live trades")
    assert details["cost_summary"] == (
        "100.00 USD in 2026-03, budget 500.00; at this pace 310.00 by the end of the month"
    )
