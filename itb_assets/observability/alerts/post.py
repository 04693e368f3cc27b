"""One POST to a messenger: timeouts, a bounded answer, and failures whose words hold no address.

The addresses of messengers are secrets: a bot's token and a webhook's key are part of the path. What an
answer means belongs to each channel.
"""

from __future__ import annotations

import html
import io
import logging
import math
import queue
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import TryLater
from itb_assets.observability.alerts.markup import clean
from itb_assets.observability.logs import redact, register_secret

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 8.0
MAX_ANSWER_BYTES = 64 * 1024
LONGEST_PAUSE_S = 86_400.0
"""An answer that names a longer pause does not silence a channel for ever."""

_LAYERS = 3
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

Files = Mapping[str, tuple[str, bytes, str]]


@dataclass(frozen=True)
class Answer:
    """What came back: status, body, and the pause that its header asks for, 0 if none."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float = 0.0


class Poster:
    """Posts below one secret address; keeps no connection, so none can have gone stale."""

    def __init__(
        self, url: SecretStr, *, key: SecretStr, setting: str, timeouts_s: tuple[float, float]
    ) -> None:
        """Check the address; raise ConfigError, which names the setting and not the address.

        `key` is the part of it that answers may repeat: it is taken out of them.
        """
        self._url, self._key, self._timeouts_s = url, key, timeouts_s
        self.host = _host(url)
        if not self.host:
            raise ConfigError([f"{setting} is no address: expected https://host and what follows it"])
        self._direct = is_loopback(self.host)
        keep_addresses_out_of_logs()

    def __repr__(self) -> str:
        """Name the host alone."""
        return f"Poster({self.host!r})"

    def post(
        self,
        path: str = "",
        *,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        files: Files | None = None,
    ) -> Answer:
        """Return whatever answer comes; raise TryLater when none does in time.

        What failed below is neither raised nor chained: its text and its frames hold the address. The time is
        kept from outside, because a name that is looked up and a head that drips know no timeout.
        """
        request = requests.Request("POST", "http://host", json=json, data=form, files=files).prepare()
        made = request.body or b""
        body = _Body(made.encode() if isinstance(made, str) else made)
        came: queue.SimpleQueue[Answer | TryLater] = queue.SimpleQueue()
        kind = request.headers.get("Content-Type", "")
        threading.Thread(target=self._try, args=(path, body, kind, came), name="post", daemon=True).start()
        try:
            answer = came.get(timeout=sum(self._timeouts_s))
        except queue.Empty:
            answer = TryLater(0.0, f"{self.host} did not answer in time", maybe_sent=body.given_up())
        if isinstance(answer, TryLater):
            raise answer
        return answer

    def _try(self, path: str, body: _Body, kind: str, came: queue.SimpleQueue[Answer | TryLater]) -> None:
        try:
            came.put(self._post(path, body, kind))
        except Exception as error:  # noqa: BLE001 - whatever it is, its words may hold the address
            came.put(_failure(error, self.host, maybe_sent=body.begun))

    def _post(self, path: str, body: _Body, kind: str) -> Answer:
        until = time.monotonic() + self._timeouts_s[1]
        with requests.Session() as session:
            session.headers["User-Agent"] = "itb-assets"
            session.trust_env = not self._direct  # a proxy of the environment cannot reach this machine
            with session.post(
                f"{self._url.get_secret_value()}{path}",
                data=body if body.getbuffer().nbytes else None,
                headers={"Content-Type": kind} if kind else None,
                timeout=self._timeouts_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                said = _without(_bounded(response, until), self._key)
                return Answer(response.status_code, said, pause_s(response.headers.get("Retry-After")))


class _Body(io.BytesIO):
    """What is posted; knows whether any of it was, which is after the connection was made."""

    begun = given = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Hand out what goes over the wire next; raise TimeoutError where nobody waits for it any more."""
        self.begun = True  # before looking, as `given_up` does the opposite: one of the two sees the other
        if self.given:
            raise TimeoutError
        return super().read(size)

    def given_up(self) -> bool:
        """Keep what was not sent from being sent later; return whether any of it was."""
        self.given = True
        return self.begun


def pause_s(value: object) -> float:
    """Return the seconds of a pause that a service names, 0 for what is no number.

    >>> pause_s("30"), pause_s(None), pause_s("soon"), pause_s(-1)
    (30.0, 0.0, 0.0, 0.0)
    """
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_PAUSE_S)


def safe_words(words: object) -> str:
    """Return what a service says as one short line that any table takes, without any registered secret.

    Words that hold one in another form, such as the address quoted twice, are left out as a whole.
    """
    line = redact(clean(" ".join(str(words).split())))
    read = line
    for _ in range(_LAYERS):
        read = html.unescape(unquote(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), read)))
        if redact(read) != read:
            return "its words hold a secret"
    return line[:200]


def _without(body: bytes, key: SecretStr) -> bytes:
    """Take the key out of an answer before anybody keeps a part of it."""
    value = key.get_secret_value().strip("/").encode()
    return body.replace(value, b"***") if value else body


def _bounded(response: requests.Response, until: float) -> bytes:
    """Return the body; one that is too large or too slow is cut, and no longer reads as an answer."""
    body = bytearray()
    for piece in response.iter_content(1):  # a larger piece would wait for all of its bytes
        body += piece
        if len(body) > MAX_ANSWER_BYTES or time.monotonic() > until:
            break
    return bytes(body)


def _failure(error: Exception, host: str, *, maybe_sent: bool) -> TryLater:
    kind = type(error).__name__
    how = (
        "did not answer in time" if isinstance(error, requests.Timeout) else "cannot be reached or broke off"
    )
    return TryLater(0.0, f"{host} {how} ({kind})", maybe_sent=maybe_sent)


def _host(url: SecretStr) -> str:
    """Return the host and make what is secret of the address known to the logs; "" for what is no address.

    It does not raise: a traceback shows, to whoever asks for it, what names stood for.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port
    except ValueError:
        return ""
    for secret in (url.get_secret_value(), parts.path.strip("/"), parts.password or ""):
        register_secret(secret)
    usable = parts.scheme in {"http", "https"} and not re.search(r"[\s\x00-\x1f]", url.get_secret_value())
    return (parts.hostname or "") if usable else ""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redacting(logging.Filter):
    """Redacts the lines of the HTTP library, which writes out paths."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


_REDACTING = _Redacting()


def keep_addresses_out_of_logs() -> None:
    """Redact what the HTTP library logs: paths, and with them keys."""
    for name in ("connection", "connectionpool", "response", "util.retry"):
        logging.getLogger(f"urllib3.{name}").addFilter(_REDACTING)  # adding it twice changes nothing
