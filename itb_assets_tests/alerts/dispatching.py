"""A dispatcher for tests: in a thread, or in a process that can be killed; and rows to send.

What arrives is counted by `bot_api`; how it is judged belongs to the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from bot_api import BotApi
from pydantic import SecretStr

from itb_assets.domain.alerts import Level
from itb_assets.domain.alerts.pace import Limits
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.channels import Channel, Receipt
from itb_assets.observability.alerts.dispatcher import DispatchRules, run_dispatcher
from itb_assets.observability.alerts.lane import LaneRules
from itb_assets.observability.alerts.slack import Slack
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.observability.logs import configure_logging

TOKEN = "123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly"  # noqa: S105 - of no bot
ONE_ENGINE = "sessions hold locks of their own, which they do not where TimescaleDB runs in node"
FREE = Limits(burst=10_000, per_minute=600_000)
"""Limits that never hold anything back."""

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "alert_dispatcher.py"


def said(api: BotApi) -> list[str]:
    """Return the texts that arrived in lower case, as they were put in."""
    return [text.lower() for text in api.texts]


def slack(url: str) -> Slack:
    return Slack(SecretStr(url))


@contextmanager
def the_log() -> Iterator[list[str]]:
    """Yield what is logged meanwhile; fail where the token is in it."""
    lines: list[str] = []
    configure_logging("DEBUG", sink=lines.append)
    try:
        yield lines
    finally:
        configure_logging("INFO")
    assert not any(TOKEN.partition(":")[2] in line for line in lines)


def real_clock() -> datetime:
    return datetime.now(UTC)


class FastClock:
    """Runs `factor` times as fast as the real one, from now on."""

    def __init__(self, factor: float, start: datetime | None = None) -> None:
        """Begin at `start`, by default now."""
        self._begun, self._factor = time.monotonic(), factor
        self._start = start or real_clock()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._begun) * self._factor)


class Timed:
    """A channel that notes by a clock when it was asked to send."""

    def __init__(self, channel: Channel, clock: Callable[[], datetime]) -> None:
        """Stand before a channel."""
        self._channel, self._clock = channel, clock
        self.name = channel.name
        self.asked: list[datetime] = []

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        self.asked.append(self._clock())
        return self._channel.send(text_html, chart)

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between one attempt and the next."""
        return [(b - a).total_seconds() for a, b in zip(self.asked, self.asked[1:], strict=False)]


def put(engine: sa.Engine, *titles: str, level: Level = Level.ERROR, **other: Any) -> list[int]:
    """Put messages with these titles into the outbox."""
    now = other.pop("now", None) or real_clock()
    with engine.begin() as connection:
        made = [
            outbox.enqueue(
                connection,
                outbox.Draft(
                    **{
                        "dedup_key": f"{other.get('channel', 'telegram')}:opened:{title}",
                        "channel": "telegram",
                        "level": level,
                        "kind": "opened",
                        "message": {"title": title, "level": level.label, "at": now.isoformat()},
                    }
                    | other
                ),
                now=now,
            )
            for title in titles
        ]
    return [row for row in made if row is not None]


def telegram(api: BotApi, chat: int = 42) -> Telegram:
    return Telegram(SecretStr(TOKEN), chat, base_url=api.url)


def quick(limits: Limits = FREE, **other: Any) -> DispatchRules:
    """Return rules that look often and say nothing of their own."""
    lane = LaneRules(poll_s=0.03, limits=limits)
    return DispatchRules(**{"lane": lane, "look_every_s": 0.03, "alive_hour": 24} | other)


@contextmanager
def dispatching(
    engine: sa.Engine, *channels: Channel, clock: Callable[[], datetime] = real_clock, **rules: Any
) -> Iterator[threading.Event]:
    """Run a dispatcher for the length of a block; fail where it does not end when it is told to."""
    stop = threading.Event()
    how = {
        "connect": engine.connect,
        "channels": channels,
        "spoken": Spoken(),
        "clock": clock,
        "stop": stop,
        "rules": rules.pop("given", None) or quick(**rules),
    }
    thread = threading.Thread(target=run_dispatcher, kwargs=how)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def dispatcher_process(url: str, api: BotApi, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a dispatcher as a process for the length of a block, and kill it then if nobody has."""
    given = {"database_url": url, "telegram_url": api.url, "token": TOKEN, "chat": 42, "poll_s": 0.05}
    command = [sys.executable, str(PROGRAM), json.dumps(given | settings)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "dispatching\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def rows(engine: sa.Engine, columns: str = "*", where: str = "TRUE") -> list[Any]:
    """Return what the outbox holds, in order."""
    statement = f"SELECT {columns} FROM alert_outbox WHERE {where} ORDER BY id"  # noqa: S608 - the tests' own
    with engine.connect() as connection:
        return list(connection.execute(sa.text(statement)))


def eventually(true: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Wait until something is so; fail where it does not become so."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, f"not so within {within_s:g} s"
        time.sleep(0.02)


def all_sent(engine: sa.Engine, **how: float) -> None:
    """Wait until nothing waits any more."""
    eventually(lambda: not rows(engine, where="sent_at IS NULL AND dead_at IS NULL"), **how)
