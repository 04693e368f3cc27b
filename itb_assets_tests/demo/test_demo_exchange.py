"""The demo exchange speaks Binance's API and archive over real HTTP, faults included."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace

import pandas as pd
import pytest
import requests

from itb_assets.demo.__main__ import main
from itb_assets.demo.exchange import DEMO_429_EVERY, DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS
from itb_assets.domain.markets import HOUR_MS, Market
from itb_assets.errors import InputError, InvalidMarket, PortInUse
from itb_assets.sources.archive_index import day_file, month_file


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


NOW_MS = ms("2025-03-10 09:02:30")
SYMBOL = DEMO_SYMBOLS[0]
HOUR = Market(SYMBOL, "1h")


class Clock:
    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock) -> Iterator[DemoExchange]:
    with DemoExchange(now_ms=clock, faults=Faults()) as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def klines(http, exchange, **params):
    answer = http.get(f"{exchange.url}/api/v3/klines", params={"symbol": SYMBOL, "interval": "1h", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_ping_time_and_exchange_info(http, exchange):
    assert http.get(f"{exchange.url}/api/v3/ping").json() == {}
    assert http.get(f"{exchange.url}/api/v3/time").json() == {"serverTime": NOW_MS}
    info = http.get(f"{exchange.url}/api/v3/exchangeInfo").json()
    assert [listed["symbol"] for listed in info["symbols"]] == list(DEMO_SYMBOLS)
    assert {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000} in info[
        "rateLimits"
    ]


def test_a_kline_has_twelve_fields_prices_as_strings(http, exchange):
    (row,) = klines(http, exchange, startTime=NOW_MS - 5 * HOUR_MS, limit=1)
    assert [type(value) for value in row] == [int, *[str] * 5, int, str, int, *[str] * 3]
    assert row[6] == row[0] + HOUR_MS - 1
    assert len(row[1].split(".")[1]) == 8


def test_windows_and_limits_work_as_binance_documents_them(http, exchange):
    assert len(klines(http, exchange)) == 500
    assert len(klines(http, exchange, limit=1500)) == 1000
    assert klines(http, exchange)[-1][0] == ms("2025-03-10 09:00")  # the unfinished one is there
    oldest = klines(http, exchange, startTime=ms("2025-01-01"), limit=2)
    assert [row[0] for row in oldest] == [ms("2025-01-01"), ms("2025-01-01 01:00")]
    newest = klines(http, exchange, endTime=ms("2025-01-01"), limit=2)
    assert [row[0] for row in newest] == [ms("2024-12-31 23:00"), ms("2025-01-01")]
    assert klines(http, exchange, startTime=NOW_MS + HOUR_MS) == []


def test_a_page_is_full_in_spite_of_an_outage(http, exchange):
    rows = klines(http, exchange, startTime=ms("2024-12-20"), limit=1000)
    assert len(rows) == 1000
    assert rows[-1][0] - rows[0][0] > 999 * HOUR_MS


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "BTCUSDT"}, -1121),
        ({"symbol": "btc usdt"}, -1100),
        ({"interval": "7m"}, -1120),
        ({"limit": "many"}, -1100),
        ({"limit": 0}, -1130),
        ({"startTime": 5, "endTime": 4}, -1130),
        ({"symbol": None}, -1102),
    ],
)
def test_wrong_requests_get_the_codes_binance_gives(http, exchange, params, code):
    answer = http.get(f"{exchange.url}/api/v3/klines", params={"symbol": SYMBOL, "interval": "1h", **params})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_every_answer_counts_weight_and_the_limit_is_kept(http, clock, monkeypatch):
    """Weight is counted in minutes of this machine's clock, which is held at half past one here."""
    monkeypatch.setattr("itb_assets.demo.api.time", SimpleNamespace(time=lambda: 90.0))
    with DemoExchange(now_ms=clock, faults=Faults(), weight_limit=25) as exchange:
        used = [
            int(http.get(f"{exchange.url}/api/v3/{path}").headers["X-MBX-USED-WEIGHT-1M"])
            for path in ("ping", "exchangeInfo", f"klines?symbol={SYMBOL}&interval=1h")
        ]
        refused = http.get(f"{exchange.url}/api/v3/exchangeInfo")
        monkeypatch.setattr("itb_assets.demo.api.time", SimpleNamespace(time=lambda: 120.0))
        anew = http.get(f"{exchange.url}/api/v3/exchangeInfo")
    assert used == [1, 21, 23]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert (anew.status_code, anew.headers["X-MBX-USED-WEIGHT-1M"]) == (200, "20")


def test_by_default_it_refuses_now_and_then(http, clock):
    with DemoExchange(now_ms=clock) as exchange:
        statuses = [http.get(f"{exchange.url}/api/v3/time") for _ in range(2 * DEMO_429_EVERY)]
    assert [answer.status_code for answer in statuses].count(429) == 2
    assert statuses[DEMO_429_EVERY - 1].headers["Retry-After"] == "1"


def test_an_archive_file_is_a_csv_under_its_checksum(http, exchange):
    file = month_file(HOUR, ms("2025-01-01"))
    content = http.get(f"{exchange.url}/{file.path}").content
    sums = http.get(f"{exchange.url}/{file.path}.CHECKSUM").text
    assert sums == f"{hashlib.sha256(content).hexdigest()}  {file.name}\n"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [file.name.replace(".zip", ".csv")]
        first = archive.read(archive.namelist()[0]).splitlines()[0].decode().split(",")
    assert (first[0], first[6]) == ("1735689600000000", "1735693199999999")
    assert first[1:6] == klines(http, exchange, startTime=file.start_ms, limit=1)[0][1:6]


def test_files_before_2025_are_in_milliseconds(http, exchange):
    file = day_file(HOUR, ms("2024-12-31"))
    with zipfile.ZipFile(io.BytesIO(http.get(f"{exchange.url}/{file.path}").content)) as archive:
        assert archive.read(archive.namelist()[0]).startswith(b"1735603200000,")


@pytest.mark.parametrize(
    ("file", "appears"),
    [
        (day_file(HOUR, ms("2025-03-05")), "2025-03-06 04:00"),
        (month_file(HOUR, ms("2025-02-01")), "2025-03-03 04:00"),
    ],
    ids=["daily", "monthly"],
)
def test_files_are_published_as_late_as_binance_does(http, exchange, clock, file, appears):
    clock.now_ms = ms(appears) - 1
    assert http.get(f"{exchange.url}/{file.path}").status_code == 404
    clock.now_ms = ms(appears)
    assert http.get(f"{exchange.url}/{file.path}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip",
        f"data/spot/monthly/klines/{SYMBOL}/1h/{SYMBOL}-1h-2025-13.zip",
        f"data/spot/daily/klines/{SYMBOL}/1h/{SYMBOL}-1h-2025-01.zip",
        "data/%2e%2e/%2e%2e/etc/passwd",
        "nothing",
    ],
)
def test_what_does_not_exist_is_404(http, exchange, path):
    assert http.get(f"{exchange.url}/{path}").status_code == 404


def test_a_taken_port_is_told(exchange):
    with pytest.raises(PortInUse, match=f"127.0.0.1:{exchange.port} is taken"):
        DemoExchange(port=exchange.port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("203.0.113.7", 0)])
def test_an_address_that_cannot_be_had_is_told(host, port):
    with pytest.raises(InputError, match=r"port 70000|cannot listen on 203\.0\.113\.7"):
        DemoExchange(host, port)


def test_stopping_gives_the_port_back(clock):
    with DemoExchange(now_ms=clock) as first:
        port = first.port
    with DemoExchange(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"


def test_a_folder_without_archives_cannot_be_served(tmp_path):
    with pytest.raises(InvalidMarket, match="holds no recorded archive"):
        DemoExchange(recorded=tmp_path)


def test_it_runs_by_itself_until_it_is_told_to_stop():
    command = [sys.executable, "-m", "itb_assets.demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().split()[3].rstrip(";")
        try:
            assert requests.get(f"{url}/api/v3/ping", timeout=10).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_by_itself_on_a_taken_port_it_fails_with_its_code(exchange, capsys):
    assert main(["--port", str(exchange.port)]) == PortInUse.exit_code
    assert "is taken" in capsys.readouterr().err
