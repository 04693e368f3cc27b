"""Only rows that differ travel, whatever became of the rows around them; and writers do not meet."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from databases import on_one_engine
from frames_of import NOW, START
from hypothesis import given, settings
from hypothesis import strategies as st
from table_making import BTC, FRAMES, Pair, assert_same, in_use

from itb_assets.domain.klines import KLINE_COLUMNS
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError
from itb_assets.storage.files.dtypes import to_polars
from itb_assets.storage.files.frames import Record
from itb_assets.storage.tables.database import SqlStore
from itb_assets.storage.tables.diff import difference

FEATURES, RAW = "processed/features", "raw/klines"
ROWS = 400


@pytest.fixture(scope="module")
def processes():
    """Return what starts processes in milliseconds, the package already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["itb_assets.storage.tables.database"])
    return context


@pytest.fixture
def pair(tmp_path, database) -> Pair:
    return Pair(tmp_path, database)


def features(rows: int = ROWS, *, names: int = 3, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    times = pd.date_range(START, periods=rows, freq="5min").as_unit("ns")
    return pd.DataFrame({"timestamp": times} | {f"f{n}": draw.normal(size=rows) for n in range(names)})


def made(database, table="features") -> dict[pd.Timestamp, str]:
    """Return which transaction wrote each row that is there."""
    found = database.query(f"SELECT time, xmin::text AS made FROM {table}")  # noqa: S608 - a table of ours
    return {pd.Timestamp(row["time"]): row["made"] for row in found}


def changed_by(pair, frame, **how) -> set[pd.Timestamp]:
    """Write a frame and return the times whose rows were written."""
    before = made(pair.database)
    pair.write(FEATURES, frame, **how)
    pair.check(FEATURES)
    return {time for time, by in made(pair.database).items() if before.get(time) != by}


def test_rows_that_differ_here_and_there_travel_alone(pair):
    """Altered, new in between, vanished in between and new at the end, in one write."""
    before = features()
    pair.write(FEATURES, before.drop(index=[100, 101]).reset_index(drop=True))
    after = features(ROWS + 5)
    after.loc[:ROWS, "f0"] = before["f0"].reindex(range(ROWS + 1)).fillna(1.0)
    after[["f1", "f2"]] = before[["f1", "f2"]].reindex(range(ROWS + 5)).fillna(2.0)
    after.loc[7, "f1"] = 9.0
    after.loc[8, "f2"] = np.nan
    after = after.drop(index=[50, 51, 200]).reset_index(drop=True)
    places = [7, 8, 100, 101, *range(ROWS, ROWS + 5)]
    assert changed_by(pair, after) == {START + place * BTC.freq_delta for place in places}


def test_a_zero_that_changes_its_sign_is_another_value(pair):
    frame = features().assign(f0=0.0)
    pair.write(FEATURES, frame)
    frame.loc[5, "f0"] = -0.0
    assert changed_by(pair, frame) == {frame["timestamp"][5]}


def test_an_update_travels_from_where_it_differs(pair):
    """The tail begins where somebody looked again, the change lies behind it."""
    pair.write(FEATURES, features())
    tail = features().tail(50).reset_index(drop=True)
    tail.loc[47, "f0"] = 1.0
    assert changed_by(pair, tail, start=tail["timestamp"][0]) == {tail["timestamp"][47]}


def test_rows_of_a_shorter_frame_are_deleted_and_no_other_written(pair):
    pair.write(FEATURES, features())
    assert changed_by(pair, features().head(300)) == set()
    assert len(made(pair.database)) == 300


def test_a_frame_that_is_another_replaces_all_rows(pair):
    pair.write(FEATURES, features())
    assert len(changed_by(pair, features(seed=1))) == ROWS


def test_the_same_rows_under_another_definition_change_the_record_alone(pair):
    pair.write(FEATURES, features())
    assert changed_by(pair, features(), digest="d2") == set()
    assert pair.database.recorded(FEATURES, BTC).digest == "d2"


def test_a_note_changes_the_record_and_no_row(pair):
    """Rows that are known to be those of another version, as after their file was made from them."""
    manifest = pair.write(FEATURES, features())
    before = made(pair.database)
    pair.database.note(FEATURES, BTC, replace(manifest, version=manifest.version + 1))
    assert pair.database.recorded(FEATURES, BTC).version == manifest.version + 1
    assert_same(pair.database.find(FEATURES, BTC).read(), features())
    assert made(pair.database) == before


def test_a_record_that_is_gone_costs_a_comparison_and_no_row(pair):
    pair.write(FEATURES, features())
    before = made(pair.database)
    pair.database.query("DELETE FROM manifests")
    assert pair.database.find(FEATURES, BTC) is None
    assert pair.database.catch_up(FEATURES, BTC, FRAMES.open(pair.path(FEATURES)))
    assert made(pair.database) == before
    pair.check(FEATURES)


def test_a_record_of_an_older_version_is_unknown_and_made_anew(pair):
    """It told neither columns nor changes, and scores that were unknown had no row."""
    frame = features(10, names=1).rename(columns={"f0": "high_lgbm"})
    frame.insert(1, "sample", "live")
    frame.loc[3, "high_lgbm"] = np.nan
    pair.write("predictions/bold", frame)
    pair.database.query("UPDATE manifests SET manifest = NULL, present = NULL")
    pair.database.query("DELETE FROM predictions WHERE probability IS NULL")
    assert pair.database.recorded("predictions/bold", BTC) is None
    assert pair.database.catch_up("predictions/bold", BTC, FRAMES.open(pair.path("predictions/bold")))
    pair.check("predictions/bold")


def test_a_score_that_was_lost_is_mended_by_the_next_write(pair):
    frame = features(10, names=2).rename(columns={"f0": "high_lgbm", "f1": "low_lgbm"})
    frame.insert(1, "sample", "live")
    pair.write("predictions/bold", frame)
    pair.database.query("DELETE FROM predictions WHERE label = 'low' AND time < '2024-09-01 00:20Z'")
    pair.write("predictions/bold", frame.head(9))
    pair.check("predictions/bold")


@pytest.mark.parametrize(
    ("asset", "change", "said"),
    [
        (RAW, {"trades": 1.5}, "trades as float64: expected int64"),
        (RAW, {"shares": 1.5}, "shares, which table ohlcv does not keep"),
        ("predictions/bold", {"sample": "live", "highlgbm": 0.5}, "'highlgbm': expected a label and an"),
        ("predictions/bold", {"sample": "live"}, "expected at least one"),
        ("predictions/bold", {"sample": "live", "high_lgbm": 1}, "int64: expected a score of float64"),
        ("signals/bold", {"sample": "live", "close": 1.0, "why": "a\0b"}, "NUL characters in why"),
    ],
)
@on_one_engine("postgres", because="refused before the database is asked")
def test_what_a_table_cannot_hold_exactly_is_refused(database, asset, change, said):
    """A double in a column of integers would be written as other bits: both are eight bytes."""
    frame = features(3, names=0)
    if asset == RAW:
        frame = frame.assign(**dict.fromkeys(KLINE_COLUMNS[1:], 1.0)).astype(
            {"close_time": "int64", "trades": "int64"}
        )
    frame = frame.assign(**change)
    with pytest.raises(DataContractError, match=said):
        database.write(asset, BTC, frame, record=Record(asset, "BTCUSDT", "5m", "run", NOW))
    assert database.query("SELECT count(*) AS n FROM manifests") == [{"n": 0}]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), unique_by=lambda row: row[0]),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), unique_by=lambda row: row[0]),
)
@settings(max_examples=200)
def test_differences_are_those_of_two_dictionaries(old, new):
    """Compared row by row, the slow and obvious way."""
    stored, fresh = (dict(sorted(rows)) for rows in (old, new))
    tables = [
        to_polars(
            pd.DataFrame(
                {
                    "timestamp": pd.DatetimeIndex([place * 10**9 for place in rows], tz="UTC").as_unit("ns"),
                    "value": np.array(list(rows.values()), dtype="float64"),
                }
            )
        )
        for rows in (stored, fresh)
    ]
    found = difference(*tables)
    if stored == fresh:
        assert found is None
        return
    places = np.array(list(fresh), dtype=int)
    assert set(places[found.new]) == fresh.keys() - stored.keys()
    assert set(places[found.altered]) == {k for k in fresh.keys() & stored.keys() if fresh[k] != stored[k]}
    assert {int(time) // 10**9 for time in found.vanished} == stored.keys() - fresh.keys()
    touched = stored.items() ^ fresh.items()
    assert found.first.value // 10**9 == min(place for place, _ in touched)


def write_markets(url: str, symbols: list[str], rounds: int) -> None:
    """Write frames of several markets again and again, as one of several processes does."""
    with closing(SqlStore(url)) as store:
        for turn in range(rounds):
            for symbol in symbols:
                told = Record(FEATURES, symbol, "5m", f"run-{turn}", NOW, "d1")
                store.write(FEATURES, Market(symbol, "5m"), features(200 + turn, seed=turn), record=told)


@on_one_engine("postgres", because="the other one has a single session")
def test_processes_that_write_the_same_markets_in_any_order_do_not_meet(processes, database_url, database):
    """No deadlock, no error, and every frame is whole."""
    database.columns()
    symbols = [f"COIN{number}" for number in range(4)]
    jobs = [
        processes.Process(target=write_markets, args=(database_url, symbols[turn:] + symbols[:turn], 3))
        for turn in (0, 2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    for symbol in symbols:
        found = database.find(FEATURES, Market(symbol, "5m"))
        assert_same(found.read(), features(202, seed=2))


@on_one_engine("postgres", because="the other one has a single session")
def test_a_second_writer_of_a_frame_waits_for_the_first(pair, database_url):
    """Two at once would each find the other's rows missing; another frame is not held up."""
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    held = f"SELECT pg_advisory_xact_lock(hashtextextended('{FEATURES} {BTC}', 0))"
    pair.database.columns()
    told = Record("signals/bold", "BTCUSDT", "5m", "run", NOW)
    with ThreadPoolExecutor(1) as pool, closing(SqlStore(database_url)) as other:
        with in_use(database_url, held):
            first = pool.submit(pair.write, FEATURES, features())
            while not other.query(waiting)[0]["n"]:
                assert not first.done()
            other.write("signals/bold", BTC, features(5).assign(sample="live", close=1.0), record=told)
            assert other.recorded(FEATURES, BTC) is None
        first.result()
    pair.check(FEATURES)


def write_and_die(url: str, frame: pd.DataFrame) -> None:
    """Write rows and be killed before they commit."""
    store = SqlStore(url)
    with store._connections.writing() as cursor:
        cursor.execute("DELETE FROM features WHERE time > '2024-09-01 12:00Z'")
        cursor.execute("UPDATE manifests SET version = version + 1")
        os.kill(os.getpid(), signal.SIGKILL)
    assert frame.empty


@on_one_engine("postgres", because="the other one has a single session")
def test_a_writer_killed_before_it_commits_wrote_nothing(processes, pair, database_url):
    pair.write(FEATURES, features())
    job = processes.Process(target=write_and_die, args=(database_url, features()))
    job.start()
    job.join()
    assert job.exitcode == -signal.SIGKILL
    pair.check(FEATURES)
    pair.write(FEATURES, features(seed=1))
    pair.check(FEATURES)
