"""Where something is wrong, and under which head: as a person reads it who was asleep a minute ago."""

from __future__ import annotations

import doctest

import pytest
from bot_html import shown_text
from message_making import Waiting, data_stale

from itb_assets.observability.alerts import places
from itb_assets.observability.alerts.digest import digest
from itb_assets.observability.alerts.messages import render
from itb_assets.observability.alerts.places import where


def lines(kind, message, language="en"):
    """Return what a person sees."""
    return shown_text(render(kind, message, language)).replace("\xa0", " ").splitlines()


def test_what_nobody_watches_any_more_is_not_called_resolved():
    """At three in the morning RESOLVED would be read as: it trades again."""
    gone = data_stale(
        rule="trading_halted", title="trading halted", why="gone", detail="not watched any more"
    )
    assert lines("resolved", gone)[0] == "⏹️ NOT WATCHED ANY MORE: Trading halted"
    assert lines("resolved", gone, "pt")[0] == "⏹️ NÃO É MAIS OBSERVADO: Trading halted"
    assert "not watched any more" in lines("resolved", gone)
    both = digest([Waiting(gone, kind="resolved"), Waiting(data_stale(), kind="resolved")])
    assert shown_text(both).startswith("⏹️ 2 alerts: 1 NOT WATCHED ANY MORE, 1 RESOLVED")


def test_a_code_server_that_is_gone_is_no_failed_sensor():
    gone = data_stale(
        rule="automation_failed", labels={"server": "code"}, title="Dagster's code server: does not answer"
    )
    assert lines("opened", gone)[:2] == ["⚠️ WARNING: Dagster's code server is gone", "code server"]
    assert lines("opened", gone, "pt")[:2] == [
        "⚠️ ATENÇÃO: O servidor de código do Dagster caiu",
        "servidor de código",
    ]


def test_what_it_is_about_is_said_in_the_language_and_once():
    labels = {
        "symbol": "BTCUSDT",
        "job": "__ASSET_JOB",
        "asset": "models/brisk/gb/high_20",
        "algo": "gb",
        "check": "gaps",
    }
    assert where(labels) == "BTCUSDT · models/brisk/gb/high_20 · assets picked by hand · check gaps"
    assert where(labels, language="pt").endswith("· assets escolhidos à mão · verificação gaps")
    assert (
        where({"process": "trading", "watched": "data_stale"}, language="pt")
        == "processo trading · regra data_stale"
    )
    assert doctest.testmod(places).failed == 0


@pytest.mark.parametrize("title", ["order-book collection stopped", "data are late"])
def test_a_heading_begins_with_a_capital(title):
    assert lines("opened", data_stale(rule="other", title=title))[0] == f"⚠️ WARNING: {title.capitalize()}"
