"""A deployment on one machine, each part a process as in docker compose, and the Bot API it tells.

What is done to it belongs to `alert_latency_causes`; whoever starts it ends all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import alert_latency_gate
import server
import sqlalchemy as sa
from alert_latency_runs import opened_instance
from alert_latency_strategy import STRATEGY, VARIANT

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
PROGRAMS = Path(sys.executable).parent
TOKEN = "123456:AAof-no-bot-at-all"  # noqa: S105 - of no bot
GROUP = -1001
LOCATION = "itb_assets"
UP_S = 180.0
_ENTRY_POINT = "[itb_assets.features]\nlatency_gate = alert_latency_gate:Gate\n"
_METADATA = "Metadata-Version: 2.1\nName: alert-latency-gate\nVersion: 1.0\n"
_ENDS_S = 5.0
_LOOK_S = 0.05

T = TypeVar("T")


class Undone(Exception):
    """What was waited for did not come, or the benchmark is to end."""


@dataclass(frozen=True)
class Accepted:
    """A message that the Bot API took, and when it did."""

    at: float
    service: str
    text: str


@dataclass
class Inbox:
    """What the Bot API says, read as it says it."""

    messages: list[Accepted] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    address: dict[str, str] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, lines: Iterator[str], kept: Path) -> None:
        """Take line after line until there are none, and keep them in a file."""
        for line in lines:
            with kept.open("a", encoding="utf-8") as file:
                file.write(line)
            said = json.loads(line)
            with self._changed:
                if "at" in said:
                    self.messages.append(Accepted(**said))
                elif "refused" in said:
                    self.refusals.append(said["refused"])
                else:
                    self.address = said
                self._changed.notify_all()

    def first(self, wanted: Callable[[Accepted], bool]) -> Accepted | None:
        """Return the first message that is wanted."""
        with self._changed:
            return next(filter(wanted, self.messages), None)


@dataclass
class Deployment:
    """The parts by name, and the ways to what they share."""

    folder: Path
    environment: dict[str, str]
    url: str
    engine: sa.Engine
    inbox: Inbox
    ports: Mapping[str, int]
    ending: threading.Event = field(default_factory=threading.Event)
    parts: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def gates(self) -> alert_latency_gate.Gates:
        """Where steps wait."""
        return alert_latency_gate.Gates(self.folder / "gates")

    def start(self, name: str, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - those of Popen
        """Start a part in a group of its own; what it says goes to its log unless `stdout` is given."""
        with (self.folder / "logs" / f"{name}.log").open("a") as log:
            part = subprocess.Popen(
                list(map(str, command)),
                env=self.environment,
                cwd=self.folder,
                stderr=subprocess.STDOUT if "stdout" not in options else log,
                text=True,
                start_new_session=True,
                **({"stdout": log} | options),
            )
        self.parts[name] = part
        return part

    def start_code_server(self) -> None:
        """Start what docker compose calls `code`."""
        where = ["--host", "127.0.0.1", "--port", str(self.ports["code"])]
        what = ["--module-name", "itb_assets.definitions", "--location-name", LOCATION]
        self.start("code", [PROGRAMS / "dagster", "api", "grpc", *where, *what])

    def kill(self, name: str) -> float:
        """Send SIGKILL to a part, and return when."""
        part = self.parts[name]
        at = time.time()
        os.kill(part.pid, signal.SIGKILL)
        part.wait()
        return at

    def until(self, found: Callable[[], T | None], within_s: float, what: str) -> T:
        """Return what is found as soon as it is; raise Undone when that takes too long, or all is to end."""
        deadline = time.monotonic() + within_s
        while True:
            value = found()
            if value is not None and value is not False:
                return value
            if time.monotonic() > deadline:
                raise Undone(f"{what}: nothing within {within_s:g} s")
            if self.ending.wait(_LOOK_S):
                raise Undone("ended")

    def ask(self, statement: str, **values: object) -> Sequence[Any]:
        """Return the rows of a question to our database."""
        with self.engine.begin() as connection:
            result = connection.execute(sa.text(statement), values)
            return result.fetchall() if result.returns_rows else ()

    def lives(self) -> None:
        """Raise Undone naming a part that has ended, with the end of its log."""
        for name, part in self.parts.items():
            if part.poll() is not None:
                said = (self.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")[-2000:]
                raise Undone(f"{name} ended with {part.returncode}: {said}")

    def end(self) -> None:
        """End every part, and what they started: asked first, then killed."""
        self.ending.set()
        for part in self.parts.values():
            _signal(part, signal.SIGTERM)
        deadline = time.monotonic() + _ENDS_S
        for part in self.parts.values():
            with suppress(subprocess.TimeoutExpired):
                part.wait(max(0.1, deadline - time.monotonic()))
        for part in self.parts.values():
            _signal(part, signal.SIGKILL)
            part.wait()


def _signal(part: subprocess.Popen[str], number: int) -> None:
    """Signal a part's whole group, which may have members when the part itself is gone."""
    with suppress(ProcessLookupError):
        os.killpg(part.pid, number)


@contextmanager
def deployed(
    base: Path, prepared: Mapping[str, Sequence[str]], say: Callable[[str], None]
) -> Iterator[Deployment]:
    """Run a deployment over data that was prepared, up and watched, until the block ends."""
    with ExitStack() as stack:
        say("starting PostgreSQL")
        postgres = stack.enter_context(server.running(base, {"autovacuum": "on"}))
        urls = {name: postgres.database(name) for name in ("itb", "dagster")}
        engine = sa.create_engine(urls["itb"], pool_size=8)
        stack.callback(engine.dispose)
        inbox, ports = Inbox(), {name: _free_port() for name in ("code", "webserver")}
        for folder in ("logs", "gates", "home", "plugin", "strategies", "data"):
            (base / folder).mkdir()
        made = Deployment(base, _environment(base, urls, ports), urls["itb"], engine, inbox, ports)
        stack.callback(made.end)
        _write_files(base, ports["code"])
        _start_outside(made)
        say("preparing markets")
        _prepare(made, prepared)
        say("starting the deployment")
        _start_parts(made)
        yield made


def _environment(base: Path, urls: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """Return the environment of docker compose, with the exchange out of reach and one thread a process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ITB_", "DAGSTER_"))}
    return kept | {
        "DAGSTER_HOME": str(base / "home"),
        "ITB_DAGSTER_URL": urls["dagster"],
        "ITB_DATABASE_URL": urls["itb"],
        "ITB_DATA_ROOT": str(base / "data"),
        "ITB_STRATEGIES_DIR": str(base / "strategies"),
        "ITB_FREQS": "1h",
        "ITB_SCHEDULES": "stopped",
        "ITB_BINANCE_URL": "http://127.0.0.1:9",
        "ITB_BINANCE_ARCHIVE": str(base / "no archive"),
        "ITB_PORT": str(ports["webserver"]),
        "ITB_TELEGRAM_TOKEN": TOKEN,
        "ITB_TELEGRAM_CHAT": str(GROUP),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(base / "plugin"), os.environ.get("PYTHONPATH")))),
        alert_latency_gate.FOLDER: str(base / "gates"),
    }


def _write_files(base: Path, port: int) -> None:
    """Write what a deployment has as files: Dagster's configuration, a strategy, a package of features."""
    shutil.copy(PROJECT / "dagster.yaml", base / "home")
    (base / "workspace.yaml").write_text(
        "load_from:\n  - grpc_server:\n"
        f"      host: 127.0.0.1\n      port: {port}\n      location_name: {LOCATION}\n",
        "utf-8",
    )
    (base / "strategies" / f"{VARIANT}.jsonc").write_text(json.dumps(STRATEGY), "utf-8")
    shutil.copy(HERE / "alert_latency_gate.py", base / "plugin")
    package = base / "plugin" / "alert_latency_gate-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(_METADATA, "utf-8")
    (package / "entry_points.txt").write_text(_ENTRY_POINT, "utf-8")


def _start_outside(made: Deployment) -> None:
    command = [sys.executable, HERE / "alert_latency_outside.py", TOKEN, str(GROUP)]
    part = made.start("outside", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    given = (part.stdout, made.folder / "logs" / "messages.jsonl")
    threading.Thread(target=made.inbox.read, args=given, daemon=True).start()
    address = made.until(lambda: made.inbox.address or None, UP_S, "the Bot API")
    made.environment |= {"ITB_TELEGRAM_URL": address["url"], "ITB_SLACK_URL": address["slack_url"]}


def _prepare(made: Deployment, prepared: Mapping[str, Sequence[str]]) -> None:
    given = json.dumps({**prepared, "variant": VARIANT})
    part = made.start("prepare", [sys.executable, HERE / "alert_latency_prepare.py", given])
    made.until(lambda: part.poll() is not None or None, 2 * UP_S, "the prepared markets")
    if part.returncode:
        made.lives()
    del made.parts["prepare"]


def _start_parts(made: Deployment) -> None:
    workspace = ["--workspace", made.folder / "workspace.yaml"]
    with opened_instance(made.folder / "home", made.environment["ITB_DAGSTER_URL"]):
        pass  # makes Dagster's tables: parts that begin at once would do so at once
    made.start_code_server()
    made.start("alerter", [PROGRAMS / "itb", "alerter"])
    made.start("daemon", [PROGRAMS / "dagster-daemon", "run", *workspace])
    where = ["--host", "127.0.0.1", "--port", str(made.ports["webserver"])]
    made.start("webserver", [PROGRAMS / "dagster-webserver", *workspace, *where])
    beats = "SELECT name FROM heartbeats WHERE name IN ('dagster_events', 'alert_rules', 'alerter')"

    def up() -> bool:
        made.lives()
        return len(made.ask(beats)) == 3

    made.until(up, UP_S, "the heartbeats of sensor, rules and dispatcher")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
