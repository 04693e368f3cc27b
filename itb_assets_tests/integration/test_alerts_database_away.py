"""The database killed while causes are written, read and sent: what Dagster knows is told after, once.

`ITB_TEST_OUTAGE_S=60` makes it a whole minute.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster_postgres.utils import DagsterPostgresException
from failing_jobs import JOBS, failed_runs, instance_on, kill, reader, run_one, server_at, teller, tellers
from outages import (
    REPEAT,
    TOKEN,
    UNLIMITED,
    BotApi,
    all_sent,
    asked,
    cause,
    dispatching,
    eventually,
    named,
    tables,
    telegram,
    told,
)

from itb_assets.errors import DatabaseUnavailable
from itb_assets.orchestration.killed_runs import fail_killed
from itb_assets.storage.server.embedded import EmbeddedPostgres

OUTAGE_S = float(os.environ.get("ITB_TEST_OUTAGE_S", "5"))
TOLD = "SELECT split_part(event_id, ':', 2) FROM alert_events WHERE starts_with(event_id, 'dagster:')"
PEOPLE = 3
AWAY = (DatabaseUnavailable, sa.exc.DBAPIError, DagsterPostgresException)
"""What a look raises while a database is away; the last after tries of Dagster's own."""


@dataclass
class Work:
    """What goes on before, during and after, in threads that outlive what fails."""

    engine: sa.Engine
    instance: dg.DagsterInstance
    url: str
    stop: threading.Event = field(default_factory=threading.Event)
    runs: list[str] = field(default_factory=list)
    not_run: int = 0
    written: list[int] = field(default_factory=list)
    not_written: int = 0
    looks: list[bool] = field(default_factory=list)
    longest_look_s: float = 0.0

    def run(self) -> None:
        """Have runs fail, each telling so by itself, one after the other."""
        for number in range(10_000):
            if self.stop.wait(0.1):
                return
            name = JOBS[number % len(JOBS)]
            try:
                tellers[:] = [teller(self.url)]  # one that could not tell is silent from then on
                self.runs.append(run_one(self.instance, name))
            except Exception:  # noqa: BLE001 - whatever Dagster makes of a database that is away
                self.not_run += 1

    def write(self, of: int) -> None:
        """Report causes of one's own until each is written: whoever has no other record tries again."""
        for number in range(of, 1_000_000, PEOPLE):
            if self.stop.wait(0.1):
                return
            while True:
                now = datetime.now(UTC)
                try:
                    told(self.engine, cause(number, now), now)
                    self.written.append(number)
                    break
                except sa.exc.DBAPIError:
                    self.not_written += 1
                    time.sleep(0.1)

    def look(self) -> None:
        """Read Dagster's events as the sensor and the alerter do, through whatever fails."""
        opened = reader(self.url)
        while not self.stop.wait(0.2):
            began = time.monotonic()
            try:
                opened.look(self.instance)
                self.looks.append(True)
            except AWAY:
                self.looks.append(False)
            self.longest_look_s = max(self.longest_look_s, time.monotonic() - began)
        with suppress(*AWAY):
            opened.look(self.instance)
        opened.writer.close()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Do all of it for the length of a block."""
        targets = [self.run, self.look, *(lambda of=of: self.write(of) for of in range(PEOPLE))]
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)
            assert not any(thread.is_alive() for thread in threads)


@dataclass
class Lived:
    """What is left after it."""

    work: Work
    bot: BotApi
    failed: set[str]
    told: list[str]


@pytest.fixture(scope="module", params=["ours", "both"])
def lived(request, tmp_path_factory) -> Iterator[Lived]:
    """Live through it, once with Dagster's records elsewhere, once with both on the server that is killed."""
    folder: Path = tmp_path_factory.mktemp("away")
    with ExitStack() as stack:
        server = stack.enter_context(server_at(folder / "ours"))
        other = server if request.param == "both" else stack.enter_context(server_at(folder / "dagsters"))
        server.ensure_database("alerts")
        other.ensure_database("dagster")
        url, dagster_url = server.url("alerts"), other.url("dagster")
        engine = stack.enter_context(tables(url))
        instance = stack.enter_context(instance_on(dagster_url, folder / "home"))
        dagster_engine = sa.create_engine(dagster_url, poolclass=sa.NullPool)
        bot = stack.enter_context(BotApi(TOKEN, limits=UNLIMITED))
        work = Work(engine, instance, url)
        with dispatching(engine, telegram(bot)):
            with work.going_on():
                live_through(server, random.Random(request.param), work)  # noqa: S311 - not secret
            eventually(
                lambda: failed_runs(dagster_engine) <= set(events(engine)) or look_again(work), within_s=60
            )
            all_sent(engine, within_s=60)
        yield Lived(work, bot, failed_runs(dagster_engine), events(engine))
        tellers.clear()


def live_through(server: EmbeddedPostgres, draw: random.Random, work: Work) -> None:
    """Kill the server twice in the middle of the work; the first time it stays away."""
    eventually(lambda: len(work.runs) > 3, within_s=60)
    for away_s in (OUTAGE_S, 0.5):
        time.sleep(draw.uniform(0.3, 1.3))
        kill(server)
        time.sleep(away_s)
        server.start()
        seen = len(work.runs)
        eventually(lambda seen=seen: len(work.runs) > seen + 2 and work.looks[-1], within_s=60)


def look_again(work: Work) -> bool:
    reader(work.url).look(work.instance)
    return False


def events(engine: sa.Engine) -> list[str]:
    return [row[0] for row in asked(engine, TOLD)]


def test_it_was_away_in_the_middle_of_everything(lived):
    assert lived.work.not_written > PEOPLE
    # Dagster itself tries for seconds, and so a look may last until the database is back
    assert False in lived.work.looks or lived.work.longest_look_s > OUTAGE_S / 2
    assert len(lived.failed) >= 6


def test_every_failure_that_dagster_recorded_is_told_once(lived):
    assert set(lived.told) >= lived.failed
    assert len(lived.told) == len(set(lived.told))
    (counted,) = asked(
        lived.work.engine, "SELECT sum(occurrences) FROM alert_incidents WHERE rule = 'run_failed'"
    )
    assert counted[0] == len(set(lived.told))


def test_what_was_told_without_dagster_is_a_failure_that_happened(lived):
    """Told by its own process, though Dagster's database was gone a moment later."""
    unknown = set(lived.told) - lived.failed
    assert len(unknown) <= lived.work.not_run


def test_every_cause_that_was_written_arrives_once_or_is_marked(lived):
    said = named(lived.bot.sent)
    assert {f"case-{number}" for number in lived.work.written} <= set(said)
    twice = {case for case, count in said.items() if count > 1}
    marked = named(message for message in lived.bot.sent if REPEAT in message.text.lower())
    assert twice <= set(marked)


def test_nothing_waits_and_nothing_is_given_up(lived):
    assert asked(lived.work.engine, "SELECT count(*) FROM alert_outbox WHERE sent_at IS NULL") == [(0,)]


CHILD = """
import sys
from pathlib import Path
sys.path.append({here!r})
import dagster as dg
from failing_jobs import QUIET, instance_on
from itb_assets.orchestration.killed_runs import process_tag

@dg.op
def waits():
    print("under way", flush=True)
    sys.stdin.readline()
    raise ValueError("it failed while nobody could write that down")

@dg.job(executor_def=dg.in_process_executor)
def told_later():
    waits()

with instance_on({url!r}, Path({home!r})) as instance:
    told_later.execute_in_process(instance=instance, run_config=QUIET, tags=process_tag())
"""


def test_a_run_that_failed_while_dagster_could_not_record_it_is_found_and_told(tmp_path):
    """Its process is gone, so the next look at runs under way fails it, and that is told."""
    with server_at(tmp_path / "both") as server:
        server.ensure_database("alerts")
        server.ensure_database("dagster")
        url, dagster_url, home = server.url("alerts"), server.url("dagster"), tmp_path / "home"
        with tables(url) as engine, instance_on(dagster_url, home) as instance:
            program = CHILD.format(here=str(Path(__file__).parent), url=dagster_url, home=str(home))
            child = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert child.stdout is not None
            assert child.stdout.readline() == "under way\n"
            kill(server)
            child.communicate("go on\n", timeout=60)
            server.start()
            assert fail_killed(instance) == 1
            reader(url).look(instance)
            (row,) = asked(engine, "SELECT rule, labels, detail FROM alert_incidents")
            assert (row.rule, row.labels) == ("run_failed", {"job": "told_later"})
            assert "killed" in row.detail
