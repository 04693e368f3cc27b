"""How a request becomes an answer at the local Bot API and Slack webhook, faults included.

What is kept of it, and the limits, belong to `bot_api` and `bot_limits`.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot_content import Refusal, content_of, read_fields
from bot_faults import Fault

if TYPE_CHECKING:
    from bot_api import BotApi

ACCEPTED_FIRST = {"lost_answer", "slow", "drip", "torn", "bad_headers", "flood"}
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Server(ThreadingHTTPServer):
    """Listens for a BotApi and knows its open connections, to break them off."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, api: BotApi, port: int) -> None:
        """Listen on loopback; port 0 takes a free one."""
        self.api = api
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def end(self) -> None:
        """Stop listening and break off every connection."""
        self.shutdown()
        self.server_close()
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; anything else is a fault of this server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        with self.server.lock:
            self.server.open.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        with self.server.lock:
            self.server.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_POST(self) -> None:
        """Answer one request."""
        api, path = self.server.api, urlsplit(self.path).path
        method = "webhook" if path.startswith("/services/") else path.rpartition("/")[2]
        fault = api.faults.next(method)
        if fault is not None and fault.kind == "drop":
            api.answered(method, 0)
            self._break_off()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer, headers = self._answer(method, path, body, fault)
        api.answered(method, 0 if fault is not None and fault.kind == "lost_answer" else status)
        if fault is not None and fault.kind in ACCEPTED_FIRST:
            self._spoil(fault, status, answer)
        else:
            self._write(status, answer, headers)

    do_GET = do_POST  # noqa: N815 - as the base class calls it

    def _answer(
        self, method: str, path: str, body: bytes, fault: Fault | None
    ) -> tuple[int, bytes, dict[str, str]]:
        try:
            if fault is not None and fault.kind not in ACCEPTED_FIRST:
                early = _planned(fault)
                if early is not None:
                    return early
            if method == "webhook":
                self._webhook(path, body, fault)
                return 200, b"ok", {"Content-Type": "text/html"}
            result = self._bot(method, path, body, fault)
        except Refusal as refusal:
            return _refused(refusal, slack=method == "webhook")
        answer = json.dumps({"ok": True, "result": result}).encode()
        return 200, answer, {"Content-Type": "application/json"}

    def _bot(self, method: str, path: str, body: bytes, fault: Fault | None) -> dict[str, Any]:
        api = self.server.api
        found = re.fullmatch(r"/bot([0-9]+:[\w-]+)/(\w+)", path)
        if found is None:
            raise Refusal(404, "Not Found")
        if found.group(1) != api.token:
            raise Refusal(401, "Unauthorized")
        if method == "getMe":
            return {"id": 1, "is_bot": True, "first_name": "itb", "username": "itb_bot"}
        if method not in {"sendMessage", "sendPhoto"}:
            raise Refusal(404, "Not Found: method not found")
        fields = read_fields(self.headers.get("Content-Type", ""), body)
        chat = self._chat(fields)
        html, text, photo = content_of(method, fields)
        self._admit(chat)
        kept = api.record(
            service="telegram",
            chat=chat,
            text=text,
            html=html,
            photo=photo,
            thread=str(fields.get("message_thread_id", "")),
            silent=str(fields.get("disable_notification", "")).lower() == "true",
            answered=fault is None or fault.kind != "lost_answer",
        )
        return {
            "message_id": kept.message_id,
            "date": int(kept.at.timestamp()),
            "chat": {"id": int(chat) if chat.lstrip("-").isdigit() else -1},
        }

    def _chat(self, fields: dict[str, Any]) -> str:
        api, chat = self.server.api, str(fields.get("chat_id", ""))
        if not chat:
            raise Refusal(400, "Bad Request: chat_id is empty")
        if chat in api.moved:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, words, migrate_to_chat_id=api.moved[chat])
        if chat not in api.chats:
            raise Refusal(400, "Bad Request: chat not found")
        thread = str(fields.get("message_thread_id", ""))
        if thread and thread not in api.threads:
            raise Refusal(400, "Bad Request: message thread not found")
        return chat

    def _admit(self, chat: str) -> None:
        wait = self.server.api.admit(chat)
        if wait:
            raise Refusal(429, f"Too Many Requests: retry after {wait}", retry_after=wait)

    def _webhook(self, path: str, body: bytes, fault: Fault | None) -> None:
        if path != self.server.api.slack_path:
            raise Refusal(404, "no_service")
        try:
            payload = json.loads(body)
        except ValueError:
            raise Refusal(400, "invalid_payload") from None
        text = payload.get("text") if isinstance(payload, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise Refusal(400, "no_text")
        if len(text) > 40_000:
            raise Refusal(400, "msg_too_long")
        self._admit("slack")
        lost = fault is not None and fault.kind == "lost_answer"
        self.server.api.record(service="slack", chat="slack", text=text, html=text, answered=not lost)

    def _spoil(self, fault: Fault, status: int, answer: bytes) -> None:
        if fault.kind == "lost_answer":
            self._break_off()
        elif fault.kind == "slow":
            time.sleep(fault.seconds)
            self._write(status, answer, {})
        elif fault.kind == "torn":
            self._write(status, answer[: len(answer) // 2], {}, length=len(answer) + 500)
            self._break_off()
        elif fault.kind == "bad_headers":
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nno header\r\n\r\n" % len(answer) + answer
            )
        elif fault.kind == "flood":
            self._write(200, b"x" * (8 * 1024**2), {})
        else:
            self._write(status, b"", {}, length=len(answer))
            for byte in answer:
                self.wfile.write(bytes([byte]))
                time.sleep(fault.seconds)

    def _write(
        self, status: int, answer: bytes, headers: dict[str, str], *, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer) if length is None else length))
        self.end_headers()
        self.wfile.write(answer)

    def _break_off(self) -> None:
        """Reset the connection, as a machine that goes away does."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def _planned(fault: Fault) -> tuple[int, bytes, dict[str, str]] | None:
    """Return the answer of a fault that keeps the message from being read, or raise its refusal."""
    if fault.kind == "too_many":
        words = f"Too Many Requests: retry after {fault.retry_after:g}"
        raise Refusal(429, words, retry_after=fault.retry_after)
    if fault.kind in {"unauthorized", "forbidden", "not_found", "refused", "own_error"}:
        words = {
            "unauthorized": (401, "Unauthorized"),
            "forbidden": (403, "Forbidden: bot was blocked by the user"),
            "not_found": (404, "Not Found"),
            "own_error": (500, "Internal Server Error"),
            "refused": (400, fault.words),
        }[fault.kind]
        raise Refusal(*words)
    return {
        "error": (fault.status, PAGE, {"Content-Type": "text/html"}),
        "garbage": (200, b"<html>sign in to the hotel's network</html>", {"Content-Type": "text/html"}),
        "empty": (200, b"", {}),
        "redirect": (302, b"", {"Location": "http://127.0.0.1:9/elsewhere"}),
    }.get(fault.kind)


def _refused(refusal: Refusal, *, slack: bool) -> tuple[int, bytes, dict[str, str]]:
    headers = {}
    if "retry_after" in refusal.parameters:
        headers["Retry-After"] = f"{refusal.parameters['retry_after']:g}"
    if slack:
        return refusal.status, str(refusal).encode(), headers
    answer: dict[str, Any] = {"ok": False, "error_code": refusal.status, "description": str(refusal)}
    if refusal.parameters:
        answer["parameters"] = refusal.parameters
    return refusal.status, json.dumps(answer).encode(), headers | {"Content-Type": "application/json"}
