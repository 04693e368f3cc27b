"""Columns of features and labels: added when a name is new, refused when it means something else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from databases import on_one_engine
from hypothesis import given
from hypothesis import strategies as st
from table_making import BTC, NOW, ODD, assert_same, in_use

from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError, MarketBusy, StorageError
from itb_assets.storage.files.frames import Record
from itb_assets.storage.tables import columns_catalogue
from itb_assets.storage.tables.columns_catalogue import MAX_COLUMNS, sql_name
from itb_assets.storage.tables.database import SqlStore

FEATURES = "processed/features"


def features(names, rows=3, value=1.5) -> pd.DataFrame:
    times = pd.date_range("2024-09-01", periods=rows, freq="5min", tz="UTC").as_unit("ns")
    return pd.DataFrame({"timestamp": times} | {name: np.full(rows, value) for name in names})


def told(market=BTC) -> Record:
    return Record(FEATURES, market.symbol, market.freq, "run-1", NOW, "d1")


def write(store, frame, market=BTC):
    return store.write(FEATURES, market, frame, record=told(market))


def defined(url, **definitions) -> SqlStore:
    return SqlStore(url, definitions={"features": definitions})


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), st.text(min_size=1))
def test_names_in_sql_are_plain_and_never_two_for_one(name, other):
    column = sql_name(name)
    assert len(column) <= 63
    assert column.isascii()
    assert column == column.lower()
    assert column.replace("_", "a").isalnum()
    assert column not in {"symbol", "freq", "time", "xmin", "ctid"}
    assert name.lower() == other.lower() or column != sql_name(other)


def test_plain_names_are_those_that_a_person_would_write():
    assert sql_name("close_sma_5") == sql_name("close_SMA_5") == "close_sma_5"
    assert len({sql_name(name) for name in ODD}) == len(ODD)


def test_each_name_has_its_column_and_keeps_it(database_url, database):
    """Two markets share columns; what one of them has no feature for stays NULL."""
    eth = Market("ETHUSDT", "1h")
    write(database, features(ODD))
    write(database, features([*ODD[:2], "fresh"], value=2.5), eth)
    assert_same(database.find(FEATURES, BTC).read(), features(ODD))
    assert_same(database.find(FEATURES, eth).read(), features([*ODD[:2], "fresh"], value=2.5))
    known = {one.name: one for one in database.columns()}
    assert set(known) == {*ODD, "fresh"}
    assert all(one.column == sql_name(name) and one.dtype == "float64" for name, one in known.items())
    assert database.query('SELECT count("fresh") AS n, count(*) AS "all" FROM features') == [
        {"n": 3, "all": 6}
    ]


def test_a_feature_no_longer_computed_is_unknown_from_then_on(database):
    write(database, features(["sma", "rsi"]))
    write(database, features(["sma"]))
    assert database.query("SELECT count(rsi) AS n, count(sma) AS m FROM features") == [{"n": 0, "m": 3}]


def test_a_name_defined_otherwise_is_refused_until_somebody_says_so(database_url):
    """Both definitions are shown; nothing was written; the old one is kept."""
    with closing(defined(database_url, sma='{"window":5}')) as store:
        write(store, features(["sma"]))
    with closing(defined(database_url, sma='{"window":9}')) as store:
        with pytest.raises(
            StorageError, match=r"'sma' is defined otherwise: there .*5.*, here .*9.*--redefine sma"
        ):
            write(store, features(["sma", "fresh"], value=3.5))
        assert [one.name for one in store.columns()] == ["sma"]
        assert_same(store.find(FEATURES, BTC).read(), features(["sma"]))
        [now] = store.redefine("sma")
        assert (now.definition, now.previous) == ('{"window":9}', '{"window":5}')
        write(store, features(["sma", "fresh"], value=3.5))
        assert_same(store.find(FEATURES, BTC).read(), features(["sma", "fresh"], value=3.5))
        with pytest.raises(StorageError, match="no table has it"):
            store.redefine("nothing")


def test_a_definition_that_was_never_told_is_filled_in(database_url, database):
    write(database, features(["sma"]))
    assert database.columns()[0].definition == ""
    with closing(defined(database_url, sma="it's 5")) as store:
        write(store, features(["sma"], rows=4))
        assert store.columns()[0].definition == "it's 5"


def test_a_name_of_another_type_is_refused(database):
    write(database, features(["sma"]))
    with pytest.raises(StorageError, match="'sma' is float64 there and boolean here"):
        write(database, features([]).assign(sma=pd.array([True, None, False], dtype="boolean")))


def test_two_names_for_one_column_are_refused(database):
    """SQL knows no capitals, unless everybody quotes every name for ever."""
    with pytest.raises(StorageError, match="would be one column"):
        write(database, features(["Sma", "SMA"]))
    write(database, features(["Sma"]))
    with pytest.raises(StorageError, match=r"'sma' and 'Sma' would be one"):
        write(database, features(["sma"]))
    assert len(database.columns()) == 1


@on_one_engine("postgres", because="a limit of PostgreSQL, and 1,590 columns take the other one a minute")
def test_more_columns_than_a_table_has_room_for_are_refused(database):
    """By name, before anything is written; dropped columns count."""
    many = ", ".join(f"ADD COLUMN x{number} float8" for number in range(MAX_COLUMNS - 5))
    write(database, features(["sma"]))
    database.query(f"ALTER TABLE features {many}")
    database.query("ALTER TABLE features DROP COLUMN x0")
    with pytest.raises(DataContractError, match=r"1589 columns .* 2 more \(one, two\): it has room for 1590"):
        write(database, features(["sma", "one", "two"]))
    assert_same(database.find(FEATURES, BTC).read(), features(["sma"]))
    write(database, features(["sma", "one"]))
    assert_same(database.find(FEATURES, BTC).read(), features(["sma", "one"]))


@on_one_engine(
    "postgres", because="a limit of PostgreSQL's pages, and the other one is slow with many columns"
)
def test_the_widest_row_that_is_accepted_fits(database):
    """One number more is refused by name before a column is added."""
    with pytest.raises(DataContractError, match=r"about 98\d numbers") as caught:
        write(database, features([f"f{number}" for number in range(1100)]))
    assert database.columns() == ()
    widest = int(str(caught.value).partition("about ")[2].partition(" ")[0])
    frame = features([f"f{number}" for number in range(widest)], rows=2)
    write(database, frame)
    assert_same(database.find(FEATURES, BTC).read(), frame)
    with pytest.raises(DataContractError, match=f"would have {widest + 1} values"):
        write(database, features([f"f{number}" for number in range(widest + 1)]))


@on_one_engine("postgres", because="the other one has a single session")
def test_a_table_in_use_is_waited_for(database_url, database, monkeypatch):
    monkeypatch.setattr(columns_catalogue, "LOCK_TIMEOUT_S", 0.1)
    write(database, features(["sma"]))
    held = threading.Event()

    def hold():
        with in_use(database_url, "SELECT * FROM features"):
            held.set()
            waited.wait(0.4)

    waited = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        held.wait()
        write(database, features(["sma", "fresh"]))
        waited.set()
        holding.result()
    assert_same(database.find(FEATURES, BTC).read(), features(["sma", "fresh"]))


@on_one_engine("postgres", because="the other one has a single session")
def test_a_table_that_stays_in_use_is_another_time(database_url, database, monkeypatch):
    """Transient, by name, nothing written; readers were let through in between."""
    monkeypatch.setattr(columns_catalogue, "LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(columns_catalogue, "LOCK_WAIT_S", 0.3)
    write(database, features(["sma"]))
    with (
        in_use(database_url, "SELECT * FROM features"),
        pytest.raises(MarketBusy, match="table features lacks fresh and stayed in use"),
    ):
        write(database, features(["sma", "fresh"]))
    assert_same(database.find(FEATURES, BTC).read(), features(["sma"]))


@on_one_engine("postgres", because="the other one has a single session")
def test_many_markets_that_bring_columns_at_once_all_get_them(database_url, database):
    """Each by a connection of its own, as processes have; no deadlock, no row lost."""
    database.columns()
    markets = [Market(f"COIN{number}", "5m") for number in range(6)]
    frames = {
        market: features([f"of_{market.symbol}_{number}" for number in range(4)] + ["shared"], rows=500)
        for market in markets
    }

    def run(market):
        with closing(SqlStore(database_url)) as store:
            write(store, frames[market], market)
            write(store, frames[market].assign(late=2.0), market)

    with ThreadPoolExecutor(len(markets)) as pool:
        list(pool.map(run, markets))
    for market, frame in frames.items():
        assert_same(database.find(FEATURES, market).read(), frame.assign(late=2.0))
    assert len(database.columns()) == 6 * 4 + 2


@on_one_engine("postgres", because="the other one has a single session")
def test_writers_that_fill_in_definitions_at_once_all_end(database_url, database):
    """Each has the same columns in another order; all of them end."""
    names = [f"f{number:03}" for number in range(300)]
    write(database, features(names))
    together = threading.Barrier(4)

    def tell(turn: int) -> None:
        own = [*names[turn * 75 :], *names[: turn * 75]][:: -1 if turn % 2 else 1]
        with closing(defined(database_url, **dict.fromkeys(own, "told"))) as store:
            store.query("SELECT 1")
            together.wait()
            write(store, features(own, rows=3), Market(f"M{turn}USDT", "5m"))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tell, range(4))) == [None] * 4
    assert {one.definition for one in database.columns()} == {"told"}
