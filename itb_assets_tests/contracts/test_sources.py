"""What every source of klines promises, checked over real HTTP and real files, whichever source it is.

What only one source promises is tested beside it, under `sources/`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import itb_assets.sources
from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.klines import check_klines, empty_klines
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import UnknownSymbol
from itb_assets.sources.archive import ArchiveKlines, default_cache
from itb_assets.sources.archive_index import plan_files
from itb_assets.sources.archive_shelf import open_shelf
from itb_assets.sources.budget import WeightBudget
from itb_assets.sources.history import HistorySource, open_history
from itb_assets.sources.http import HttpClient
from itb_assets.sources.protocol import KlineSource
from itb_assets.sources.rest import RestKlines
from itb_assets.sources.rows import open_times_ms


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


NOW_MS = ms("2025-03-10 09:02:30")
START_MS = ms("2024-12-20 07:00")  # the archive's unit changes on 2025-01-01
MARKETS = [Market(DEMO_SYMBOLS[0], "5m"), Market(DEMO_SYMBOLS[1], "1h")]


def rest(exchange: DemoExchange, folder: Path) -> KlineSource:
    return RestKlines(exchange.url, cache_dir=folder)


def archive_over_http(exchange: DemoExchange, folder: Path) -> KlineSource:
    def connect(url: str) -> HttpClient:
        return HttpClient(url, budget=WeightBudget(), sleep=lambda _s: None)

    shelf = open_shelf(exchange.url, connect=connect, cache_dir=folder)
    return ArchiveKlines(shelf, cache=default_cache(folder, exchange.url), now_ms=lambda: NOW_MS)


def archive_in_a_folder(exchange: DemoExchange, folder: Path) -> KlineSource:
    base = folder / "my archive"
    for market in MARKETS:
        for file in plan_files(market, START_MS, NOW_MS, horizon_ms=NOW_MS // DAY_MS * DAY_MS):
            reply = exchange.answer(f"/{file.path}")
            path = base / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reply.body)
            path.with_name(f"{path.name}.CHECKSUM").write_bytes(
                exchange.answer(f"/{file.path}.CHECKSUM").body
            )
    return open_history(
        rest_url=None, archive_url=base.as_uri(), cache_dir=folder / "cache", now_ms=lambda: NOW_MS
    )


def history(exchange: DemoExchange, folder: Path) -> KlineSource:
    return open_history(
        rest_url=exchange.url, archive_url=exchange.url, cache_dir=folder, now_ms=lambda: NOW_MS
    )


MAKERS = {
    RestKlines: [rest],
    ArchiveKlines: [archive_over_http, archive_in_a_folder],
    HistorySource: [history],
}
REACHES_NOW = {rest, history}


@pytest.fixture(scope="module")
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults()) as running:
        yield running


@pytest.fixture(params=[maker for makers in MAKERS.values() for maker in makers], ids=lambda m: m.__name__)
def made(request, exchange, tmp_path) -> Iterator[tuple[KlineSource, int]]:
    """Yield a source and the time up to which it has klines."""
    source = request.param(exchange, tmp_path)
    yield source, NOW_MS if request.param in REACHES_NOW else NOW_MS // DAY_MS * DAY_MS
    source.close()


def test_every_source_of_the_package_is_in_this_suite():
    found = set()
    for module in pkgutil.iter_modules(itb_assets.sources.__path__, "itb_assets.sources."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_source = all(hasattr(kind, name) for name in ("fetch", "forget", "close"))
            if is_source and kind is not KlineSource:
                found.add(kind)
    assert found == set(MAKERS)


@pytest.mark.parametrize("market", MARKETS, ids=str)
def test_klines_are_canonical_closed_and_the_true_ones(made, market):
    """Sorted, unique, UTC, on the grid, closed only, and every value as the exchange has it."""
    source, until_ms = made
    frame = source.fetch(market, START_MS, NOW_MS + DAY_MS).frame
    check_klines(frame, market)
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert (frame["close_time"] < NOW_MS).all()
    truth = demo_klines(market, START_MS, until_ms - market.freq_ms + 1)
    pd.testing.assert_frame_equal(frame, truth)


@pytest.mark.parametrize("market", MARKETS, ids=str)
def test_the_window_is_half_open(made, market):
    source, _ = made
    start, end = ms("2025-01-15 03:00"), ms("2025-01-15 11:00")
    times = open_times_ms(source.fetch(market, start, end).frame)
    assert times[0] == start
    assert times[-1] == end - market.freq_ms
    between = open_times_ms(source.fetch(market, start + 1, end + 1).frame)
    assert between[0] == start + market.freq_ms
    assert between[-1] == end


def test_two_halves_make_the_whole(made):
    source, _ = made
    market = MARKETS[0]
    start, middle, end = ms("2024-12-30"), ms("2025-01-01 00:05"), ms("2025-01-03 04:00")
    halves = [source.fetch(market, start, middle).frame, source.fetch(market, middle, end).frame]
    whole = source.fetch(market, start, end).frame
    pd.testing.assert_frame_equal(pd.concat(halves, ignore_index=True), whole)


def test_an_empty_window_has_every_column_and_dtype(made):
    source, _ = made
    at = ms("2025-01-15")
    pd.testing.assert_frame_equal(source.fetch(MARKETS[0], at, at).frame, empty_klines())
    pd.testing.assert_frame_equal(
        source.fetch(MARKETS[0], NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS).frame, empty_klines()
    )


def test_a_symbol_nobody_lists_is_unknown(made):
    source, _ = made
    with pytest.raises(UnknownSymbol, match="NOSUCHUSDT"):
        source.fetch(Market("NOSUCHUSDT", "1h"), ms("2025-01-01"), ms("2025-02-01"))


def test_progress_counts_up_to_its_total(made):
    source, _ = made
    told: list[tuple[int, int, str]] = []
    source.fetch(
        MARKETS[0], START_MS, NOW_MS, progress=lambda done, total, what: told.append((done, total, what))
    )
    assert [done for done, _, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][0] == told[-1][1]
    assert all(what for _, _, what in told)


def test_forgetting_what_is_stored_leaves_nothing_behind(made, tmp_path):
    source, _ = made
    source.fetch(MARKETS[0], START_MS, ms("2025-03-01"))
    source.forget(MARKETS[0], ms("2025-03-01"))
    cached = [path for path in tmp_path.rglob("*") if path.is_file() and "my archive" not in path.parts]
    assert cached == []
