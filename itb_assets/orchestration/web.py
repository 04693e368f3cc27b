"""The Dagster web server and daemon as child processes of one command, stopped together.

What they serve is `itb_assets.definitions`; production runs them as services of their own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from itb_assets.errors import PortInUse, StorageError
from itb_assets.orchestration.instance import dagster_environment, running_instance
from itb_assets.settings import Settings

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 15
WORKSPACE = """load_from:
  - grpc_server:
      socket: {socket}
      location_name: itb_assets
"""


def serve_ui(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve the UI until interrupted; raise PortInUse when the address is taken."""
    with running_ui(settings) as (url, children):
        announce(url)
        with _interrupts():
            while all(child.poll() is None for child in children):
                time.sleep(0.5)
    codes = [child.returncode for child in children]
    if any(code not in (0, -signal.SIGTERM, -signal.SIGINT) for code in codes):
        raise StorageError(
            f"the web server or the daemon ended by itself (exit codes {codes}): see its output above"
        )


class _Stop(Exception):
    pass


@contextmanager
def _interrupts() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stop:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running_ui(settings: Settings) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start database, code server, daemon and web server; yield the address once it answers."""
    _refuse_taken(settings.host, settings.port)
    url = f"http://{settings.host}:{settings.port}"
    with ExitStack() as stack:
        ready, _ = stack.enter_context(running_instance(settings))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="itb-ui-")))
        code_socket, workspace = folder / "code.sock", folder / "workspace.yaml"
        workspace.write_text(WORKSPACE.format(socket=code_socket), "utf-8")
        environment = os.environ | dagster_environment(ready)
        children: list[subprocess.Popen[bytes]] = []
        stack.callback(_stop_all, children)
        children.append(
            _start(
                environment, "dagster", "api", "grpc", "-s", str(code_socket), "-m", "itb_assets.definitions"
            )
        )
        _wait(code_socket.exists, children, "the code server")
        children.append(_start(environment, "dagster-daemon", "run", "-w", str(workspace)))
        address = ("-h", settings.host, "-p", str(settings.port))
        children.append(_start(environment, "dagster-webserver", *address, "-w", str(workspace)))
        _wait(lambda: _answers(url), children, "the web server")
        yield url, children


def _start(environment: dict[str, str], program: str, *arguments: str) -> subprocess.Popen[bytes]:
    path = Path(sys.executable).with_name(program)
    return subprocess.Popen([str(path), *arguments], env=environment, start_new_session=True)  # noqa: S603 - ours


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(
                f"{host}:{port} cannot be listened on ({error.strerror}): "
                "stop what listens there, or pass another --port"
            ) from error


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=2).ok
    except requests.RequestException:
        return False


def _wait(ready: Callable[[], bool], children: list[subprocess.Popen[bytes]], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        dead = [child.returncode for child in children if child.poll() is not None]
        if dead or time.monotonic() > deadline:
            raise StorageError(f"{what} did not start in {START_TIMEOUT_S} s (ended: {dead}): see its output")
        time.sleep(0.2)


def _stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    for child in reversed(children):
        child.terminate()
    for child in children:
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
