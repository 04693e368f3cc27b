"""Code server, daemon and web server of Dagster, and an alerter: children of one command, stopped together.

What they serve is `itb_assets.definitions`; production runs them as services of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import dagster as dg
import requests

from itb_assets.errors import DatabaseUnavailable, PortInUse, StorageError
from itb_assets.orchestration.alerts import metrics
from itb_assets.orchestration.alerts.channels import channels_of, config_of
from itb_assets.orchestration.alerts.ui import UiAlerts, ui_alerts
from itb_assets.orchestration.children import Child, start_child, stop_children, stop_requests
from itb_assets.orchestration.instance import dagster_environment, embedded_server, running_instance
from itb_assets.orchestration.orphans import cancel_runs, fail_orphans, socket_answers
from itb_assets.settings import Settings
from itb_assets.storage.disk.atomic import write_whole
from itb_assets.storage.layout import Layout
from itb_assets.storage.server.embedded import MAX_SOCKET_BYTES

START_TIMEOUT_S = 180
POLL_S = 0.2
WORKSPACE = """load_from:
  - grpc_server:
      socket: {socket}
      location_name: itb_assets
"""


@dataclass(frozen=True)
class Served:
    """The processes of a UI that answers, and where it does."""

    url: str
    children: tuple[Child, ...]
    settings: Settings
    alerts: UiAlerts

    def check(self) -> None:
        """Raise ProcessEnded or DatabaseUnavailable when a part of the whole is gone."""
        for child in self.children:
            child.check()
        self.alerts.look()
        root = self.settings.data_root
        server = embedded_server(self.settings)
        if self.settings.database_url is None and not server.status().running:
            raise DatabaseUnavailable(f"the embedded database of {root} was stopped: start `itb ui` again")


def serve_ui(settings: Settings, *, announce: Callable[[Served], None], verbose: bool = False) -> None:
    """Serve the UI until SIGINT, SIGTERM or SIGHUP; everything it started has ended when it returns.

    Raises PortInUse, and ConfigError for alerts that are set up wrongly, before anything is started;
    ProcessEnded when one of the servers ends by itself, after that was told.
    """
    with stop_requests() as stop, running_ui(settings, stop=stop, verbose=verbose) as served:
        if served is None:
            return
        announce(served)
        while not stop.wait(POLL_S):
            served.check()


@contextmanager
def running_ui(settings: Settings, *, stop: Event, verbose: bool = False) -> Iterator[Served | None]:
    """Start database, code server, daemon and web server; yield once the address answers.

    An alerter joins them where alerts have a channel, its rules silent until Dagster's events are read.
    Yields None when `stop` was set before that. With `verbose` the servers write to this terminal instead of
    `{data_root}/logs`.
    """
    _refuse_taken(settings.host, settings.port)
    url, layout = f"http://{settings.host}:{settings.port}", Layout(settings.data_root)
    address = _code_socket(layout)
    _refuse_wrong_alerts(settings)
    with ExitStack() as stack:
        ready, instance = stack.enter_context(running_instance(settings))
        alerts = stack.enter_context(ui_alerts(ready))
        fail_orphans(instance)
        place = {"ITB_HOST": settings.host, "ITB_PORT": str(settings.port)}
        environment = os.environ | dagster_environment(ready) | place
        start = _Start(stop, environment, None if verbose else layout.logs_dir)
        stack.callback(_stop, instance, address, start.children, alerts)
        stack.enter_context(alerts.telling_ends(start.children, start.last_alerter))
        up = start.code_server(address) and start.web(settings, _workspace(layout, address), url)
        if up:
            start.alerter(alerts)
            alerts.over(child.name for child in start.children)
        yield Served(url, tuple(start.children), settings, alerts) if up else None


def _code_socket(layout: Layout) -> Path:
    """Return where the code server listens: always the same place, for Dagster knows schedules by it."""
    address = layout.code_socket.resolve()
    if len(os.fsencode(address)) > MAX_SOCKET_BYTES:
        name = hashlib.sha256(os.fsencode(address)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"itb-ui-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
            raise StorageError(f"{folder} is not a folder that only you may enter: remove it")
        address = folder / "code.sock"
    if socket_answers(address):
        raise PortInUse(f"another `itb ui` serves {layout.root} already: use that one, or stop it first")
    address.unlink(missing_ok=True)
    return address


def _workspace(layout: Layout, address: Path) -> Path:
    path = layout.dagster_home / "workspace.yaml"
    write_whole(path, WORKSPACE.format(socket=json.dumps(str(address))).encode())
    return path


class _Start:
    """Starts the servers one after the other, each as soon as what it needs answers."""

    def __init__(self, stop: Event, environment: dict[str, str], logs: Path | None) -> None:
        self.children: list[Child] = []
        self._stop = stop
        self._environment = environment
        self._logs = logs

    def code_server(self, address: Path) -> bool:
        """Start what holds the assets and launches runs."""
        arguments = ("api", "grpc", "--socket", str(address), "--module-name", "itb_assets.definitions")
        self._child("code server", "dagster", *arguments)
        return self._wait(lambda: socket_answers(address))

    def web(self, settings: Settings, workspace: Path, url: str) -> bool:
        """Start daemon and web server side by side."""
        self._child("daemon", "dagster-daemon", "run", "--workspace", str(workspace))
        address = ("--host", settings.host, "--port", str(settings.port))
        self._child("web server", "dagster-webserver", *address, "--workspace", str(workspace))
        return self._wait(lambda: _answers(url))

    def alerter(self, alerts: UiAlerts) -> None:
        """Start what delivers alerts, where somebody is told."""
        if alerts.names:
            alerts.pause_rules()
            self._child("alerter", "itb", "alerter")

    def last_alerter(self) -> Child:
        """Start one that delivers what waits, and ends."""
        return start_child(
            "alerter at the end", "itb", "alerter", "--once", env=self._environment, logs=self._logs
        )

    def _child(self, name: str, program: str, *arguments: str) -> None:
        if not self._stop.is_set():
            self.children.append(
                start_child(name, program, *arguments, env=self._environment, logs=self._logs)
            )

    def _wait(self, ready: Callable[[], bool]) -> bool:
        """Return True when it answers, False when all is to stop."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._stop.is_set():
            for child in self.children:
                child.check(late=time.monotonic() > deadline)
            if ready():
                return True
            self._stop.wait(POLL_S)
        return False


def _stop(instance: dg.DagsterInstance, address: Path, children: list[Child], alerts: UiAlerts) -> None:
    """Let nothing new begin, cancel what runs, then end the rest; what delivers alerts goes last."""
    alerts.pause_rules()
    last = {name: [child for child in children if child.name == name] for name in ("code server", "alerter")}
    stop_children([child for child in children if child.name not in last])
    with cancel_runs(instance, address):
        stop_children(last["code server"])
    stop_children(last["alerter"])


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


def _refuse_wrong_alerts(settings: Settings) -> None:
    """Raise what the alerter would end with, and the whole UI with it."""
    config_of(settings)
    if not channels_of(settings):
        return
    if (settings.metrics_host, settings.metrics_port) == (settings.host, settings.port):
        raise PortInUse(f"ITB_METRICS_PORT {settings.port} is the port of the UI: choose another one")
    metrics.refuse_taken(settings)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=5).ok
    except requests.RequestException:
        return False
