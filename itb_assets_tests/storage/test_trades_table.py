"""Paper trades in the database, like any frame, beside executed ones; and what the days of both add up to.

What executed fills become belongs to `test_executed_table`.
"""

from __future__ import annotations

import pandas as pd
import pytest
from databases import on_one_engine
from executed_making import fill, store_below
from frames_of import record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from paper_making import BTC, BTC_1H, ETH, FRAMES, Paper, trades

from itb_assets.errors import DataContractError, StorageError


@pytest.fixture
def paper(tmp_path, database) -> Paper:
    return Paper(tmp_path, database)


def test_paper_trades_come_back_bit_for_bit(paper, database):
    """NUMERIC holds the shortest text of each double, so the same double comes back."""
    frame = trades(200)
    manifest = paper.write(frame)
    assert_frame_equal(paper.read(), frame, check_exact=True)
    assert_frame_equal(FRAMES.open(paper.path).read(), frame, check_exact=True)
    stored = database.query("SELECT price::text AS price, pnl::text AS pnl FROM trades ORDER BY time LIMIT 1")
    assert stored == [{"price": str(frame["entry_price"][0]), "pnl": str(frame["pnl"][0])}]
    assert database.recorded("trades/aggressive", BTC).sha256 == manifest.sha256
    [row] = database.query("SELECT DISTINCT source, account, model_name, variant, freq FROM trades")
    assert set(row.values()) == {"paper", "aggressive", "5m"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.floats(min_value=0, max_value=1e300, exclude_min=True),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_double_comes_back(paper, large, any_sign):
    frame = trades(1, opened=0).assign(entry_price=large, pnl=any_sign)
    paper.write(frame)
    found = paper.read()
    assert (found["entry_price"][0], found["pnl"][0]) == (large, any_sign)


def test_a_trade_that_closes_is_changed_in_its_place(paper, database):
    before = trades(50, opened=2)
    paper.write(before)
    place = "SELECT trade_id, ctid::text AS place FROM trades"
    places = {row["trade_id"]: row["place"] for row in database.query(place)}
    after = trades(50, opened=0)
    paper.splice(after.tail(2).reset_index(drop=True), after["timestamp"][48])
    assert_frame_equal(paper.read(), after, check_exact=True)
    moved = {row["trade_id"] for row in database.query(place) if places[row["trade_id"]] != row["place"]}
    assert moved == set(after["trade_id"][48:])


def test_the_same_again_writes_nothing(paper, database):
    paper.write(trades(20))
    made = "SELECT xmin::text AS made FROM trades UNION SELECT xmin::text FROM manifests"
    before = database.query(made)
    paper.write(trades(20))
    assert database.query(made) == before


def test_trades_that_vanish_are_deleted_from_a_time_on(paper):
    frame = trades(30)
    paper.write(frame)
    paper.splice(trades(0), frame["timestamp"][25])
    assert_frame_equal(paper.read(), frame.head(25), check_exact=True)
    paper.write(trades(0))
    assert paper.read().empty


def test_variants_markets_and_executed_trades_leave_each_other_alone(tmp_path, database):
    """All of them have a trade of the same name at the same time."""
    kept = [
        Paper(tmp_path, database, variant="conservative"),
        Paper(tmp_path, database, market=ETH),
        Paper(tmp_path, database, market=BTC_1H),
    ]
    for seed, other in enumerate(kept, start=1):
        other.write(trades(10, seed=seed))
    store = store_below(tmp_path)
    store.merge([fill(0, trade_id="20240901T000000Z", account="aggressive")])
    assert database.catch_up_executed(store)
    own = Paper(tmp_path, database)
    own.write(trades(12))
    own.write(trades(0))
    for seed, other in enumerate(kept, start=1):
        assert_frame_equal(other.read(), trades(10, seed=seed), check_exact=True)
    assert database.query("SELECT count(*) AS n FROM trades WHERE source <> 'paper'") == [{"n": 1}]


def test_a_database_that_missed_trades_catches_up(paper, database):
    frame = trades(40)
    paper.write(frame.head(20))
    FRAMES.write(paper.path, frame, record=record())
    assert database.catch_up(paper.asset, BTC, FRAMES.open(paper.path))
    assert_frame_equal(paper.read(), frame, check_exact=True)
    assert not database.catch_up(paper.asset, BTC, FRAMES.open(paper.path))


def test_columns_that_are_missing_are_named(paper):
    with pytest.raises(DataContractError, match="lacks fees, pnl"):
        paper.write(trades(3).drop(columns=["pnl", "fees"]))


@pytest.mark.parametrize(("name", "value"), [("side", "HOLD"), ("status", "GONE"), ("sample", "in_sample")])
def test_the_table_refuses_words_it_does_not_know(paper, name, value):
    """An in-sample trade never reaches the table."""
    with pytest.raises(StorageError, match=name):
        paper.write(trades(3).assign(**{name: value}))
    assert paper.read().empty


@on_one_engine("postgres", because="the other has one session, which takes up no setting of its database")
def test_days_are_those_of_the_entry_in_utc_and_kinds_are_kept_apart(tmp_path, database):
    """A server or a session in another zone makes no difference; open trades do not count."""
    live = trades(120)  # 25 minutes each: two days and a bit
    Paper(tmp_path, database).write(live)
    Paper(tmp_path, database, variant="conservative").write(trades(30, seed=5, sample="out_of_sample"))
    store = store_below(tmp_path)
    store.merge([fill(number, strategy_id="aggressive") for number in range(4)])
    database.catch_up_executed(store)
    closed = live[live["status"] == "CLOSED"]
    expected = closed.groupby(closed["timestamp"].dt.floor("D"))["pnl"].agg(
        ["size", "sum", "mean", "max", "min"]
    )
    for zone in ("UTC", "Pacific/Auckland"):
        database.query(f"ALTER DATABASE test SET timezone = '{zone}'")
        database.close()
        days = database.query(
            "SELECT * FROM daily_performance WHERE model_name = 'aggressive' AND freq = '5m' ORDER BY day"
        )
        assert [pd.Timestamp(row["day"]).tz_convert("UTC") for row in days] == list(expected.index)
        assert [row["total_trades"] for row in days] == expected["size"].tolist()
        for name, column in (
            ("total_pnl", "sum"),
            ("avg_pnl", "mean"),
            ("max_win", "max"),
            ("max_loss", "min"),
        ):
            assert [float(row[name]) for row in days] == pytest.approx(expected[column].tolist())
        wins = (closed["pnl"] > 0).groupby(closed["timestamp"].dt.floor("D")).mean()
        assert [row["win_rate"] for row in days] == pytest.approx(wins.tolist())
        assert {(row["symbol"], row["freq"], row["sample"]) for row in days} == {("BTCUSDT", "5m", "live")}
    database.query("ALTER DATABASE test RESET timezone")
    kinds = "SELECT DISTINCT model_name, source, sample FROM daily_performance"
    assert {tuple(row.values()) for row in database.query(kinds)} == {
        ("aggressive", "paper", "live"),
        ("conservative", "paper", "out_of_sample"),
        ("aggressive", "binance_spot", None),
    }


def test_the_view_answers_the_question_of_thirty_days(paper, database):
    paper.write(trades(60))
    asked = """
        SELECT symbol, model_name, win_rate, total_pnl, total_trades FROM daily_performance
        WHERE day >= timestamptz '2024-09-02 00:00Z' - INTERVAL '30 days' ORDER BY total_pnl DESC
    """
    rows = database.query(asked)
    assert sum(row["total_trades"] for row in rows) == 59
    assert all(0 <= row["win_rate"] <= 1 for row in rows)


def test_the_key_lets_the_table_be_partitioned_by_time(database):
    """Every unique index of the table holds its time."""
    indexes = database.query("SELECT indexdef FROM pg_indexes WHERE tablename = 'trades'")
    texts = [row["indexdef"] for row in indexes]
    assert all("time" in text.partition(" USING ")[2] for text in texts if "UNIQUE" in text)
    assert any(text.endswith('(symbol, "time" DESC)') for text in texts)
    assert any(text.endswith('("time" DESC)') for text in texts)
