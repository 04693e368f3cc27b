"""REST klines over real HTTP: paging, weight, pauses, errors, and the candle that is still open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from fake_time import FakeTime

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.markets import DAY_MS, HOUR_MS, Market
from itb_assets.errors import (
    DataContractError,
    ExchangeRefused,
    ExchangeUnavailable,
    InputError,
    InvalidMarket,
    RateLimited,
    UnknownSymbol,
)
from itb_assets.sources.http import Answer, HttpClient, RetryPolicy, Tally
from itb_assets.sources.rest import RestKlines, _refusal


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


NOW_MS = ms("2025-03-10 09:02:30")
MARKET = Market(DEMO_SYMBOLS[0], "5m")


@pytest.fixture
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults()) as running:
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def source(exchange, time, tmp_path) -> Iterator[RestKlines]:
    made = RestKlines(exchange.url, cache_dir=tmp_path, sleep=time.sleep, clock_s=time.clock_s)
    yield made
    made.close()


def kline_requests(exchange: DemoExchange) -> list[dict[str, str]]:
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        for target in exchange.requests
        if target.startswith("/api/v3/klines")
    ]


def test_pages_do_not_ask_for_a_kline_twice(exchange, source):
    frame = source.fetch(MARKET, NOW_MS - 20 * DAY_MS, NOW_MS).frame
    asked = kline_requests(exchange)
    assert all(int(request["limit"]) == 1000 for request in asked)
    first, *pages = sorted(asked, key=lambda request: (int(request["startTime"]), -int(request["endTime"])))
    covered = int(first["startTime"]) + 1000 * MARKET.freq_ms
    for page in pages:
        assert int(page["startTime"]) == covered
        covered = int(page["endTime"]) + 1
    assert len(frame) == 20 * 288 - 1  # the last one is still open
    assert len(asked) == 6


def test_a_short_window_is_one_request_and_leaves_no_cache(exchange, source, tmp_path):
    source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    assert len(kline_requests(exchange)) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_unfinished_candle_is_served_and_dropped_by_its_close_time(exchange, source):
    batch = source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)
    assert batch.report.unclosed_dropped == 1
    assert batch.frame["timestamp"].iloc[-1] == pd.Timestamp("2025-03-10 08:55", tz="UTC")


def test_a_last_candle_that_is_closed_is_kept(tmp_path):
    """Dropping "the last one" whatever its close time would lose a kline here."""
    at_close = ms("2025-03-10 09:00")
    with DemoExchange(now_ms=lambda: at_close, faults=Faults()) as exchange:
        source = RestKlines(exchange.url, cache_dir=tmp_path)
        frame = source.fetch(MARKET, at_close - HOUR_MS, at_close).frame
        source.close()
    assert frame["timestamp"].iloc[-1] == pd.Timestamp("2025-03-10 08:55", tz="UTC")


def test_a_market_younger_than_the_window_costs_one_request_more_not_years(exchange, source):
    young = Market(DEMO_SYMBOLS[5], "1h")
    listed = ms("2021-12-31")
    frame = source.fetch(young, ms("2017-01-01"), listed + 30 * DAY_MS).frame
    assert frame["timestamp"].iloc[0] == pd.Timestamp(listed, unit="ms", tz="UTC")
    assert len(kline_requests(exchange)) == 1


def test_the_limit_is_read_from_the_exchange_and_the_weight_from_its_headers(tmp_path, time):
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults(), weight_limit=5000) as exchange:
        source = RestKlines(exchange.url, cache_dir=tmp_path, sleep=time.sleep, clock_s=time.clock_s)
        report = source.fetch(MARKET, NOW_MS - 10 * DAY_MS, NOW_MS).report
        source.close()
    assert source.budget.limit == 5000
    assert report.requests == 5
    assert report.weight == source.budget.used == 20 + 1 + 3 * 2


def test_a_small_limit_is_waited_for_and_never_passed(tmp_path, time):
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults(), weight_limit=30) as exchange:
        source = RestKlines(exchange.url, cache_dir=tmp_path, sleep=time.sleep, clock_s=time.clock_s)
        source.symbol_status(MARKET.symbol)
        source.server_time_ms()
        assert time.slept == []
        source.budget.settle(0, 27)
        source.server_time_ms()
        source.close()
    assert time.slept == [pytest.approx(60)]


def test_retry_after_is_obeyed_and_the_download_goes_on(exchange, source, time):
    exchange.faults.every_429 = 5
    exchange.faults.retry_after_s = 7
    batch = source.fetch(MARKET, NOW_MS - 30 * DAY_MS, NOW_MS)
    pd.testing.assert_frame_equal(
        batch.frame, demo_klines(MARKET, NOW_MS - 30 * DAY_MS, NOW_MS - MARKET.freq_ms)
    )
    assert batch.report.retries >= 2
    assert max(time.slept) == pytest.approx(7)


@pytest.mark.parametrize("status", ["429", "418"])
def test_an_exchange_that_only_refuses_ends_in_rate_limited(exchange, source, time, status):
    exchange.faults.rest, exchange.faults.retry_after_s = status, 11
    with pytest.raises(RateLimited, match=f"answered {status}") as caught:
        source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    assert caught.value.retry_after_s == 11
    assert len(exchange.requests) == 5
    assert time.slept == [pytest.approx(11)] * 4


def test_a_ban_longer_than_anybody_waits_is_told_at_once(exchange, source, time):
    exchange.faults.rest, exchange.faults.retry_after_s = "418", 3 * 86_400
    with pytest.raises(RateLimited):
        source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    assert time.slept == []


@pytest.mark.parametrize("fault", ["500", "drop"])
def test_a_fault_that_passes_is_backed_off_from(exchange, source, time, fault):
    exchange.faults.rest, exchange.faults.strikes = fault, 3
    batch = source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    assert len(batch.frame) == 11
    assert batch.report.retries == 3
    assert 0.25 <= time.slept[0] <= 0.5
    assert time.slept == sorted(time.slept)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", ExchangeUnavailable),
        ("drop", ExchangeUnavailable),
        ("garbage", ExchangeUnavailable),
        ("403", ExchangeRefused),
    ],
)
def test_a_fault_that_stays_has_its_own_error(exchange, source, fault, error):
    exchange.faults.rest = fault
    with pytest.raises(error, match=re.escape(exchange.url)):
        source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)


@pytest.mark.parametrize(
    ("fault", "said"), [("nan", "NaN.*close at 2025"), ("duplicate", "1 duplicate rows")]
)
def test_bad_rows_stop_at_the_border(exchange, source, fault, said):
    source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    exchange.faults.rest = fault
    with pytest.raises(DataContractError, match=said):
        source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)


def test_nobody_listens(tmp_path, time):
    with DemoExchange(faults=Faults()) as gone:
        url = gone.url
    source = RestKlines(url, cache_dir=tmp_path, sleep=time.sleep)
    with pytest.raises(ExchangeUnavailable, match="cannot be reached"):
        source.fetch(MARKET, NOW_MS - HOUR_MS, NOW_MS)
    source.close()


def test_something_that_is_no_url_is_an_input_error(tmp_path):
    source = RestKlines("not a url", cache_dir=tmp_path)
    with pytest.raises(InputError, match="not a url"):
        source.server_time_ms()
    source.close()


def test_an_unknown_symbol_is_not_retried(exchange, source):
    with pytest.raises(UnknownSymbol, match="-1121"):
        source.symbol_status("NOSUCHUSDT")
    assert len(exchange.requests) == 1


def test_a_freq_the_exchange_refuses_is_an_invalid_market():
    error = _refusal(400, {"code": -1120, "msg": "Invalid interval."}, "http://x", {"interval": "5m"})
    assert isinstance(error, InvalidMarket)


def test_symbol_status(source):
    assert source.symbol_status(DEMO_SYMBOLS[0]) == "TRADING"


def test_connections_are_kept_alive(exchange, tmp_path):
    """Twenty requests of one thread go over one connection."""
    http = HttpClient(
        exchange.url, budget=RestKlines(exchange.url, cache_dir=tmp_path).budget, sleep=lambda _s: None
    )
    answers: list[Answer] = [http.get("/api/v3/ping", tally=Tally()) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert len(exchange._server._open) == 1
    http.close()


def test_the_policy_bounds_the_attempts(exchange, tmp_path, time):
    exchange.faults.rest = "500"
    source = RestKlines(exchange.url, cache_dir=tmp_path, sleep=time.sleep, policy=RetryPolicy(attempts=2))
    with pytest.raises(ExchangeUnavailable, match="2 attempts"):
        source.server_time_ms()
    source.close()
    assert len(exchange.requests) == 2


def test_a_cached_page_that_was_damaged_is_asked_for_again(exchange, source, tmp_path: Path):
    window = (NOW_MS - 10 * DAY_MS, NOW_MS - DAY_MS)
    whole = source.fetch(MARKET, *window).frame
    page = next(iter(sorted(tmp_path.rglob("*_page.parquet"))))
    page.write_bytes(page.read_bytes()[:100])
    pd.testing.assert_frame_equal(source.fetch(MARKET, *window).frame, whole)
