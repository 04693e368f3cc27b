"""The composite: archive for the past, REST for the rest, each standing in for the other where it says so."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import ChecksumMismatch, ExchangeUnavailable, RateLimited, UnknownSymbol
from itb_assets.sources.history import HistorySource, open_history
from itb_assets.sources.reconcile import reconcile


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


NOW_MS = ms("2025-03-10 09:02:30")
MARKET = Market(DEMO_SYMBOLS[0], "1h")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults()) as running:
        yield running


@pytest.fixture
def opened(exchange, tmp_path) -> Iterator:
    sources: list[HistorySource] = []

    def make(rest_url: str | None = exchange.url, now_ms: int = NOW_MS) -> HistorySource:
        sources.append(
            open_history(
                rest_url=rest_url,
                archive_url=exchange.url,
                cache_dir=tmp_path,
                now_ms=lambda: now_ms,
                sleep=lambda _seconds: None,
            )
        )
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def asked(exchange: DemoExchange, prefix: str) -> list[str]:
    return [target for target in exchange.requests if target.startswith(prefix)]


def test_the_past_needs_no_rest(exchange, opened):
    """A range the archive covers works while REST is unreachable."""
    window = (ms("2024-11-05 05:00"), ms("2025-03-04 07:00"))
    batch = opened(NOWHERE).fetch(MARKET, *window)
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, *window))


def test_rest_is_asked_only_for_the_last_days_and_a_short_overlap(exchange, opened):
    batch = opened().fetch(MARKET, ms("2025-01-01"), NOW_MS)
    first = min(
        int(target.split("startTime=")[1].split("&")[0]) for target in asked(exchange, "/api/v3/klines")
    )
    assert first == ms("2025-03-07") - 12 * MARKET.freq_ms
    assert len(asked(exchange, "/api/v3/klines")) == 1
    assert batch.report.differences == ()
    assert batch.report.archives_used[:2] == (
        f"{MARKET.symbol}-1h-2025-01.zip",
        f"{MARKET.symbol}-1h-2025-02.zip",
    )


def test_where_the_two_disagree_rest_wins_and_the_report_names_it():
    start, seam, end = ms("2025-02-01"), ms("2025-02-02"), ms("2025-02-03")
    archived = demo_klines(MARKET, start, seam)
    rest = demo_klines(MARKET, seam - 3 * MARKET.freq_ms, end)
    archived.loc[22, "close"] += 0.5
    archived = archived.drop(index=23).reset_index(drop=True)
    merged, said = reconcile(archived, rest, asked_from_ms=seam - 3 * MARKET.freq_ms)
    pd.testing.assert_frame_equal(merged, demo_klines(MARKET, start, end))
    assert len(said) == 1
    assert said[0].startswith("2025-02-01 22:00 UTC: close ")


def test_a_kline_that_only_the_archive_has_is_kept_and_named():
    start, seam, end = ms("2025-02-01"), ms("2025-02-02"), ms("2025-02-03")
    rest = demo_klines(MARKET, seam - 3 * MARKET.freq_ms, end).drop(index=1).reset_index(drop=True)
    merged, said = reconcile(demo_klines(MARKET, start, seam), rest, asked_from_ms=seam - 3 * MARKET.freq_ms)
    assert len(merged) == 48
    assert said == ["2025-02-01 22:00 UTC: in the archive, not in REST"]


def test_the_report_of_a_fetch_names_differences_at_the_seam(opened):
    """The exchange changes its mind about a candle the archive already holds."""
    source = opened()
    true_fetch = source._rest.fetch

    def changed(*args, **kwargs):
        batch = true_fetch(*args, **kwargs)
        batch.frame.loc[2, "volume"] += 1
        return batch

    source._rest.fetch = changed
    report = source.fetch(MARKET, ms("2025-03-01"), NOW_MS).report
    assert len(report.differences) == 1
    assert "2025-03-06 14:00 UTC: volume" in report.differences[0]


def test_a_month_that_is_not_published_yet_comes_by_its_days(exchange, opened):
    now = ms("2025-03-04 12:00")  # the horizon is March 1st, February's file appears on the 3rd, late
    exchange.faults.archive, exchange.faults.archive_match = "404", "2025-02.zip"
    batch = opened(NOWHERE, now).fetch(MARKET, ms("2025-02-20"), ms("2025-03-01"))
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, ms("2025-02-20"), ms("2025-03-01")))
    assert len(batch.report.archives_used) == 9


def test_a_file_the_archive_lacks_comes_by_rest(exchange, opened):
    exchange.faults.archive, exchange.faults.archive_match = "404", "2024-11.zip"
    window = (ms("2024-10-01"), ms("2025-01-01"))
    batch = opened().fetch(MARKET, *window)
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, *window))
    assert batch.report.archives_missing == (f"{MARKET.symbol}-1h-2024-11.zip",)
    assert asked(exchange, "/api/v3/klines")


def test_a_missing_file_without_rest_is_an_error_that_names_the_range(exchange, opened):
    exchange.faults.archive, exchange.faults.archive_match = "404", "2024-11.zip"
    with pytest.raises(ExchangeUnavailable, match=r"\[2024-11-01 00:00 UTC, 2024-12-01 00:00 UTC\)"):
        opened(NOWHERE).fetch(MARKET, ms("2024-10-01"), ms("2025-01-01"))


def test_an_exchange_that_only_refuses_is_rate_limited_with_its_pause(exchange, opened):
    exchange.faults.rest, exchange.faults.retry_after_s = "429", 9
    with pytest.raises(RateLimited, match="REST did not give them") as caught:
        opened().fetch(MARKET, ms("2025-03-01"), NOW_MS)
    assert caught.value.retry_after_s == 9


@pytest.mark.parametrize("fault", ["checksum", "truncated", "no_checksum"])
def test_a_file_that_cannot_be_proven_comes_by_rest_and_is_reported(exchange, opened, fault):
    """Some published sums are wrong: what the file holds is compared with the API, and nothing is silent."""
    exchange.faults.archive, exchange.faults.archive_match = fault, "2024-11.zip"
    window = (ms("2024-10-01"), ms("2025-01-01"))
    batch = opened().fetch(MARKET, *window)
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, *window))
    (said,) = batch.report.checksum_problems
    assert "2024-11.zip: published" in said
    assert ("unusable" in said) if fault == "truncated" else ("0 of the 720 klines" in said)


def test_a_file_that_cannot_be_proven_without_rest_is_an_error_with_both_sums(exchange, opened):
    exchange.faults.archive, exchange.faults.archive_match = "checksum", "2024-11.zip"
    with pytest.raises(ChecksumMismatch, match=r"sha256 .* was published, sha256 .*REST could not stand in"):
        opened(NOWHERE).fetch(MARKET, ms("2024-10-01"), ms("2025-01-01"))


def test_a_symbol_that_was_delisted_keeps_its_archive(tmp_path, exchange, opened):
    """REST no longer lists it; what the archive holds is returned, and the report says so."""
    source = opened()
    source._rest.fetch = lambda *_args, **_kwargs: (_ for _ in ()).throw(UnknownSymbol("gone"))
    batch = source.fetch(MARKET, ms("2025-02-01"), NOW_MS)
    assert batch.frame["timestamp"].iloc[-1] == pd.Timestamp("2025-03-06 23:00", tz="UTC")
    assert "does not list the symbol any more" in batch.report.differences[0]


def test_an_outage_inside_a_file_is_absent_rows_and_no_error(opened):
    day = next(day for day in range(20_000, 20_200) if day % 120 == 60) * DAY_MS
    frame = opened().fetch(MARKET, day, day + DAY_MS).frame
    hours = frame["timestamp"].dt.hour.tolist()
    assert hours == [*range(13), *range(16, 24)]
    last = frame.iloc[12]
    assert last["volume"] == 0
    assert last["close_time"] == day + 13 * 3_600_000 - 18_877


def test_status_is_known_only_with_rest(opened):
    assert opened().symbol_status(MARKET.symbol) == "TRADING"
    assert opened(None).symbol_status(MARKET.symbol) == "UNKNOWN"
