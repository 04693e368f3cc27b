"""A host that is hostile or no exchange at all: what it can do to memory, time, addresses and messages."""

from __future__ import annotations

import base64
import json
import random
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_time import FakeTime

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.demo.zips import make_zip
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import (
    ArchiveError,
    DataContractError,
    ExchangeRefused,
    ExchangeUnavailable,
    RateLimited,
)
from itb_assets.sources import http
from itb_assets.sources.archive import MAX_CSV_BYTES, read_zip
from itb_assets.sources.archive_index import month_file
from itb_assets.sources.http import HttpClient, RetryPolicy, Tally, split_login
from itb_assets.sources.rest import RestKlines

MARKET = Market(DEMO_SYMBOLS[0], "5m")
JANUARY_MS = 1_704_067_200_000
MONTH = month_file(MARKET, JANUARY_MS)


class Host(ThreadingHTTPServer):
    """Answers every path with what it was told."""

    daemon_threads = True
    status = 200
    headers: dict[str, str]
    body = b""
    asked: list[tuple[str, str]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(("127.0.0.1", 0), Answers) as server:
        server.headers, server.asked = {}, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(host, tmp_path) -> Iterator[RestKlines]:
    time = FakeTime()
    source = RestKlines(host.url, cache_dir=tmp_path, sleep=time.sleep, clock_s=time.clock_s)
    yield source
    source.close()


def test_no_redirect_is_followed(host, rest):
    """Neither to another host nor to another path: the address that was chosen is the one that is asked."""
    host.status, host.headers = 302, {"Location": f"{host.url}/elsewhere"}
    with pytest.raises(ExchangeRefused, match=r"elsewhere.*ITB_BINANCE_URL"):
        rest.server_time_ms()
    assert [path for path, _ in host.asked] == ["/api/v3/time"]


def test_an_answer_without_end_is_given_up(host, rest, monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 200_000)
    host.body = b" " * 300_000 + b'{"serverTime": 1}'
    with pytest.raises(ExchangeRefused, match="more than 200000 bytes"):
        rest.server_time_ms()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        json.dumps({"symbols": [7]}).encode(),
        json.dumps({"symbols": [{"symbol": "X"}], "rateLimits": None}).encode(),
        json.dumps({"symbols": [{"symbol": "X"}], "rateLimits": [{"limit": 1}]}).encode(),
    ],
    ids=["nested", "symbols", "no limits", "odd limits"],
)
def test_what_is_no_answer_of_an_exchange_is_told(host, rest, body):
    host.body = body
    with pytest.raises(ExchangeUnavailable, match="exchange"):
        rest.symbol_status("BTCUSDT")


def test_a_weight_that_is_no_number_is_passed_over(host, rest):
    host.body, host.headers = b'{"serverTime": 5}', {"X-MBX-USED-WEIGHT-1M": "\xb2"}
    assert rest.server_time_ms() == 5


def test_a_login_in_the_address_is_sent_and_never_shown(host):
    client = HttpClient(
        host.url.replace("//", "//me:pass%20word@"),
        budget=http.WeightBudget(),
        sleep=FakeTime().sleep,
        policy=RetryPolicy(attempts=1),
    )
    answer = client.get("/x", tally=Tally())
    assert host.asked == [("/x", "Basic " + base64.b64encode(b"me:pass word").decode())]
    host.status = 500
    with pytest.raises(ExchangeUnavailable) as caught:
        client.get("/x", tally=Tally())
    client.close()
    assert "pass" not in f"{answer} {client.base_url} {caught.value}"


@pytest.mark.parametrize("url", ["https://host/a@b", "/folder/me@here", "file:///a:b@c", "http://host"])
def test_an_at_sign_elsewhere_is_no_login(url):
    assert split_login(url) == (url, None)


@pytest.mark.parametrize("retry_after_s", [259_200, 10**400])
def test_nobody_sleeps_out_a_ban_that_another_request_was_given(tmp_path, retry_after_s):
    """The other pages of the fetch, and the next market, give up at once instead of waiting for days."""
    time, now_ms = FakeTime(), 1_741_597_350_000
    faults = Faults(retry_after_s=retry_after_s)
    with DemoExchange(now_ms=lambda: now_ms, faults=faults) as exchange:
        source = RestKlines(exchange.url, cache_dir=tmp_path, sleep=time.sleep, clock_s=time.clock_s)
        assert source.symbol_status(MARKET.symbol) == "TRADING"
        faults.rest = "418"
        for freq in ("5m", "1h"):
            with pytest.raises(RateLimited) as caught:
                source.fetch(Market(MARKET.symbol, freq), now_ms - 60 * DAY_MS, now_ms)
            assert 250_000 < caught.value.retry_after_s <= 259_200
        asked = sum("/api/v3/time" in target for target in exchange.requests)
        source.close()
    assert asked == 1
    assert not [seconds for seconds in time.slept if seconds > 300]


def csv_rows(count: int) -> bytes:
    opens = range(JANUARY_MS, JANUARY_MS + count * MARKET.freq_ms, MARKET.freq_ms)
    return b"".join(b"%d,1,2,0.5,1.5,10,%d,10,5,5,5,0\n" % (at, at + MARKET.freq_ms - 1) for at in opens)


def lying_zip(unpacked: int) -> bytes:
    """Return a zip whose directory says 100 bytes and whose stream unpacks to `unpacked`."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(stream.compress(bytes(1 << 20)) for _ in range(unpacked >> 20)) + stream.flush()
    name, sizes = b"a.csv", (0, len(packed), 100)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, *sizes, len(name), 0) + name
    entry = (
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    return local + packed + entry + end


def test_a_zip_that_lies_about_its_size_is_not_unpacked():
    bomb = lying_zip(256 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=r"torn or no zip"):
            read_zip(bomb, MONTH)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_zip_that_says_it_is_huge_is_refused():
    bomb = make_zip(MONTH.name, bytes(MAX_CSV_BYTES + 1))
    with pytest.raises(ArchiveError, match="unpacks to"):
        read_zip(bomb, MONTH)


def test_a_zip_with_any_byte_wrong_raises_only_our_errors():
    """Every failure of a torn zip is an error of ours; a change that harms nothing may pass."""
    whole, draw = make_zip(MONTH.name, csv_rows(50)), random.Random(5)  # noqa: S311 - damage, not a secret
    methods = [place for place in range(len(whole)) if whole[place : place + 4] in (b"PK\3\4", b"PK\1\2")]
    for _ in range(1500):
        torn = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            torn[draw.randrange(-110, len(torn)) % len(torn)] = draw.randrange(256)
        if draw.random() < 0.2:  # another method of compression, in both headers
            for place, offset in zip(methods, (8, 10), strict=True):
                torn[place + offset] = draw.choice([0, 12, 14, 93])
        try:
            read_zip(bytes(torn), MONTH)
        except (ArchiveError, DataContractError):
            continue
