"""Daemon, code server and alerter killed in the middle: each failure that was recorded is told just once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.test_utils import create_run_for_test
from failing_jobs import JOBS, failed_runs, run_one
from killed_parts import UP_S, Deployment, Parts, deployment, until
from outages import REPEAT, BotApi, asked

SEED = 11
TURNS = 3
TOLD = "SELECT split_part(event_id, ':', 2) FROM alert_events WHERE starts_with(event_id, 'dagster:')"
UNDER_WAY = "SELECT count(*) FROM job_ticks WHERE status = 'STARTED'"
LOST = "job_lost"


@dataclass
class Killed:
    """What was done and what is left of it."""

    parts: Parts
    engine: sa.Engine
    bot: BotApi
    failed: set[str]
    mid_tick: int


def fail_something(instance: dg.DagsterInstance, number: int) -> None:
    """Have a run fail at its step, or lose its process before it could say why."""
    if number % 5:
        run_one(instance, JOBS[number % len(JOBS)])
        return
    lost = create_run_for_test(instance, job_name=LOST, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(lost, "its process was killed")


@contextmanager
def failing(instance: dg.DagsterInstance) -> Iterator[None]:
    """Have runs fail at random moments for the length of a block."""
    over, draw = threading.Event(), random.Random(SEED)  # noqa: S311 - not secret

    def work() -> None:
        for number in range(10_000):
            fail_something(instance, number)
            if over.wait(draw.uniform(0.1, 0.8)):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def live_through(made: Deployment) -> int:
    """Kill each part in every turn, once all three work; return in the middle of how many ticks that was."""
    draw, mid_tick = random.Random(SEED), 0  # noqa: S311 - not secret
    for _ in range(TURNS):
        made.until_all_work()
        dead: set[str] = set()
        for name in draw.sample([*made.parts.commands], 3):
            time.sleep(draw.uniform(0.0, 1.5))
            if name != "alerter":
                wait_for_tick(made, surely=not dead - {"alerter"})
            made.parts.kill(name)
            dead.add(name)
            mid_tick += asked(made.dagster_engine, UNDER_WAY) != [(0,)]
        for name in made.parts.commands:
            made.parts.restart(name)
    return mid_tick


def wait_for_tick(made: Deployment, *, surely: bool) -> None:
    """Wait until a tick is under way; where daemon or code server is dead already there may be none."""
    with nullcontext() if surely else suppress(AssertionError):
        until(
            lambda: asked(made.dagster_engine, UNDER_WAY) != [(0,)],
            UP_S if surely else 6.0,
            made.parts.said,
        )


def told(engine: sa.Engine) -> list[str]:
    return [row[0] for row in asked(engine, TOLD)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Iterator[Killed]:
    """Return a deployment that was killed over and over, once all is quiet again."""
    with deployment(tmp_path_factory.mktemp("killed")) as made:
        with failing(made.instance):
            mid_tick = live_through(made)
        waits = "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL"
        until(
            lambda: (
                failed_runs(made.dagster_engine) <= set(told(made.engine))
                and asked(made.engine, waits) == [(0,)]
            ),
            UP_S,
            made.parts.said,
        )
        yield Killed(made.parts, made.engine, made.bot, failed_runs(made.dagster_engine), mid_tick)


@pytest.mark.slow
def test_every_part_was_killed_while_runs_failed(killed):
    assert killed.parts.kills == dict.fromkeys(("code", "daemon", "alerter"), TURNS)
    assert killed.mid_tick >= 1, "a tick that was seen may end before the kill, but not each time"
    assert len(killed.failed) > 5 * TURNS


@pytest.mark.slow
def test_every_failure_is_told_exactly_once(killed):
    found = told(killed.engine)
    assert set(found) >= killed.failed
    assert Counter(run for run in found if run in killed.failed) == Counter(killed.failed)
    counted = "SELECT sum(occurrences) FROM alert_incidents WHERE labels ->> 'job' = ANY(:jobs)"
    assert asked(killed.engine, counted, jobs=[*JOBS, LOST]) == [(len(killed.failed),)]


@pytest.mark.slow
def test_each_incident_is_one_message_or_a_marked_repeat(killed):
    for job in (*JOBS, LOST):
        said = [text for text in killed.bot.texts if job in text.split()]
        unmarked = [text for text in said if REPEAT not in text.lower()]
        assert len(unmarked) == 1, said
