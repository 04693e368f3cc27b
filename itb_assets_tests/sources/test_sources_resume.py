"""A download that is killed goes on where it stopped: what was whole on disk is not asked for again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, InventedVenue, demo_klines
from itb_assets.domain.gaps import find_gaps
from itb_assets.domain.markets import DAY_MS, HOUR_MS, Market
from itb_assets.sources.history import open_history
from itb_assets.sources.rest import RestKlines

NOW_MS = int(pd.Timestamp("2025-03-10 09:02:30", tz="UTC").timestamp() * 1000)
MARKET = Market(DEMO_SYMBOLS[0], "5m")
WINDOW = (NOW_MS - 60 * DAY_MS, NOW_MS - 5 * DAY_MS)

DOWNLOAD = """
import sys
from pathlib import Path
from itb_assets.domain.markets import Market
from itb_assets.sources.history import open_history
from itb_assets.sources.rest import RestKlines
kind, url, folder, symbol, start, end, now = sys.argv[1:]
if kind == "rest":
    source = RestKlines(url, cache_dir=Path(folder))
else:
    source = open_history(rest_url=None, archive_url=url, cache_dir=Path(folder), now_ms=lambda: int(now))
source.fetch(Market(symbol, "5m"), int(start), int(end))
"""


def kill_midway(exchange: DemoExchange, kind: str, folder: Path, enough: Callable[[], bool]) -> None:
    command = [sys.executable, "-c", DOWNLOAD, kind, exchange.url, folder, MARKET.symbol]
    with subprocess.Popen([*command, *map(str, (*WINDOW, NOW_MS))]) as process:
        give_up = time.monotonic() + 30
        while not enough() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.005)
        assert process.poll() is None, "the download ended before it could be killed"
        process.send_signal(signal.SIGKILL)
    assert enough()


def when_it_stands_still(exchange: DemoExchange) -> int:
    """Return how many requests came once no further one does; those of a dead process may come after it."""
    give_up = time.monotonic() + 30
    seen, since = len(exchange.requests), time.monotonic()
    while time.monotonic() - since < 0.3:
        assert time.monotonic() < give_up, "requests of the dead process do not end"
        time.sleep(0.02)
        if len(exchange.requests) != seen:
            seen, since = len(exchange.requests), time.monotonic()
    return seen


@pytest.mark.parametrize(("kind", "suffix"), [("rest", "_page.parquet"), ("archive", ".zip")])
def test_a_killed_download_goes_on_where_it_stopped(tmp_path, kind, suffix):
    def kept() -> list[Path]:
        return [path for path in tmp_path.rglob(f"*{suffix}") if not path.name.startswith(".")]

    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults(delay_s=0.05)) as exchange:
        kill_midway(exchange, kind, tmp_path, lambda: len(kept()) >= 2)
        whole_files = kept()
        before = when_it_stands_still(exchange)
        exchange.faults.delay_s = 0
        if kind == "rest":
            source = RestKlines(exchange.url, cache_dir=tmp_path)
        else:
            source = open_history(
                rest_url=None, archive_url=exchange.url, cache_dir=tmp_path, now_ms=lambda: NOW_MS
            )
        batch = source.fetch(MARKET, *WINDOW)
        source.close()
        again = exchange.requests[before:]
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, *WINDOW))
    assert batch.report.resumed == len(whole_files)
    for path in whole_files:
        start_ms, _, *rest = path.name.split("_")
        name = rest[-1] if kind == "archive" else f"startTime={start_ms}&"
        assert not [target for target in again if name in target]
    assert max(Counter(again).values()) == 1


def test_a_page_that_ended_in_an_open_candle_is_asked_for_again(tmp_path):
    """A symbol listed after the start of the window: all it has is one page, cut by the exchange's time."""
    market = Market(MARKET.symbol, "1h")
    listed_ms = InventedVenue().first_open_ms(market)
    now_ms = listed_ms + 500 * HOUR_MS + 1_234_567
    clock = [now_ms]
    with DemoExchange(now_ms=lambda: clock[0], faults=Faults()) as exchange:
        for clock[0] in (now_ms, now_ms + 20 * HOUR_MS):
            source = RestKlines(exchange.url, cache_dir=tmp_path)
            frame = source.fetch(market, listed_ms - 5000 * HOUR_MS, clock[0]).frame
            source.close()
    assert (len(frame), find_gaps(frame, market)) == (520, ())
