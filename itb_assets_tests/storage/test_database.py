"""What the tables promise, on a real PostgreSQL: one transaction, equal rows left, vanished rows gone."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from databases import on_one_engine
from frames_of import START, record, times
from pandas.testing import assert_frame_equal

from itb_assets.domain.klines import KLINE_COLUMNS
from itb_assets.domain.markets import Market
from itb_assets.errors import DatabaseUnavailable, DataContractError, StorageError
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.tables.database import SqlStore

BTC = Market("BTCUSDT", "5m")
ETH = Market("ETHUSDT", "5m")
FRAMES = FrameStore()


def klines(rows: int, *, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    open_times = times(rows)
    frame = pd.DataFrame({name: draw.normal(60_000, 1, rows) for name in KLINE_COLUMNS[1:]})
    frame.insert(0, "timestamp", open_times)
    frame["close_time"] = open_times.as_unit("ms").astype("int64") + 299_999
    frame["trades"] = draw.integers(1, 10**12, rows)
    return frame


class Written:
    """A file and a database that are written together, as the pipeline does."""

    def __init__(self, folder, database, asset="raw/klines", market=BTC):
        """Take the file's name from asset and market."""
        self.path = folder / asset / f"{market.symbol}.parquet"
        self.database, self.asset, self.market = database, asset, market
        self.answers = []

    def write(self, frame):
        return FRAMES.write(self.path, frame, record=record(), before_commit=self._rows(frame, None))

    def splice(self, tail, from_time=None):
        start = from_time or tail["timestamp"][0]
        return FRAMES.splice(
            self.path, tail, record=record(), from_time=start, before_commit=self._rows(tail, start)
        )

    def _rows(self, frame, start):
        return lambda manifest: self.answers.append(
            self.database.replace(self.asset, self.market, frame, manifest=manifest, from_time=start)
        )


@pytest.fixture
def written(tmp_path, database) -> Written:
    return Written(tmp_path, database)


def test_klines_come_back_exactly(written, database):
    """All twelve fields, float bits and dtypes included, in a window that is open at its end."""
    frame = klines(500)
    manifest = written.write(frame)
    assert_frame_equal(database.read("ohlcv", BTC), frame, check_exact=True)
    window = database.read("ohlcv", BTC, start=frame["timestamp"][10], end=frame["timestamp"][20])
    assert_frame_equal(window, frame.iloc[10:20].reset_index(drop=True), check_exact=True)
    some = database.read("ohlcv", BTC, columns=["close", "timestamp"])
    assert_frame_equal(some, frame[["close", "timestamp"]], check_exact=True)
    assert database.read("ohlcv", ETH).empty
    found = database.recorded("raw/klines", BTC)
    assert (found.rows, found.sha256, found.version) == (500, manifest.sha256, manifest.version)


def test_rows_replaced_are_only_those_that_differ(written, database):
    """Equal rows are not written again: their physical place in the table stays."""
    frame = klines(300)
    written.write(frame)
    place = "SELECT time, ctid::text AS place FROM ohlcv ORDER BY time"
    before = {row["time"]: row["place"] for row in database.query(place)}
    altered = frame.copy()
    altered.loc[7, "close"] += 1
    written.write(pd.concat([altered, klines(310).tail(10)], ignore_index=True))
    after = {row["time"]: row["place"] for row in database.query(place)}
    moved = [time for time, where in before.items() if after[time] != where]
    assert moved == [frame["timestamp"][7].to_pydatetime()]
    assert len(after) == 310


def test_rows_that_vanished_are_deleted_only_in_the_range(written, database):
    frame = klines(100)
    written.write(frame)
    tail = frame.iloc[[90, 92, 95]].reset_index(drop=True)
    written.splice(tail, frame["timestamp"][88])
    expected = pd.concat([frame.head(88), tail], ignore_index=True)
    assert_frame_equal(database.read("ohlcv", BTC), expected, check_exact=True)
    assert_frame_equal(FRAMES.open(written.path).read(), expected, check_exact=True)


def test_a_market_is_not_touched_by_another(tmp_path, written, database):
    written.write(klines(50))
    other = Written(tmp_path, database, market=ETH)
    other.write(klines(60, seed=1))
    other.splice(klines(60, seed=1).head(0), START)
    assert len(database.read("ohlcv", BTC)) == 50
    assert database.read("ohlcv", ETH).empty


def test_rows_and_record_commit_together(written, database):
    """A row the table refuses takes the record and the file's new version with it."""
    kept = written.write(klines(50))
    broken = klines(60)
    broken.loc[55, "close"] = np.nan
    with pytest.raises(StorageError, match="close"):
        written.splice(broken.tail(10).reset_index(drop=True))
    assert len(database.read("ohlcv", BTC)) == 50
    assert database.recorded("raw/klines", BTC).version == kept.version
    assert FRAMES.open(written.path).manifest == kept


def test_the_same_again_writes_nothing(written, database):
    """Neither a row nor the record: the transactions that made them stay what they were."""
    written.write(klines(50))
    made = "SELECT xmin::text AS made FROM ohlcv UNION SELECT xmin::text FROM manifests"
    before = database.query(made)
    written.write(klines(50))
    assert written.answers == [True, True]
    assert database.query(made) == before


def test_a_database_that_missed_a_write_catches_up(written, database):
    """A tail on top of a hole is refused; the file then mends the tables from where they differ."""
    frame = klines(120)
    written.write(frame.head(80))
    FRAMES.splice(written.path, frame.iloc[80:100].reset_index(drop=True), record=record())
    written.splice(frame.tail(20).reset_index(drop=True))
    assert written.answers == [True, False]
    assert len(database.read("ohlcv", BTC)) == 80
    stored = FRAMES.open(written.path)
    assert database.catch_up("raw/klines", BTC, stored)
    assert_frame_equal(database.read("ohlcv", BTC), frame, check_exact=True)
    assert not database.catch_up("raw/klines", BTC, stored)


def test_a_database_ahead_of_a_file_that_failed_is_brought_back(written, database):
    """Killed between the commit and the rename: the table holds a version that no file has."""
    frame = klines(120)
    written.write(frame.head(80))
    ahead = frame.head(100).assign(close=1.0)

    def commit_and_die(manifest):
        assert database.replace("raw/klines", BTC, ahead, manifest=manifest)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FRAMES.write(written.path, ahead, record=record(), before_commit=commit_and_die)
    assert len(database.read("ohlcv", BTC)) == 100
    written.splice(frame.iloc[78:90].reset_index(drop=True))
    assert written.answers == [True, False]
    assert database.catch_up("raw/klines", BTC, FRAMES.open(written.path))
    assert_frame_equal(database.read("ohlcv", BTC), frame.head(90), check_exact=True)


def test_an_empty_database_is_filled_from_the_file(written, database_url, tmp_path):
    FRAMES.write(written.path, klines(70), record=record())
    store = SqlStore(database_url)
    assert store.catch_up("raw/klines", BTC, FRAMES.open(written.path))
    assert len(store.read("ohlcv", BTC)) == 70
    store.close()


def predictions(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(rows)
    score = draw.random(rows)
    score[0] = np.nan
    return pd.DataFrame(
        {
            "timestamp": times(rows),
            "sample": np.array(["out_of_sample"] * (rows - 1) + ["live"], dtype=object),
            "high_040_4_lgbm": score,
            "low_040_4_logreg": draw.random(rows),
        }
    )


def test_predictions_are_one_row_a_score(tmp_path, database):
    """A score column names label and algo; an unknown score is NULL; variants do not touch each other."""
    first, second = (
        Written(tmp_path, database, f"predictions/{name}") for name in ("aggressive", "very_bold")
    )
    first.write(predictions(20))
    second.write(predictions(10))
    second.write(predictions(9).drop(columns="low_040_4_logreg"))
    rows = database.read("predictions", BTC)
    counts = rows.groupby(["model_name", "label"]).size().to_dict()
    assert counts == {
        ("lgbm_aggressive", "high_040_4"): 20,
        ("logreg_aggressive", "low_040_4"): 20,
        ("lgbm_very_bold", "high_040_4"): 9,
    }
    known = rows["probability"].notna()
    assert (rows["prediction"][known] == (rows["probability"][known] > 0.5)).all()
    assert rows["prediction"][~known].isna().all()
    assert (~known).sum() == 2
    lgbm = rows[rows["model_name"] == "lgbm_aggressive"]
    expected = predictions(20)
    assert np.array_equal(lgbm["probability"], expected["high_040_4_lgbm"], equal_nan=True)
    assert lgbm["sample"].tolist() == expected["sample"].tolist()


def test_signals_keep_whatever_a_strategy_names(tmp_path, database):
    frame = pd.DataFrame(
        {
            "timestamp": times(3),
            "close": [1.5, np.nan, 0.1],
            "sample": np.array(["out_of_sample", "out_of_sample", "live"], dtype=object),
            "trade_score": [0.1, np.nan, 1e-9],
            "buy_signal": [True, False, False],
            "sell_signal": pd.array([False, pd.NA, True], dtype="boolean"),
        }
    )
    signals = Written(tmp_path, database, "signals/aggressive")
    signals.write(frame)
    rows = database.read("signals", BTC)
    assert [json.loads(text) for text in rows["outputs"]] == [
        {"trade_score": 0.1, "buy_signal": True, "sell_signal": False},
        {"trade_score": None, "buy_signal": False, "sell_signal": None},
        {"trade_score": 1e-9, "buy_signal": False, "sell_signal": True},
    ]
    assert np.array_equal(rows["close"], frame["close"], equal_nan=True)
    bought = "SELECT count(*) AS n FROM signals WHERE (outputs->>'buy_signal')::boolean"
    assert database.query(bought)[0]["n"] == 1
    frame.loc[2, "trade_score"] = 0.5
    signals.splice(frame.tail(1).reset_index(drop=True))
    assert json.loads(database.read("signals", BTC)["outputs"][2])["trade_score"] == 0.5


def test_what_no_table_keeps_is_told(database):
    assert not database.keeps("processed/orders")
    assert not database.keeps("predictions/x'; DROP TABLE ohlcv; --")
    assert database.keeps("signals/aggressive")
    with pytest.raises(StorageError, match="no table keeps processed/orders"):
        database.recorded("processed/orders", BTC)
    with pytest.raises(StorageError, match="no table 'orders'"):
        database.read("orders", BTC)
    with pytest.raises(StorageError, match="no column shares"):
        database.read("ohlcv", BTC, columns=["shares"])


def test_missing_columns_are_named(written):
    with pytest.raises(DataContractError, match="lacks close, trades"):
        written.write(klines(5).drop(columns=["close", "trades"]))


def test_writers_of_one_market_take_turns(database, tmp_path):
    """Concurrent writes of the same rows end in one of them, whole."""
    frames = [klines(200, seed=seed) for seed in range(4)]
    manifests = [
        FRAMES.write(tmp_path / f"{seed}.parquet", frame, record=record())
        for seed, frame in enumerate(frames)
    ]
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(database.replace, "raw/klines", BTC, frame, manifest=manifest)
            for frame, manifest in zip(frames, manifests, strict=True)
        ]
        assert all(job.result() for job in jobs)
    found = database.recorded("raw/klines", BTC).sha256
    winner = next(
        frame for frame, manifest in zip(frames, manifests, strict=True) if manifest.sha256 == found
    )
    assert_frame_equal(database.read("ohlcv", BTC), winner, check_exact=True)


def test_an_unreachable_database_is_transient_and_its_password_stays_secret():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = SqlStore(f"postgresql+psycopg2://itb:sec%20ret@127.0.0.1:{taken.getsockname()[1]}/itb")
        for attempt in (lambda: store.recorded("raw/klines", BTC), lambda: store.query("SELECT 1")):
            with pytest.raises(DatabaseUnavailable, match="cannot be reached") as caught:
                attempt()
            text = f"{caught.value!r} {caught.value.__cause__!r}"
            assert "sec ret" not in text
            assert "sec%20ret" not in text


@on_one_engine("postgres", because="the other has one session, which nobody can end and open again")
def test_a_connection_that_is_cut_is_transient(written, database):
    """Terminated in mid-query, as by a server that shuts down; the next use connects anew."""
    with pytest.raises(DatabaseUnavailable):
        database.query("SELECT pg_terminate_backend(pg_backend_pid())")
    assert database.query("SELECT 1 AS one") == [{"one": 1}]
