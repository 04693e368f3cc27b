"""What the keeper of frames promises beyond single tables and files: composed frames, either side ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from frames_of import NOW, START, record
from pandas.testing import assert_frame_equal

from itb_assets.domain.klines import KLINE_DTYPES, to_grid
from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.keeper import FrameKeeper
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import Phase
from itb_assets.storage.tables.database import SqlStore

MARKET = Market("BTCUSDT", "5m")
KLINES, DATA = "raw/klines", "processed/data"
Open = Callable[[Phase], FrameKeeper]


@pytest.fixture
def keeper(tmp_path, database) -> Open:
    """Return how to open a data root in a phase, all over one database."""

    def opened(phase: Phase) -> FrameKeeper:
        store: SqlStore | None = None if phase == "files" else database
        return FrameKeeper(Layout(tmp_path / "data"), FrameStore(), phase, store)

    return opened


def klines(rows: int, *, without: slice = slice(0)) -> pd.DataFrame:
    """Return klines with some of them missing."""
    times = pd.date_range(START, periods=rows, freq="5min").as_unit("ns")
    values = np.random.default_rng(1).normal(60_000, 500, rows)
    frame = pd.DataFrame(
        {name: values if dtype == "float64" else np.arange(rows) for name, dtype in KLINE_DTYPES.items()}
    ).assign(timestamp=times)
    return frame.drop(index=frame.index[without]).reset_index(drop=True)


def write(keeper: FrameKeeper, asset: str, frame: pd.DataFrame, minutes: int = 0, **options: object) -> None:
    """Write a frame as a run of that minute would."""
    sources = {KLINES: keeper.find(MARKET, KLINES).manifest.version} if asset == DATA else {}  # type: ignore[union-attr]
    made = record(asset=asset, written_at=NOW + timedelta(minutes=minutes), sources=sources, digest=asset)
    keeper.write(MARKET, asset, frame, record=made, **options)  # type: ignore[arg-type]


def test_the_grid_of_a_long_history_with_a_gap_comes_back_whole(keeper):
    """In nanoseconds 104 days are more than a double counts: the last row must not be lost to that."""
    raw = klines(32_000, without=slice(500, 512))
    grid = to_grid(raw, MARKET)
    both = keeper("dual")
    write(both, KLINES, raw)
    write(both, DATA, grid)
    table = keeper("db_read").find(MARKET, DATA)
    assert table is not None
    assert_frame_equal(table.read(), grid, check_exact=True)
    for rows in (1, 13, 31_600):
        assert_frame_equal(table.tail(rows), grid.tail(rows).reset_index(drop=True), check_exact=True)
    since = grid["timestamp"].iloc[505]
    expected = grid[grid["timestamp"] >= since].reset_index(drop=True)
    assert_frame_equal(table.since(since, ["close", "timestamp"]), expected[["close", "timestamp"]])


def test_tables_that_missed_a_run_get_it_when_they_are_read(keeper):
    """A run without its database writes files alone; tables read later hold what it wrote."""
    frame = klines(50)
    write(keeper("dual"), KLINES, frame.head(40))
    write(
        keeper("files"),
        KLINES,
        frame.tail(15).reset_index(drop=True),
        5,
        from_time=frame["timestamp"].iloc[35],
    )
    found = keeper("db_read").find(MARKET, KLINES)
    assert found is not None
    assert_frame_equal(found.read(), frame, check_exact=True)


def test_a_table_that_is_ahead_is_never_taken_back_by_an_older_file(keeper):
    """The writer of the file was killed; what it committed is read, and the next write keeps it."""
    frame, reading = klines(50), keeper("db_read")
    write(reading, KLINES, frame.head(30))
    path = reading.layout.klines(MARKET)
    before = {name: name.read_bytes() for name in path.parent.iterdir() if name.is_file()}
    write(reading, KLINES, frame.iloc[30:40].reset_index(drop=True), 5, from_time=frame["timestamp"].iloc[30])
    for name, content in before.items():
        name.write_bytes(content)
    found = reading.find(MARKET, KLINES)
    assert found is not None
    assert found.rows == 40
    write(reading, KLINES, frame.iloc[40:].reset_index(drop=True), 10, from_time=frame["timestamp"].iloc[40])
    file = reading.file(MARKET, KLINES)
    assert file is not None
    assert_frame_equal(file.read(), frame, check_exact=True)


def test_a_damaged_file_does_not_keep_tables_from_being_read(keeper):
    """In phase db_read the tables answer; the file is made again at the next write."""
    frame, reading = klines(50), keeper("db_read")
    write(reading, KLINES, frame.head(40))
    reading.layout.klines(MARKET).write_bytes(b"not ours")
    found = reading.find(MARKET, KLINES)
    assert found is not None
    assert found.rows == 40
    write(reading, KLINES, frame.tail(10).reset_index(drop=True), 5, from_time=frame["timestamp"].iloc[40])
    assert reading.frames.verify(reading.layout.klines(MARKET)) == ()
    with pytest.raises(StorageError, match="no database"):
        FrameKeeper(reading.layout, reading.frames, "db", None).find(MARKET, KLINES)


def test_without_files_updates_and_refusals_are_those_of_files(keeper):
    """In phase db an update costs its rows, the same rows alter nothing, and other columns are refused."""
    frame, tables = klines(60), keeper("db")
    write(tables, KLINES, frame.head(40))
    write(tables, KLINES, frame.iloc[35:].reset_index(drop=True), 5, from_time=frame["timestamp"].iloc[35])
    found = tables.find(MARKET, KLINES)
    assert found is not None
    assert_frame_equal(found.read(), frame, check_exact=True)
    assert found.manifest.changed_since(found.manifest.version - 1) == frame["timestamp"].iloc[40]
    version = found.manifest.version
    write(tables, KLINES, frame.iloc[50:].reset_index(drop=True), 10, from_time=frame["timestamp"].iloc[50])
    again = tables.find(MARKET, KLINES)
    assert again is not None
    assert again.manifest.version == version
    assert not tables.layout.klines(MARKET).exists()
