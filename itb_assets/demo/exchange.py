"""The demo exchange's server: loopback HTTP with keep-alive, in threads, started and stopped by `with`.

What it answers belongs to `api` (REST) and `zips` (archive); what it can do wrong to `faults`.
"""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from itb_assets.demo.api import Api, Reply
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import InventedVenue, Venue
from itb_assets.demo.recorded import RecordedVenue
from itb_assets.demo.zips import Archive, InventedArchive, RecordedArchive, serve_archive
from itb_assets.errors import InputError, PortInUse
from itb_assets.sources.protocol import NowMs, system_now_ms

DEMO_429_EVERY = 8
"""The demo refuses one API request in so many, to show that Retry-After is obeyed."""
_IDLE_S = 30.0
_REQUESTS_KEPT = 100_000
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DemoExchange:
    """A local exchange that speaks Binance's market-data API and archive; use as a context manager.

    `recorded` is a folder laid out as the public archive: its markets are served in place of the invented
    ones. Without `faults`, one API request in `DEMO_429_EVERY` is answered 429. `url` is REST host and
    archive base at once. Raise PortInUse when the address is taken.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        now_ms: NowMs = system_now_ms,
        recorded: Path | None = None,
        faults: Faults | None = None,
        weight_limit: int = 6000,
    ) -> None:
        """Take the address; port 0 takes a free one. Nothing is answered before `start`."""
        self.faults = faults if faults is not None else Faults(every_429=DEMO_429_EVERY)
        venue: Venue = RecordedVenue(recorded) if recorded else InventedVenue()
        self._archive: Archive = (
            RecordedArchive(recorded) if recorded else InventedArchive(venue, now_ms=now_ms)
        )
        self._api = Api(venue, now_ms=now_ms, faults=self.faults, weight_limit=weight_limit)
        self._seen: deque[str] = deque(maxlen=_REQUESTS_KEPT)
        self._server = _listen(host, port, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="demo-exchange",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Port listened on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Base URL of the API and of the archive."""
        host = str(self._server.server_address[0])
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def requests(self) -> tuple[str, ...]:
        """Paths asked for so far, with their queries, in order."""
        return tuple(self._seen)

    def start(self) -> None:
        """Begin to answer, in threads of this process."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, close every connection and give the address back."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def answer(self, target: str) -> Reply:
        """Return the answer to GET `target`, a path with its query."""
        self._seen.append(target)
        if self.faults.delay_s:
            time.sleep(self.faults.delay_s)
        parts = urlsplit(target)
        if parts.path.startswith("/data/"):
            return serve_archive(self._archive, unquote(parts.path.lstrip("/")), self.faults)
        return self._api.answer(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        reply = self.server.exchange.answer(self.path)
        body = reply.body
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.drop:
            body = body[: len(body) // 2]
            self.close_connection = True
        headers = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer: list[bytes] = []
        self.wfile.write(headers + body)  # one segment: no wait for the peer's delayed acknowledgement

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the standard library's names
        """Say nothing: who wants to know what was asked reads `DemoExchange.requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], exchange: DemoExchange) -> None:
        self.exchange = exchange
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as inherited
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        """Pass over a client that hung up; tell anything else as the library does."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Close the connections that clients still hold open."""
        with self._guard:
            open_still = list(self._open)
        for connection in open_still:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def serve(
    host: str = "127.0.0.1",
    port: int = 8787,
    *,
    recorded: Path | None = None,
    now_ms: NowMs = system_now_ms,
    faults: Faults | None = None,
    ready: Callable[[DemoExchange], None] = lambda _exchange: None,
) -> None:
    """Run the exchange in the main thread until SIGINT or SIGTERM; `ready` is called once it answers."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _STOP_SIGNALS}
    try:
        with DemoExchange(host, port, recorded=recorded, now_ms=now_ms, faults=faults) as exchange:
            ready(exchange)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int, exchange: DemoExchange) -> _Server:
    try:
        return _Server((host, port), exchange)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"{host}:{port} is taken by another program: choose another port, or 0 for a free one"
            ) from error
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise InputError(f"port {port} is not valid: expected 0 to 65535") from error
