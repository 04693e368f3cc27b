"""A code server that hangs without ending: that is told, and told to be over once it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from killed_parts import UP_S, Deployment, deployment, until
from outages import asked

TITLES = ("Dagster's daemon or code server is gone", "Dagster's code server is gone")
"""By silence or by a tick that got no answer: which is noticed first depends on the moment."""

UNSETTLED = """
SELECT (SELECT count(*) FROM alert_incidents WHERE resolved_at IS NULL)
    + (SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL)
"""
OVER_EARLY = """
SELECT count(*) FROM alert_incidents
WHERE rule IN ('dagster_silent', 'automation_failed') AND opened_at > :hung AND resolved_at < :went_on
"""
LOOKED = "SELECT count(*) FROM heartbeats WHERE name = 'dagster_events' AND at > :since"


@pytest.fixture
def made(tmp_path) -> Iterator[Deployment]:
    """Return a deployment of which all parts work, and of which nothing is wrong."""
    with deployment(tmp_path) as running:
        running.until_all_work()
        settles(running)
        yield running


def settles(made: Deployment) -> None:
    """Wait until nothing is open and nothing waits to be sent."""
    until(lambda: asked(made.engine, UNSETTLED) == [(0,)], UP_S, made.parts.said)


def says(texts: list[str], *, over: bool) -> bool:
    """Return whether a message tells of the code server, or that it is over."""
    return any(title in text and ("RESOLVED" in text) == over for title in TITLES for text in texts)


@pytest.mark.slow
def test_a_code_server_that_hangs_is_told_and_is_over_once_it_goes_on(made):
    before, code = len(made.bot.texts), made.parts.running["code"]
    hung = datetime.now(UTC)
    made.parts.hang("code")
    until(lambda: says(made.bot.texts[before:], over=False), UP_S, made.parts.said)
    assert code.poll() is None, "it hangs, and has not ended"

    went_on = datetime.now(UTC)
    made.parts.go_on("code")
    until(lambda: asked(made.engine, LOOKED, since=went_on) == [(1,)], UP_S, made.parts.said)
    until(lambda: says(made.bot.texts[before:], over=True), UP_S, made.parts.said)
    settles(made)
    assert asked(made.engine, OVER_EARLY, hung=hung, went_on=went_on) == [(0,)]
    assert code.poll() is None, "it is the same one"
