"""Serves `/metrics` to Prometheus and `/healthz` to probes, beside the alerter and in threads of its own.

What is measured belongs to `observability.alerts.metrics`, who has to be alive to `pulse`.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from itb_assets.errors import ConfigError, PortInUse
from itb_assets.observability.alerts.metrics import AlertMetrics, limit_reading
from itb_assets.observability.alerts.sessions import DATABASE_ERRORS, in_short
from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alerts.pulse import ALERTER, pulses, quick_engine
from itb_assets.settings import Settings

METRICS, HEALTH = "/metrics", "/healthz"
_TEXT = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


@contextmanager
def metrics_served(settings: Settings, database: sa.URL, channels: Sequence[str]) -> Iterator[str | None]:
    """Answer Prometheus for the length of a block; yield the address, None where no port is set.

    It reads over connections of its own: whatever happens here, delivery does not wait. Raises PortInUse
    for a port that somebody else has, ConfigError for an address that is none of this machine.
    """
    if settings.metrics_port is None:
        yield None
        return
    engine = quick_engine(database)
    server = _opened(settings.metrics_host, settings.metrics_port)
    server.answers = Answers(engine, channels)
    worker = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
    worker.start()
    try:
        yield f"http://{_shown(settings.metrics_host)}:{server.server_address[1]}{METRICS}"
    finally:
        server.shutdown()
        server.server_close()
        worker.join()
        engine.dispose()


def refuse_taken(settings: Settings) -> None:
    """Raise what `metrics_served` would, of an address that it could not listen on."""
    if settings.metrics_port is not None:
        _opened(settings.metrics_host, settings.metrics_port).server_close()


class Answers:
    """What is answered to whom; each answer is made anew."""

    def __init__(self, engine: sa.Engine, channels: Sequence[str]) -> None:
        """Read over connections of this engine."""
        self._engine = engine
        self._registry = CollectorRegistry()
        self._registry.register(AlertMetrics(engine.connect, _now, channels=channels))

    def to(self, path: str, accept: str) -> Answer:
        """Return what a path says: status, type and text."""
        paths: dict[str, Callable[[str], Answer]] = {METRICS: self._metrics, HEALTH: self._health}
        answer = paths.get(path.partition("?")[0])
        if answer is None:
            return HTTPStatus.NOT_FOUND, _TEXT, f"there is {METRICS} and {HEALTH}\n".encode()
        return answer(accept)

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return HTTPStatus.OK, content_type, encode(self._registry)

    def _health(self, _accept: str) -> Answer:
        """Say whether both loops of an alerter live, this one's or another's of the same database."""
        try:
            with closing(self._engine.connect()) as connection, connection.begin():
                limit_reading(connection)
                found = [pulse for pulse in pulses(connection, _now()) if pulse.name in ALERTER]
        except DATABASE_ERRORS:
            return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"the database does not answer\n"
        status = HTTPStatus.OK if all(pulse.fresh for pulse in found) else HTTPStatus.SERVICE_UNAVAILABLE
        said = "".join(f"{pulse.name}: {pulse.words}\n" for pulse in found)
        return status, _TEXT, said.encode()


class _Server(ThreadingHTTPServer):
    """A server that a client who leaves early does not make shout."""

    allow_reuse_address = True
    answers: Answers

    def server_bind(self) -> None:
        """Take the address without asking a name server who that is, as the library does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """Keep it short: one that asked is gone."""
        get_logger().debug("a scrape ended early")


class _Asked(BaseHTTPRequestHandler):
    """One question; whoever is slow to ask it is left."""

    timeout = 10.0
    server: _Server
    server_version, sys_version = "itb", ""

    def do_GET(self) -> None:
        """Answer one question."""
        try:
            status, content_type, body = self.server.answers.to(self.path, self.headers.get("Accept", ""))
        except Exception as error:  # noqa: BLE001 - the next scrape may do better
            get_logger().warning("no metrics: {}", redact(in_short(error)))
            status, content_type, body = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"see the log\n"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def _opened(host: str, port: int) -> _Server:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        kind = type("_Server", (_Server,), {"address_family": family})
        server: _Server = kind(address[:2], _Asked)
    except OSError as error:
        raise _refused(host, port, error) from error
    return server


def _refused(host: str, port: int, error: OSError) -> PortInUse | ConfigError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} of {host} is in use, perhaps by another alerter: choose another ITB_METRICS_PORT"
        )
    why = error.strerror or str(error)
    problem = (
        f"ITB_METRICS_HOST {host!r}, ITB_METRICS_PORT {port} cannot be listened on ({why}): "
        "expected an address of this machine and a port that is not reserved"
    )
    return ConfigError([problem])


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _now() -> datetime:
    return datetime.now(UTC)
