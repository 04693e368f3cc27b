"""Daemon, code server and alerter killed in the middle: each failure that was recorded is told just once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.test_utils import create_run_for_test
from failing_jobs import JOBS, failed_runs, instance_on, run_one, server_at
from killed_parts import Parts, parts, until
from outages import REPEAT, TOKEN, UNLIMITED, BotApi, asked, tables

SEED = 11
TURNS = 3
TOLD = "SELECT split_part(event_id, ':', 2) FROM alert_events WHERE starts_with(event_id, 'dagster:')"
WORKS = """
SELECT count(*) FROM heartbeats WHERE name IN ('dagster_events', 'alert_rules', 'alerter') AND at > :began
"""
UNDER_WAY = "SELECT count(*) FROM job_ticks WHERE status = 'STARTED'"
LOST = "job_lost"
UP_S = 180.0


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


def live_through(made: Parts, engine: sa.Engine, dagster_engine: sa.Engine) -> int:
    """Kill each part in every turn, once all three work; return in the middle of how many ticks that was."""
    draw, mid_tick = random.Random(SEED), 0  # noqa: S311 - not secret
    for _ in range(TURNS):
        began = datetime.now(UTC)
        until(lambda began=began: asked(engine, WORKS, began=began) == [(3,)], UP_S, made.said)
        dead: set[str] = set()
        for name in draw.sample([*made.commands], 3):
            time.sleep(draw.uniform(0.0, 1.5))
            if name != "alerter":
                wait_for_tick(made, dagster_engine, surely=not dead - {"alerter"})
            made.kill(name)
            dead.add(name)
            mid_tick += asked(dagster_engine, UNDER_WAY) != [(0,)]
        for name in made.commands:
            made.restart(name)
    return mid_tick


def wait_for_tick(made: Parts, dagster_engine: sa.Engine, *, surely: bool) -> None:
    """Wait until a tick is under way; where daemon or code server is dead already there may be none."""
    with nullcontext() if surely else suppress(AssertionError):
        until(lambda: asked(dagster_engine, UNDER_WAY) != [(0,)], UP_S if surely else 6.0, made.said)


def told(engine: sa.Engine) -> list[str]:
    return [row[0] for row in asked(engine, TOLD)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Iterator[Killed]:
    """Return a deployment that was killed over and over, once all is quiet again."""
    folder: Path = tmp_path_factory.mktemp("killed")
    with ExitStack() as stack:
        server = stack.enter_context(server_at(folder / "postgres"))
        for name in ("itb", "dagster"):
            server.ensure_database(name)
        engine = stack.enter_context(tables(server.url("itb")))
        dagster_engine = sa.create_engine(server.url("dagster"), poolclass=sa.NullPool)
        bot = stack.enter_context(BotApi(TOKEN, limits=UNLIMITED))
        instance = stack.enter_context(instance_on(server.url("dagster"), folder / "instance"))
        made = stack.enter_context(
            parts(
                folder / "home",
                ITB_DATABASE_URL=server.url("itb"),
                ITB_DAGSTER_URL=server.url("dagster"),
                ITB_TELEGRAM_TOKEN=TOKEN,
                ITB_TELEGRAM_CHAT="42",
                ITB_TELEGRAM_URL=bot.url,
            )
        )
        with failing(instance):
            mid_tick = live_through(made, engine, dagster_engine)
        waits = "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL"
        until(
            lambda: failed_runs(dagster_engine) <= set(told(engine)) and asked(engine, waits) == [(0,)],
            UP_S,
            made.said,
        )
        yield Killed(made, engine, bot, failed_runs(dagster_engine), mid_tick)


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
