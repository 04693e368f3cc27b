"""One POST to a messenger: timeouts, a bounded answer, and failures whose words hold no address.

The addresses of messengers are secrets: a bot's token and a webhook's key are part of the path. What an
answer means belongs to each channel.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr
from urllib3.exceptions import NewConnectionError

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import TryLater
from itb_assets.observability.logs import redact, register_secret

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 8.0
MAX_ANSWER_BYTES = 64 * 1024
LONGEST_PAUSE_S = 86_400.0
"""An answer that names a longer pause does not silence a channel for ever."""

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
        """Return whatever answer comes; raise TryLater when none does.

        What failed below is neither raised nor chained: its text and its frames hold the address.
        """
        failure: TryLater
        try:
            return self._post(path, json, form, files)
        except Exception as error:  # noqa: BLE001 - whatever it is, its words may hold the address
            failure = _failure(error, self.host)
        raise failure

    def _post(
        self, path: str, json: Mapping[str, Any] | None, form: Mapping[str, str] | None, files: Files | None
    ) -> Answer:
        until = time.monotonic() + self._timeouts_s[1]
        with requests.Session() as session:
            session.headers["User-Agent"] = "itb-assets"
            session.trust_env = not self._direct  # a proxy of the environment cannot reach this machine
            with session.post(
                f"{self._url.get_secret_value()}{path}",
                json=json,
                data=form,
                files=files,
                timeout=self._timeouts_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = _without(_bounded(response, until), self._key)
                return Answer(response.status_code, body, pause_s(response.headers.get("Retry-After")))


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
    """Return what a service says as one short line without any registered secret."""
    return redact(" ".join(str(words).split()))[:200]


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


def _failure(error: Exception, host: str) -> TryLater:
    kind = type(error).__name__
    if isinstance(error, requests.Timeout):
        maybe = not isinstance(error, requests.ConnectTimeout)
        return TryLater(0.0, f"{host} did not answer in time ({kind})", maybe_sent=maybe)
    return TryLater(
        0.0, f"{host} cannot be reached or broke off ({kind})", maybe_sent=not _never_connected(error)
    )


def _never_connected(error: Exception) -> bool:
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


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
