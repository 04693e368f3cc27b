"""Real recorded archives: the right number of rows, across the change of unit, with and without header."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.domain.klines import check_klines
from itb_assets.domain.markets import Market
from itb_assets.sources.history import open_history
from itb_assets.sources.rest import RestKlines

pytestmark = pytest.mark.data
FIVE, HOUR = Market("BTCUSDT", "5m"), Market("BTCUSDT", "1h")


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


@pytest.fixture
def folder(test_data: Path) -> Path:
    return test_data / "binance_archive"


@pytest.mark.parametrize("as_url", [False, True])
def test_eight_months_across_the_microsecond_switch_have_no_gap(folder, tmp_path, as_url):
    """The archive alone is enough: REST leads nowhere and is never needed."""
    base = folder.resolve().as_uri() if as_url else str(folder)
    source = open_history(rest_url="http://127.0.0.1:9", archive_url=base, cache_dir=tmp_path)
    batch = source.fetch(FIVE, ms("2024-07-01"), ms("2025-03-01"))
    source.close()
    check_klines(batch.frame, FIVE)
    assert len(batch.frame) == 243 * 288
    assert batch.frame["timestamp"].diff().dropna().unique().tolist() == [pd.Timedelta("5min")]
    assert batch.report.requests == 0
    switch = batch.frame.set_index("timestamp").loc["2025-01-01 00:00:00+00:00"]
    assert (switch["open"], switch["volume"], switch["trades"]) == (93576.0, 45.9416, 7448)
    assert switch["close_time"] == ms("2025-01-01 00:05") - 1


def test_the_hours_of_2023_lack_exactly_one(folder, tmp_path):
    source = open_history(rest_url=None, archive_url=str(folder), cache_dir=tmp_path)
    frame = source.fetch(HOUR, ms("2023-01-01"), ms("2023-06-01")).frame
    source.close()
    whole = pd.date_range("2023-01-01", "2023-06-01", freq="h", inclusive="left", tz="UTC")
    assert whole.difference(frame["timestamp"]).tolist() == [pd.Timestamp("2023-03-24 13:00", tz="UTC")]
    last = frame.set_index("timestamp").loc["2023-03-24 12:00:00+00:00"]
    assert last["volume"] == 0
    assert last["close_time"] == 1_679_661_581_646


def test_the_demo_exchange_serves_the_recording_by_rest_and_by_archive(folder, tmp_path):
    window = (ms("2023-03-20"), ms("2023-04-03"))
    with DemoExchange(recorded=folder, faults=Faults()) as exchange:
        rest = RestKlines(exchange.url, cache_dir=tmp_path)
        by_rest = rest.fetch(HOUR, *window).frame
        history = open_history(rest_url=None, archive_url=exchange.url, cache_dir=tmp_path)
        by_archive = history.fetch(HOUR, *window).frame
        rest.close()
        history.close()
    assert len(by_rest) == 14 * 24 - 1
    pd.testing.assert_frame_equal(by_rest, by_archive)
