"""A deployment as three processes that are killed and started anew: code server, daemon, alerter.

Each runs what its service of compose runs. When one is killed and what must come of it belongs to the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from failing_jobs import DAGSTER_YAML

PROGRAMS = Path(sys.executable).parent
WORKSPACE = "load_from:\n  - grpc_server:\n      socket: {socket}\n      location_name: itb_assets\n"


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


def until(true: Callable[[], object], within_s: float, what: Callable[[], str]) -> None:
    """Wait until something is so; fail with `what` is to be known where it does not become so."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)
