"""A server that answers with whatever bytes it is told to, its client's own address among them.

Answers that a real messenger gives belong to `bot_wire`; these are of proxies and of what is broken.
"""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, repr=False)
class Asked:
    """One request: its head, and what somebody who wants to tell everything can say of it."""

    head: str
    port: int

    @property
    def path(self) -> str:
        """The path of the request, or the address where a proxy was asked."""
        return self.head.split(" ")[1]

    @property
    def echo(self) -> str:
        """The request's address in every form in which somebody may write it down."""
        url = f"http://127.0.0.1:{self.port}{self.path}"
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in self.path)
        twice = quote(quote(url, safe=""), safe="")
        shifted = [base64.b64encode(b"x" * at + url.encode()).decode() for at in range(3)]
        login = re.search(r"(?im)^authorization: (.*)$", self.head)
        quoted = quote(url, safe="")
        lower = re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
        forms = [url, quoted, lower, twice, escaped, html.escape(url), json.dumps(url), *shifted]
        return " ".join([*forms, login[1].strip() if login else ""])


Answer = Callable[[Asked], Iterator[bytes]]


@dataclass(repr=False)
class Hostile:
    """The server; `answer` yields the bytes of each answer, `asked` is every request."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    def serve(self, listener: socket.socket) -> None:
        """Answer until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            connection.settimeout(2)
            head = _read(connection)
            asked = Asked(head, self.port)
            self.asked.append(asked)
            for piece in self.answer(asked):
                if piece == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(piece)


RESET = b"\0reset"
ECHO = "(echo)"


def _read(connection: socket.socket) -> str:
    """Return the head of a request, its body read."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return data.decode("latin-1") or "  "
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    while found and len(body) < int(found[1]) and (piece := connection.recv(65_536)):
        body += piece
    return head.decode("latin-1")


@contextmanager
def hostile(answer: Answer) -> Iterator[Hostile]:
    """Run such a server for the length of a block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Hostile(answer, port=listener.getsockname()[1])
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def raw(status: str, body: str | bytes = b"", *headers: str) -> bytes:
    """Return an answer."""
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body


def said(status: int, **more: object) -> Answer:
    """Answer as the Bot API does, with the address in every form as its description; in `more` ECHO is it."""

    def answer(asked: Asked) -> Iterator[bytes]:
        body = {"ok": False, "error_code": status, "description": f"Bad Request: {ECHO}"} | more
        body = json.loads(json.dumps(body).replace(ECHO, json.dumps(asked.echo)[1:-1]))
        yield raw(f"{status} Bad", json.dumps(body))

    return answer


def one_form(asked: Asked) -> list[str]:
    """Return each form of the address on its own."""
    return [form for form in asked.echo.split(" ") if form]


def each_form_in_turn(status: int) -> Answer:
    """Answer each request with the next form alone, so that no other one gives the words away."""
    turn = iter(range(10**6))

    def answer(asked: Asked) -> Iterator[bytes]:
        forms = one_form(asked)
        words = forms[next(turn) % len(forms)]
        yield raw(f"{status} Bad", json.dumps({"ok": False, "description": words}))

    return answer


def _drip(text: Callable[[Asked], bytes], seconds: float) -> Answer:
    """Answer in 40 pieces, so many seconds in all."""

    def answer(asked: Asked) -> Iterator[bytes]:
        whole = text(asked)
        size = len(whole) // 40 + 1
        for at in range(0, len(whole), size):
            yield whole[at : at + size]
            time.sleep(seconds / 40)

    return answer


def _bytes(make: Callable[[Asked], bytes]) -> Answer:
    return lambda asked: iter([make(asked)])


def _redirect(status: int) -> Answer:
    def answer(asked: Asked) -> Iterator[bytes]:
        yield raw(f"{status} Go", asked.echo, f"Location: http://localhost:{asked.port}{asked.path}/there")

    return answer


DEEP = "[" * 50_000
ANSWERS: dict[str, Answer] = {
    **{f"{status} in its own words": said(status) for status in (400, 401, 403, 404, 409, 413, 500)},
    **{
        f"{status} of a proxy": _bytes(lambda asked, status=status: raw(f"{status} Bad", asked.echo))
        for status in (400, 403, 404, 407, 502)
    },
    "429 with a pause": said(429, parameters={"retry_after": 7}),
    "429 without a pause": said(429),
    "429 with a pause that is none": said(429, parameters={"retry_after": ECHO}),
    "429 by the header": _bytes(lambda asked: raw("429 Slow", asked.echo, f"Retry-After: {asked.path}")),
    **{f"redirect {status}": _redirect(status) for status in (301, 302, 303, 307, 308)},
    "200 and not ok": said(200),
    "200 and no JSON": _bytes(lambda asked: raw("200 OK", asked.echo)),
    "200 and JSON that ends too early": _bytes(
        lambda asked: raw("200 OK", f'{{"ok": true, "x": "{asked.path}')
    ),
    "200 and JSON too deep": _bytes(lambda _: raw("200 OK", DEEP)),
    "a chat that moved to words": said(400, parameters={"migrate_to_chat_id": ECHO}),
    "a chat that moved too far": said(400, parameters={"migrate_to_chat_id": 10**30}),
    "words no table takes": said(400, description="Bad Request: \0 \ud800 \x1b[31m"),
    "a reason that tells": _bytes(lambda asked: raw(f"400 {asked.path}", "{}")),
    "headers that tell": _bytes(
        lambda asked: raw("400 Bad", "{}", f"X-Path: {asked.path}", f"Set-Cookie: a={asked.path}")
    ),
    "headers that are none": _bytes(lambda asked: raw("400 Bad", "{}", asked.path, f"{asked.path}: x")),
    "no HTTP at all": _bytes(lambda asked: f"{asked.echo}\r\n\r\n".encode()),
    "a chunk that is none": _bytes(
        lambda asked: (
            f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{asked.path}\r\n{asked.path}".encode()
        )
    ),
    "packed, and it is not": _bytes(lambda asked: raw("400 Bad", asked.echo, "Content-Encoding: gzip")),
    "a length that is none": _bytes(
        lambda asked: f"HTTP/1.1 400 Bad\r\nContent-Length: {asked.path}\r\n\r\n{asked.path}".encode()
    ),
    "reset at once": lambda _: iter([RESET]),
    "reset in its body": lambda asked: iter([raw("400 Bad", asked.echo * 2)[:-40], RESET]),
    "no end of it": _bytes(lambda asked: raw("400 Bad", (asked.path + " ") * 40_000)),
    "a slow body": _drip(lambda asked: raw("400 Bad", asked.echo), 2.0),
    "a slow head": _drip(
        lambda asked: f"HTTP/1.1 400 Bad\r\nX-Path: {asked.path}{asked.path}\r\n\r\n".encode(), 2.0
    ),
}
"""What a server may do to whoever asks it, by name."""
