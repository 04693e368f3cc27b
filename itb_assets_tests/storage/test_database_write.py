"""Frames that lie in the database alone: written, spliced and refused as the frames on disk are."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from frames_of import START
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_making import BTC, FRAMES, Pair, assert_same, features, signals

from itb_assets.domain.klines import KLINE_COLUMNS, to_grid
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, MarketBusy, StorageError
from itb_assets.storage.files.dtypes import step_of, to_polars
from itb_assets.storage.files.manifest import EVERYTHING

KINDS = {"processed/features": features(), "signals/aggressive": signals()}
TOLD = ("rows", "first", "last", "columns", "digest", "sources", "run_id", "unchanged", "version")


@pytest.fixture
def pair(tmp_path, database) -> Pair:
    return Pair(tmp_path, database)


def on_both(pair, asset, frame, *, start=None, whole=True, digest="d1"):
    """Write to a file and to the database, each by itself; return two manifests or two errors."""
    told, path, found = pair.record(asset, digest), pair.path(asset), []
    ways = (
        (lambda: FRAMES.write(path, frame, record=told))
        if whole
        else (lambda: FRAMES.splice(path, frame, record=told, from_time=start)),
        lambda: pair.database.write(asset, BTC, frame, record=told, from_time=start, whole=whole),
    )
    for way in ways:
        try:
            found.append(way())
        except (DataContractError, StorageError) as error:
            found.append(error)
    return found


@pytest.mark.parametrize("asset", KINDS)
def test_the_database_does_what_the_file_does(pair, engine_name, asset):
    """Any sequence of writes and splices: the same rows, manifests, changes and refusals."""

    @settings(
        max_examples={"postgres": 40, "timescaledb": 8}[engine_name],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        KINDS[asset],
        st.booleans(),
        st.none() | st.integers(0, 12).map(lambda rows: START + rows * BTC.freq_delta),
        st.sampled_from(["d1", "d1", "d2"]),
        st.booleans(),
    )
    def write(frame, whole, start, digest, again):
        stored = FRAMES.open(pair.path(asset)) if pair.path(asset).exists() else None
        if stored is not None and again:  # the columns and the definition stored, as an update has them
            digest = stored.manifest.digest
            fits = set(stored.manifest.columns) <= set(frame.columns)
            frame = frame[list(stored.manifest.columns)] if fits and not whole else stored.read()
            frame = frame.astype(
                {n: "object" if d == "str" else d for n, d in stored.manifest.columns.items()}
            )
        file, table = on_both(pair, asset, frame, start=None if whole else start, whole=whole, digest=digest)
        assert type(file) is type(table)
        if isinstance(file, Exception):
            return
        assert {name: getattr(table, name) for name in TOLD} == {name: getattr(file, name) for name in TOLD}
        assert file.step_s in (None, table.step_s)  # only ever less is known of a file
        assert [one[:2] for one in table.changes] == [one[:2] for one in file.changes]
        found = pair.database.find(asset, BTC)
        assert replace(table, unchanged=False) == found.manifest
        stored = FRAMES.open(pair.path(asset)).read()
        assert table.step_s in (None, step_of(to_polars(stored)["timestamp"]))
        assert_same(found.read(), stored)

    write()


def klines(rows: int, *, gap: slice = slice(0), close: float = 1.0) -> pd.DataFrame:
    times = pd.date_range(START, periods=rows, freq="5min").as_unit("ns")
    frame = pd.DataFrame({"timestamp": times} | dict.fromkeys(KLINE_COLUMNS[1:], close))
    frame = frame.astype({"close_time": "int64", "trades": "int64"})
    return frame.drop(index=frame.index[gap]).reset_index(drop=True)


def written(pair, asset, frame, *, start=None, sources=()):
    """Write as the pipeline does in phase `db`."""
    told = pair.record(asset, sources=sources)
    manifest = pair.database.write(asset, BTC, frame, record=told, from_time=start)
    pair.versions[asset] = manifest.version
    return manifest


def test_changes_of_what_a_frame_is_made_of_are_its_own(pair):
    """The grid and the matrix have no rows of their own to compare: their sources tell what changed."""
    raw, sources = ("raw/klines",), ("processed/data", "processed/features")
    written(pair, "raw/klines", klines(20, gap=slice(5, 8)))
    first = written(pair, "processed/data", to_grid(klines(20, gap=slice(5, 8)), BTC), sources=raw)
    assert first.changes[-1].changed_from == EVERYTHING
    again = written(pair, "processed/data", to_grid(klines(20, gap=slice(5, 8)), BTC), sources=raw)
    assert again.unchanged
    longer = klines(30, gap=slice(5, 8))
    longer.loc[16, "close"] = 2.0  # the last but one
    changed = longer["timestamp"][16]
    written(pair, "raw/klines", longer.iloc[10:].reset_index(drop=True), start=longer["timestamp"][10])
    start = longer["timestamp"][14]
    tail = to_grid(longer.iloc[14:].reset_index(drop=True), BTC)
    data = written(pair, "processed/data", tail, start=start, sources=raw)
    assert (data.rows, data.changes[-1].changed_from) == (30, changed)
    grid = to_grid(longer, BTC)
    assert_same(pair.database.find("processed/data", BTC).read(), grid)
    own = grid[["timestamp"]].assign(sma=1.0)
    written(pair, "processed/features", own, sources=("processed/data",))
    matrix = grid.assign(sma=1.0, high_4=pd.array([True] * 30, dtype="boolean"))
    written(pair, "labeled/matrix", matrix, sources=sources)
    assert_same(pair.database.find("labeled/matrix", BTC).read(), matrix)


def test_a_frame_whose_klines_changed_since_says_what_to_materialize(pair):
    """What it was made of is gone: a part of it would be another frame."""
    written(pair, "raw/klines", klines(20))
    written(pair, "processed/data", to_grid(klines(20), BTC), sources=("raw/klines",))
    stored = pair.database.find("processed/data", BTC)
    written(pair, "raw/klines", klines(25))
    with pytest.raises(StorageError, match="materialize processed/data"):
        stored.read()
    tail = klines(30).tail(5).reset_index(drop=True)
    written(pair, "processed/data", to_grid(klines(25), BTC), sources=("raw/klines",))
    written(pair, "raw/klines", tail, start=tail["timestamp"][0])
    assert_same(pair.database.find("processed/data", BTC).read(), to_grid(klines(25), BTC))


def test_a_frame_made_of_what_the_database_lacks_says_so(pair):
    pair.versions |= {"raw/klines": 1, "processed/data": 1, "processed/features": 1}
    written(pair, "processed/data", to_grid(klines(3), BTC), sources=("raw/klines",))
    with pytest.raises(StorageError, match="the database lacks: materialize raw/klines"):
        pair.database.find("processed/data", BTC).read()


@pytest.mark.parametrize("rows", [2, 2_600, 9_001])
def test_a_grid_of_years_has_every_row(tmp_path, database, rows):
    """Its times are counted in whole numbers: nanoseconds are beyond what a double can count."""
    hourly = Market("BTCUSDT", "1h")
    raw = klines(rows, gap=slice(1, rows - 1, 2))
    raw["timestamp"] = START + (raw["timestamp"] - START) * 12
    pair = Pair(tmp_path, database, hourly)
    pair.write("raw/klines", raw)
    pair.write("processed/data", to_grid(raw, hourly), sources=("raw/klines",))
    pair.check("processed/data")


def test_rows_lost_outside_are_noticed(pair):
    written(pair, "raw/klines", klines(20))
    stored = pair.database.find("raw/klines", BTC)
    pair.database.query(
        "DELETE FROM ohlcv WHERE time = :time", time=klines(20)["timestamp"][15].to_pydatetime()
    )
    for read in (stored.read, lambda: stored.tail(10), lambda: stored.since(klines(20)["timestamp"][12])):
        with pytest.raises(StorageError, match=r"its record says \d+: materialize raw/klines again"):
            read()


def test_a_frame_written_meanwhile_is_another_one(pair):
    """Nobody reads half of one version and half of the next."""
    written(pair, "raw/klines", klines(20))
    stored = pair.database.find("raw/klines", BTC)
    written(pair, "raw/klines", klines(21))
    with pytest.raises(MarketBusy, match="run again"):
        stored.read()
