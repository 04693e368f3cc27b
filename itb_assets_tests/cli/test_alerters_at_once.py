"""Two `itb alerter` at once: one delivers, and when it is killed the other goes on within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_bot import TOKEN, BotApi, connected, deployment, telegram
from test_alerter import working

from itb_assets.observability.alerts.dispatcher import HEARTBEAT, DispatchRules
from itb_assets.observability.alerts.state import beats

TAKES_OVER_S = 30.0
SOON_S = 90.0
BEATS_S = 1.2 * DispatchRules().beat_every_s


@pytest.fixture
def bot() -> Iterator[BotApi]:
    """Return the local Bot API."""
    with BotApi(TOKEN) as api:
        yield api


def soon(true: Callable[[], bool], within_s: float = SOON_S) -> float:
    """Wait until something is so; return the seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, "it did not come"
        time.sleep(0.05)
    return time.monotonic() - began


def delivering(url: str) -> int | None:
    """Return the process that last said that it delivers."""
    with connected(url) as connection:
        found = beats(connection).get(HEARTBEAT)
    return None if found is None else int(found.detail["pid"])


def delivering_for(seconds: float, url: str) -> set[int | None]:
    """Return all that say so within a time: two at once would take turns to."""
    end, seen = time.monotonic() + seconds, set[int | None]()
    while time.monotonic() < end:
        seen.add(delivering(url))
        time.sleep(0.2)
    return seen


def works(said: Path) -> bool:
    """Tell whether an alerter has said that it works."""
    return "Alerts go to telegram" in said.read_text("utf-8")


@pytest.mark.slow
def test_one_delivers_and_the_other_takes_over_when_it_is_killed(tmp_path, postgres_url, bot):
    """Every message arrives once, also those that were made while nobody delivered."""
    itb, logs = deployment(tmp_path, postgres_url, **telegram(bot.url)), (tmp_path / "one", tmp_path / "two")

    def arrived(words: str) -> int:
        return sum(words in text.lower() for text in bot.texts)

    with working(itb, logs[0]) as one, working(itb, logs[1]) as two:
        soon(lambda: all(map(works, logs)) and delivering(postgres_url) is not None)
        for number in range(3):
            assert itb("alerts", "test", f"with both {number}").code == 0
        soon(lambda: arrived("with both") == 3)
        assert len(delivering_for(BEATS_S, postgres_url)) == 1
        killed = next(each for each in (one, two) if each.pid == delivering(postgres_url))
        (left,) = {one.pid, two.pid} - {killed.pid}
        killed.kill()
        assert itb("alerts", "test", "after the kill").code == 0
        took_s = soon(lambda: arrived("after the kill") == 1)
        soon(lambda: delivering(postgres_url) == left)
    assert took_s < TAKES_OVER_S
    assert [arrived(words) for words in ("with both 0", "with both 1", "with both 2", "after the kill")] == [
        1
    ] * 4
