"""The public archive: verified, complete files or a clear error; never something in between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.demo.zips import csv_of, make_zip
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.errors import (
    ArchiveError,
    ChecksumMismatch,
    DataContractError,
    ExchangeRefused,
    ExchangeUnavailable,
    RateLimited,
    StorageError,
)
from itb_assets.sources.archive import read_zip
from itb_assets.sources.archive_index import day_file, month_file, plan_files
from itb_assets.sources.archive_shelf import published_sum
from itb_assets.sources.cache import DownloadCache
from itb_assets.sources.history import HistorySource, open_history


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


NOW_MS = ms("2025-03-10 09:02:30")
MARKET = Market(DEMO_SYMBOLS[0], "1h")
WINDOW = (ms("2024-12-01"), ms("2025-02-01"))
SPOILT = "2025-01.zip"


@pytest.fixture
def exchange() -> Iterator[DemoExchange]:
    with DemoExchange(now_ms=lambda: NOW_MS, faults=Faults(archive_match=SPOILT)) as running:
        yield running


@pytest.fixture
def source(exchange, tmp_path) -> Iterator[HistorySource]:
    made = open_history(
        rest_url=None,
        archive_url=exchange.url,
        cache_dir=tmp_path,
        now_ms=lambda: NOW_MS,
        sleep=lambda _seconds: None,
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("checksum", ChecksumMismatch, r"sha256 [0-9a-f]{64} was published, sha256 [0-9a-f]{64} was found"),
        ("no_checksum", ChecksumMismatch, "no readable checksum was published"),
        ("truncated", ChecksumMismatch, "truncated"),
        ("torn", ArchiveError, "torn or no zip"),
        ("empty", ArchiveError, "is empty: expected klines of"),
        ("no_csv", ArchiveError, "holds 0 CSV files"),
        ("nan", DataContractError, r"NaN.*close at 2025-01-16 13:00 UTC"),
        ("duplicate", DataContractError, r"1 duplicate rows, first at 2025-01-16 13:00 UTC"),
        ("conflict", DataContractError, r"1 duplicate rows, first at 2025-01-16 13:00 UTC"),
        ("unsorted", DataContractError, r"1 unsorted rows, first at 2025-01-16 13:00 UTC"),
        ("403", ExchangeRefused, "403"),
        ("429", RateLimited, "429"),
        ("500", ExchangeUnavailable, "500"),
        ("drop", ExchangeUnavailable, "broke the connection off"),
    ],
)
def test_every_fault_has_its_own_error_and_names_the_file(exchange, source, tmp_path, fault, error, said):
    exchange.faults.archive = fault
    with pytest.raises(error, match=said) as caught:
        source.fetch(MARKET, *WINDOW)
    assert type(caught.value) is error
    assert f"{MARKET.symbol}-1h-2025-01.zip" in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if SPOILT in path.name and error is ChecksumMismatch]
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_that_is_missing_is_no_error_and_is_named(exchange, source):
    exchange.faults.archive = "404"
    batch = source.fetch(MARKET, *WINDOW)
    assert batch.report.archives_missing == (f"{MARKET.symbol}-1h-2025-01.zip",)
    assert batch.frame["timestamp"].iloc[-1] == pd.Timestamp("2024-12-31 23:00", tz="UTC")


def test_a_wrong_checksum_is_downloaded_once_more(exchange, source):
    """The archive replaces files: the second answer may be sound."""
    exchange.faults.archive, exchange.faults.strikes = "checksum", 2
    batch = source.fetch(MARKET, *WINDOW)
    assert batch.report.retries == 1
    pd.testing.assert_frame_equal(batch.frame, demo_klines(MARKET, *WINDOW))
    assert sum(target.endswith(SPOILT) for target in exchange.requests) == 2


def test_a_file_with_a_header_reads_like_one_without(exchange, source):
    exchange.faults.archive = "header"
    pd.testing.assert_frame_equal(source.fetch(MARKET, *WINDOW).frame, demo_klines(MARKET, *WINDOW))


def test_verified_files_are_kept_and_a_damaged_one_is_fetched_again(exchange, source, tmp_path):
    source.fetch(MARKET, *WINDOW)
    asked = len(exchange.requests)
    batch = source.fetch(MARKET, *WINDOW)
    assert (len(exchange.requests), batch.report.resumed) == (asked, 2)
    kept = sorted(tmp_path.rglob("*.zip"))
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    assert source.fetch(MARKET, *WINDOW).report.resumed == 1
    assert len(exchange.requests) == asked + 2


def test_a_folder_that_is_not_there(tmp_path):
    source = open_history(rest_url=None, archive_url=str(tmp_path / "no such"), cache_dir=tmp_path)
    with pytest.raises(ArchiveError, match="no such does not exist"):
        source.fetch(MARKET, *WINDOW)


def test_milliseconds_and_microseconds_are_told_row_by_row():
    """One file that holds both reads as one series."""
    file = month_file(MARKET, ms("2025-01-01"))
    truth = demo_klines(MARKET, file.start_ms, file.end_ms)
    lines = csv_of(pl.from_pandas(truth)).decode().splitlines()
    for at in range(0, len(lines), 2):
        fields = lines[at].split(",")
        fields[0], fields[6] = fields[0][:-3], fields[6][:-3]
        lines[at] = ",".join(fields)
    assert {len(line.split(",")[0]) for line in lines} == {13, 16}
    frame = read_zip(make_zip(file.name, "\n".join(lines).encode()), file)
    pd.testing.assert_frame_equal(frame, truth)


def test_rows_of_another_month_are_refused():
    file, other = month_file(MARKET, ms("2024-11-01")), month_file(MARKET, ms("2024-12-01"))
    csv = csv_of(pl.from_pandas(demo_klines(MARKET, other.start_ms, other.end_ms)))
    with pytest.raises(
        DataContractError, match="744 rows lie outside the file's period, first at 2024-12-01"
    ):
        read_zip(make_zip(file.name, csv), file)


def test_a_line_that_is_no_kline_is_refused():
    file = day_file(MARKET, ms("2024-11-01"))
    with pytest.raises(DataContractError, match="12 comma separated numbers"):
        read_zip(make_zip(file.name, b"1730419200000,abc,1,1,1,1,1730422799999,1,1,1,1,0\n"), file)


def test_a_whole_month_is_one_file_and_the_month_under_way_is_days():
    files = plan_files(MARKET, ms("2025-01-20"), NOW_MS, horizon_ms=ms("2025-03-03"))
    assert [file.name.removeprefix(f"{MARKET.symbol}-1h-") for file in files] == [
        "2025-01.zip",
        "2025-02.zip",
        "2025-03-01.zip",
        "2025-03-02.zip",
    ]
    assert plan_files(MARKET, NOW_MS, NOW_MS + DAY_MS, horizon_ms=ms("2025-03-03")) == ()


@pytest.mark.parametrize("text", ["", "  \n", "deadbeef  name.zip", "g" * 64])
def test_what_is_no_checksum_is_none(text):
    assert published_sum(text) is None
    assert published_sum("AB" * 32 + "  name.zip") == "ab" * 32


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from itb_assets.domain.markets import Market
from itb_assets.errors import StorageFull
from itb_assets.sources.cache import DownloadCache
from itb_assets.sources.history import open_history
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
source = open_history(rest_url=None, archive_url=sys.argv[1], cache_dir=Path(sys.argv[2]))
try:
    source.fetch(Market(sys.argv[3], "1h"), int(sys.argv[4]), int(sys.argv[5]))
except StorageFull as error:
    print(error)
    sys.exit(4)
"""


def test_a_full_disk_is_storage_full_and_leaves_nothing_torn(exchange, tmp_path):
    """A file may not grow past 20,000 bytes here, which is what a quota does."""
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, exchange.url, tmp_path, MARKET.symbol, *map(str, WINDOW)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split(":")[0][:13]) == (4, "no space left"), done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_cache_that_cannot_be_written_is_a_storage_error(exchange, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    source = open_history(rest_url=None, archive_url=exchange.url, cache_dir=taken, now_ms=lambda: NOW_MS)
    with pytest.raises(StorageError, match="cannot be written"):
        source.fetch(MARKET, *WINDOW)
    source.close()


def test_the_cache_stays_within_its_bound(tmp_path):
    cache = DownloadCache(tmp_path, "here", max_bytes=25_000)
    for hour in range(6):
        start = WINDOW[0] + hour * 100 * MARKET.freq_ms
        end = start + 100 * MARKET.freq_ms
        cache.put_page(MARKET, start, end, demo_klines(MARKET, start, end))
    files = list(Path(tmp_path).rglob("*.parquet"))
    assert sum(path.stat().st_size for path in files) > 25_000
    cache.prune()
    kept = list(Path(tmp_path).rglob("*.parquet"))
    assert 0 < sum(path.stat().st_size for path in kept) <= 25_000
