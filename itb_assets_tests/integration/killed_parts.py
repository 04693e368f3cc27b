"""A deployment as three processes that are killed, stopped and started anew: code server, daemon, alerter.

Each runs what its service of compose runs. When that is done and what must come of it belongs to the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from failing_jobs import DAGSTER_YAML, instance_on, server_at
from outages import TOKEN, UNLIMITED, BotApi, asked, tables

PROGRAMS = Path(sys.executable).parent
WORKSPACE = "load_from:\n  - grpc_server:\n      socket: {socket}\n      location_name: itb_assets\n"
WORKS = """
SELECT count(*) FROM heartbeats WHERE name IN ('dagster_events', 'alert_rules', 'alerter') AND at > :began
"""
UP_S = 180.0


@dataclass
class Parts:
    """The processes by name, and how often each was killed."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)

    @property
    def commands(self) -> dict[str, list[str]]:
        """What each part is started by."""
        code = ["api", "grpc", "--socket", str(self.folder / "code.sock")]
        return {
            "code": ["dagster", *code, "--module-name", "itb_assets.definitions"],
            "daemon": ["dagster-daemon", "run", "--workspace", str(self.folder / "workspace.yaml")],
            "alerter": ["itb", "alerter"],
        }

    def start(self, name: str) -> None:
        """Start a part in a group of its own."""
        program, *arguments = self.commands[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(PROGRAMS / program), *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill a part and whatever it started, as a container is killed."""
        self._end(name)
        self.kills[name] = self.kills.get(name, 0) + 1

    def restart(self, name: str) -> None:
        """Start what was killed."""
        if name == "code":
            (self.folder / "code.sock").unlink(missing_ok=True)
        self.start(name)

    def hang(self, name: str) -> None:
        """Stop a part and whatever it started without ending it, until it goes on."""
        os.killpg(self.running[name].pid, signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let go on what hangs."""
        os.killpg(self.running[name].pid, signal.SIGCONT)

    def said(self) -> str:
        """Return the end of what each part wrote."""
        logs = [(name, self.folder / f"{name}.log") for name in self.running]
        return "\n".join(f"{name}: {log.read_text('utf-8', 'replace')[-1500:]}" for name, log in logs)

    def _end(self, name: str) -> None:
        part = self.running[name]
        with suppress(ProcessLookupError):
            os.killpg(part.pid, signal.SIGKILL)
        part.wait()


@contextmanager
def parts(folder: Path, **settings: str) -> Iterator[Parts]:
    """Run all three for the length of a block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ITB_", "DAGSTER_"))}
    folder.mkdir(exist_ok=True)
    shutil.copy(DAGSTER_YAML, folder / "dagster.yaml")
    (folder / "workspace.yaml").write_text(WORKSPACE.format(socket=folder / "code.sock"))
    own = {
        "DAGSTER_HOME": str(folder),
        "ITB_DATA_ROOT": str(folder / "data"),
        "ITB_SCHEDULES": "stopped",
        "OMP_NUM_THREADS": "1",
    }
    made = Parts(folder, kept | own | settings)
    try:
        for name in made.commands:
            made.start(name)
        yield made
    finally:
        for name in made.running:
            made._end(name)


@dataclass(frozen=True)
class Deployment:
    """The processes, our database and Dagster's, and the Bot API that they tell."""

    parts: Parts
    engine: sa.Engine
    dagster_engine: sa.Engine
    instance: dg.DagsterInstance
    bot: BotApi

    def until_all_work(self) -> None:
        """Wait until each part has said anew that it works."""
        began = datetime.now(UTC)
        until(lambda: asked(self.engine, WORKS, began=began) == [(3,)], UP_S, self.parts.said)


@contextmanager
def deployment(folder: Path) -> Iterator[Deployment]:
    """Run all three over a database server of their own for the length of a block."""
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
        yield Deployment(made, engine, dagster_engine, instance, bot)


def until(true: Callable[[], object], within_s: float, what: Callable[[], str]) -> None:
    """Wait until something is so; fail with `what` is to be known where it does not become so."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)
