"""A rule, a summary or a chart that fails in a way nobody thought of stops nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from rule_making import HOUR, NOW, TODAY, config_of, drift, insert, only, only_rule, outbox, results, told

from itb_assets.observability.alerts import rules
from itb_assets.observability.alerts.rules import evaluate_all
from itb_assets.observability.alerts.state import beat
from itb_assets.observability.logs import register_secret

UNTHOUGHT = [AttributeError("none"), ImportError("gone"), AssertionError(), MemoryError(), RuntimeError("x")]
MINUTE = timedelta(minutes=1)


def failing(error: Exception):
    """Return what fails however it is called."""

    def fails(*_: object, **__: object):
        raise error

    return fails


@pytest.mark.parametrize("error", UNTHOUGHT, ids=lambda error: type(error).__name__)
def test_a_rule_that_fails_in_any_way_is_broken_and_stops_no_other(connection, tmp_path, monkeypatch, error):
    config = config_of(tmp_path, only_rule("trading_halted", "data_stale", "daily_pnl", "rule_broken"))
    monkeypatch.setitem(rules.evaluate.RULES, "data_stale", failing(error))
    monkeypatch.setitem(rules.reports.REPORTS, "daily_pnl", failing(error))
    beat(connection, "trading", NOW, {"halted": "no margin"})
    news = told(connection, config, NOW)
    broken = {each.labels["watched"] for each in news if each.rule == "rule_broken"}
    assert broken == {"data_stale", "daily_pnl"}
    assert {each.rule for each in news} == {"trading_halted", "rule_broken"}
    assert all(type(error).__name__ in each.detail for each in news if each.rule == "rule_broken")


def test_a_picture_that_fails_in_any_way_leaves_the_alert(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(rules.evaluate, "picture", failing(AttributeError("none")))
    insert(connection, "model_drift", [drift("win_rate", "warning")])
    assert only(told(connection, config_of(tmp_path, only_rule("model_drift")), NOW)).chart is None


def test_a_summary_whose_chart_fails_in_any_way_goes_out_without(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(rules.pictures, "pnl_chart", failing(AttributeError("none")))
    insert(connection, "trades", results(3, 1, ended=TODAY - HOUR))
    told(connection, config_of(tmp_path, only_rule("daily_pnl", "rule_broken")), TODAY + 11 * MINUTE)
    assert [(row[0], row[3]) for row in outbox(connection)] == [("report", None)]


def test_a_lost_connection_is_no_broken_rule(connection, tmp_path, monkeypatch):
    lost = sa.exc.OperationalError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)
    monkeypatch.setitem(rules.evaluate.RULES, "data_stale", failing(lost))
    with pytest.raises(sa.exc.OperationalError):
        evaluate_all(connection, config_of(tmp_path, only_rule("data_stale", "rule_broken")), NOW)


def test_what_a_broken_rule_says_is_told_without_secrets(connection, tmp_path, monkeypatch):
    register_secret("swordfish42")
    error = RuntimeError("no login as itb:swordfish42 password=hunter22\nsecond line")
    monkeypatch.setitem(rules.evaluate.RULES, "data_stale", failing(error))
    news = only(told(connection, config_of(tmp_path, only_rule("data_stale", "rule_broken")), NOW))
    assert news.detail == "RuntimeError: no login as itb:*** password=***"
