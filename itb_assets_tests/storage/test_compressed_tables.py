"""Rows and columns that come to tables whose chunks TimescaleDB has compressed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from databases import on_one_engine
from frames_of import START
from table_making import BTC, FRAMES, Pair

FEATURES = "processed/features"
COMPRESS = "SELECT count(compress_chunk(c)) AS n FROM show_chunks('features') c"
STATE = "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = 'features'"

pytestmark = on_one_engine("timescaledb", because="the other one compresses nothing")


def features(names, rows: int, *, first: int = 0) -> pd.DataFrame:
    times = pd.date_range(START + first * BTC.freq_delta, periods=rows, freq="5min").as_unit("ns")
    return pd.DataFrame({"timestamp": times} | {name: np.arange(rows) + 0.5 for name in names})


@pytest.fixture
def pair(tmp_path, database) -> Pair:
    """Return sixty rows of two features in a compressed chunk."""
    pair = Pair(tmp_path, database)
    pair.write(FEATURES, features(["sma", "rsi"], 60))
    assert database.query(COMPRESS)[0]["n"] == 1
    return pair


def test_a_new_column_comes_to_a_compressed_table(pair):
    pair.write(FEATURES, features(["sma", "rsi", "fresh"], 60))
    pair.check(FEATURES)


def test_rows_are_altered_deleted_and_added_in_a_compressed_chunk(pair):
    after = features(["sma", "rsi"], 70).drop(index=[7, 8]).reset_index(drop=True)
    after.loc[20, "sma"] = 9.0
    after.loc[40:, "rsi"] = np.nan
    pair.write(FEATURES, after)
    pair.check(FEATURES)
    pair.write(FEATURES, features(["sma", "rsi"], 30, first=50), start=START + 50 * BTC.freq_delta)
    pair.check(FEATURES)
    assert FRAMES.open(pair.path(FEATURES)).rows == 78
    assert [row["is_compressed"] for row in pair.database.query(STATE)] == [True]


@pytest.mark.parametrize("share", [3, 1])
def test_more_compressed_rows_are_altered_than_a_statement_may_unpack(pair, share):
    """The limit is for those who do not know what they ask for: here every row may have changed."""
    limit = "timescaledb.max_tuples_decompressed_per_dml_transaction"
    pair.database.query(f"SET {limit} = 5")
    try:
        after = features(["sma", "rsi"], 60)
        after.loc[::share, "sma"] = -1.0
        pair.write(FEATURES, after)
        pair.check(FEATURES)
        assert pair.database.query(f"SHOW {limit}") == [{limit: "5"}]  # the one session there is was asked
    finally:
        pair.database.query(f"RESET {limit}")
