"""A dead code server is one incident, and what is promised within seconds is looked at that often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rule_making import MINUTE, NOW, beats, insert, looked, only

from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.observability.alerts.config import load_config
from itb_assets.observability.alerts.rules.beats import SERVER_SAYS_ENOUGH, SETTLES_S
from itb_assets.orchestration.alerts.alerter import RULES_EVERY_S

SECOND = timedelta(seconds=1)
SERVER = {"server": "code"}
SILENT = {"process": "dagster_events"}


def server_gone(connection, *, ago, **changes) -> None:
    """Have the incident of a code server that does not answer opened so long ago."""
    labels = changes.pop("labels", SERVER)
    row = {
        "fingerprint": fingerprint_of("automation_failed", labels),
        "rule": "automation_failed",
        "level": 30,
        "labels": labels,
        "title": "Dagster's code server: does not answer",
        "detail": "",
        "occurrences": 1,
    }
    times = dict.fromkeys(("first_at", "last_at", "opened_at"), NOW - ago)
    insert(connection, "alert_incidents", [row | times | changes])


@pytest.mark.parametrize(
    ("ago", "changes", "state"),
    [
        (MINUTE, {}, "insufficient"),
        (SERVER_SAYS_ENOUGH - SECOND, {}, "insufficient"),
        (SERVER_SAYS_ENOUGH + SECOND, {}, "firing"),
        (MINUTE, {"resolved_at": NOW - SECOND}, "firing"),
        (MINUTE, {"labels": {"sensor": "alert_events"}}, "firing"),
    ],
)
def test_a_code_server_that_is_told_as_gone_is_not_told_as_silence_too(connection, ago, changes, state):
    beats(connection, "dagster_events", age=20 * SECOND)
    server_gone(connection, ago=ago, **changes)
    assert only(looked(connection, "dagster_silent")).state == state


def test_a_silence_that_was_told_goes_on_when_the_server_is_found_gone(connection):
    beats(connection, "dagster_events", age=20 * SECOND)
    server_gone(connection, ago=SECOND)
    told = frozenset({fingerprint_of("dagster_silent", SILENT)})
    assert only(looked(connection, "dagster_silent", open=told)).state == "firing"


@pytest.mark.parametrize(("age", "named"), [(20, True), (1, False)])
def test_a_silence_says_what_keeps_the_alerter_from_reading(connection, age, named):
    beats(connection, "dagster_events", age=age * SECOND)
    beats(connection, "alert_rules", age=SECOND, events_wait="the database dagster cannot be reached")
    assert ("the database dagster cannot" in only(looked(connection, "dagster_silent")).detail) == named


def test_a_sensor_that_looks_is_no_silence_whatever_the_server_did(connection):
    beats(connection, "dagster_events", age=SECOND)
    server_gone(connection, ago=MINUTE)
    assert only(looked(connection, "dagster_silent")).state == "ok"


@pytest.mark.parametrize(
    ("age", "since", "state"),
    [
        (60, 5, "insufficient"),
        (60, SETTLES_S, "insufficient"),
        (60, SETTLES_S + 1, "firing"),
        (8, 9, "firing"),
        (1, 5, "ok"),
    ],
)
def test_after_an_outage_those_that_live_have_a_moment_to_say_so(connection, age, since, state):
    beats(connection, "orderbook:BTCUSDT", age=age * SECOND)
    found = looked(connection, "orderbook_stopped", watched_since=NOW - since * SECOND)
    assert only(found).state == state


@pytest.mark.parametrize(("age", "state"), [(7 * SECOND, "ok"), (7.1 * SECOND, "firing")])
def test_a_collector_that_skipped_seven_beats_has_stopped(connection, age, state):
    beats(connection, "orderbook:BTCUSDT", age=age)
    assert only(looked(connection, "orderbook_stopped")).state == state


@pytest.mark.parametrize(
    ("rule", "median_s", "most_s"),
    [
        ("orderbook_stopped", 10, 30),
        ("model_drift", 10, 30),
        ("feature_drift", 10, 30),
        ("dagster_silent", 30, 30),
    ],
)
def test_what_is_told_within_seconds_is_looked_at_often_enough(rule, median_s, most_s):
    """From the cause to the message: the threshold, half a look or a whole one, a second of delivery."""
    settings = load_config().rule(rule)
    waits_s = getattr(settings, "threshold", 0.0) + 1
    look_s = max(settings.every.total_seconds(), RULES_EVERY_S)
    assert waits_s + look_s / 2 < median_s
    assert waits_s + look_s < most_s
