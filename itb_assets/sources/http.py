"""One GET over HTTP as an exchange expects it of a polite client: pauses, back-off, a weight budget.

Turns whatever the network does into this package's errors. What an answer means does not belong here.
"""

from __future__ import annotations

import math
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from itb_assets.errors import ExchangeRefused, ExchangeUnavailable, InputError, RateLimited
from itb_assets.sources.budget import WeightBudget
from itb_assets.sources.protocol import FetchReport, Sleep

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 30.0
CHUNK_BYTES = 1 << 16
USED_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
DEFAULT_PAUSE_S = {429: 30.0, 418: 120.0}
"""Pause where the exchange names none; 120 s is Binance's shortest ban."""
LONGEST_PAUSE_S = 3 * 86_400.0
"""Binance's longest ban; an answer that names a longer pause does not stop this process for ever."""
MAX_ANSWER_BYTES = 64 * 1024**2
"""A month of 1m klines is a zip of 3 MB; what is larger than this is no answer of an exchange."""

Sink = Callable[[Iterator[bytes]], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long one request is tried."""

    attempts: int = 5
    """Tries after network errors and 5xx."""
    refusals: int = 5
    """Answers 429 or 418 in a row before giving up."""
    max_pause_s: float = 300.0
    """Longest sum of pauses that one request sits out."""
    backoff_s: float = 0.5
    """First back-off; doubles each time, with jitter, up to 30 s."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an HTTP answer; the body is empty where a sink took it."""

    status: int
    body: bytes
    url: str


class Tally:
    """Counts what a fetch does, from any thread."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._lock = threading.Lock()
        self._report = FetchReport()

    def add(self, part: FetchReport) -> None:
        """Add `part` to what was counted."""
        with self._lock:
            self._report += part

    @property
    def report(self) -> FetchReport:
        """What was counted so far."""
        with self._lock:
            return self._report


class HttpClient:
    """A keep-alive client of one host; safe to use from many threads."""

    def __init__(
        self,
        base_url: str,
        *,
        budget: WeightBudget,
        sleep: Sleep,
        parallel: int = 4,
        policy: RetryPolicy | None = None,
    ) -> None:
        """Prepare a pool of `parallel` connections; nothing is sent yet."""
        self.base_url, login = split_login(base_url)
        self.budget = budget
        self._sleep = sleep
        self._policy = policy or RetryPolicy()
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "itb-assets"
        self._session.auth = login
        if _is_loopback(self.base_url):
            self._session.trust_env = False  # a proxy of the environment cannot reach this machine's loopback
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=parallel))

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        tally: Tally,
        weight: int = 0,
        sink: Sink | None = None,
    ) -> Answer:
        """Return the first answer that is neither 429, 418 nor 5xx; 2xx bodies go to `sink` if given.

        Raise RateLimited after `refusals` or a pause longer than `max_pause_s`, ExchangeUnavailable after
        `attempts`, ExchangeRefused on 403, a redirect or more than MAX_ANSWER_BYTES. Other 4xx come back:
        their meaning is the caller's.
        """
        failures, refusals, paused_s = 0, 0, 0.0
        while True:
            if failures or refusals:
                tally.add(FetchReport(retries=1))
            try:
                response, answer = self._once(path, params, tally=tally, weight=weight, sink=sink)
            except (InvalidSchema, InvalidURL, MissingSchema) as error:
                raise InputError(f"{self.base_url!r} is not an http(s) URL: expected https://host") from error
            except requests.RequestException as error:
                failures += 1
                self._back_off(failures, tally, f"{self.base_url}{path}: {_reason(error)}", error)
                continue
            if answer.status in DEFAULT_PAUSE_S:
                refusals += 1
                pause_s = _retry_after_s(response)
                paused_s += pause_s
                self._pause_or_raise(answer, pause_s, refusals, paused_s)
            elif answer.status >= 500:  # noqa: PLR2004 - the class of statuses
                failures += 1
                self._back_off(failures, tally, f"{answer.url} answered {answer.status}", None)
            elif answer.status == 403:  # noqa: PLR2004 - as above
                raise ExchangeRefused(
                    f"{answer.url} answered 403 (forbidden): the host's firewall or region block refuses "
                    "this address; use another host (ITB_BINANCE_URL, ITB_BINANCE_ARCHIVE) or another network"
                )
            else:
                return answer

    def _once(
        self,
        path: str,
        params: Mapping[str, str | int] | None,
        *,
        tally: Tally,
        weight: int,
        sink: Sink | None,
    ) -> tuple[requests.Response, Answer]:
        slept = self.budget.acquire(weight, longest_pause_s=self._policy.max_pause_s)
        tally.add(FetchReport(requests=1, weight=weight, waited_s=slept))
        used: int | None = None
        try:
            with self._session.get(
                f"{self.base_url}{path}",
                params=params,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                stream=True,
                allow_redirects=False,
            ) as response:
                used = _used_weight(response)
                _refuse_redirect(response)
                chunks = _bounded(response)
                if sink is not None and response.ok:
                    sink(chunks)
                    return response, Answer(response.status_code, b"", response.url)
                return response, Answer(response.status_code, b"".join(chunks), response.url)
        finally:
            self.budget.settle(weight, used)

    def _pause_or_raise(self, answer: Answer, pause_s: float, refusals: int, paused_s: float) -> None:
        self.budget.pause(pause_s)
        if refusals >= self._policy.refusals or paused_s > self._policy.max_pause_s:
            raise RateLimited(
                f"{answer.url} answered {answer.status} {refusals} times and asks for another {pause_s:g} s; "
                "wait that long, or follow fewer markets from this address",
                retry_after_s=pause_s,
            )

    def _back_off(self, failures: int, tally: Tally, what: str, cause: Exception | None) -> None:
        if failures >= self._policy.attempts:
            raise ExchangeUnavailable(
                f"{what} ({failures} attempts); check the network and the host, then run again: "
                "what was already downloaded is kept"
            ) from cause
        ceiling = min(30.0, self._policy.backoff_s * 2 ** (failures - 1))
        wait = self._random.uniform(ceiling / 2, ceiling)
        tally.add(FetchReport(waited_s=wait))
        self._sleep(wait)


def split_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return the URL without its user and password, which no message may show, and those two.

    >>> split_login("https://me:my%20key@host/mirror/")
    ('https://host/mirror', ('me', 'my key'))
    """
    head, at, host = url.rstrip("/").rpartition("@")
    scheme, mark, login = head.partition("://")
    if not at or not mark or "/" in login:
        return url.rstrip("/"), None
    user, _, password = login.partition(":")
    return f"{scheme}://{host}", (unquote(user), unquote(password))


def _used_weight(response: requests.Response) -> int | None:
    header = response.headers.get(USED_WEIGHT_HEADER, "")
    return int(header) if re.fullmatch(r"[0-9]{1,9}", header) else None


def _refuse_redirect(response: requests.Response) -> None:
    if response.is_redirect:
        raise ExchangeRefused(
            f"{response.url} answered {response.status_code} and names another address, "
            f"{response.headers['Location']!r:.200}: klines are taken only from the host that was chosen; if "
            "that is the right one, name it (ITB_BINANCE_URL, ITB_BINANCE_ARCHIVE)"
        )


def _bounded(response: requests.Response) -> Iterator[bytes]:
    """Yield the body; raise ExchangeRefused once it is larger than any answer of an exchange."""
    size = 0
    for chunk in response.iter_content(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise ExchangeRefused(
                f"{response.url} answered with more than {MAX_ANSWER_BYTES} bytes: expected klines; is that "
                "host an exchange or its archive?"
            )
        yield chunk


def _retry_after_s(response: requests.Response) -> float:
    try:
        pause_s = float(response.headers["Retry-After"])
    except (KeyError, ValueError):  # absent, or an HTTP date, which Binance does not send
        pause_s = math.nan
    return (
        DEFAULT_PAUSE_S[response.status_code]
        if math.isnan(pause_s)
        else min(max(0.0, pause_s), LONGEST_PAUSE_S)
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: requests.RequestException) -> str:
    kind = (
        "timed out"
        if isinstance(error, requests.Timeout)
        else "cannot be reached or broke the connection off"
    )
    return f"{kind} ({type(error).__name__})"
