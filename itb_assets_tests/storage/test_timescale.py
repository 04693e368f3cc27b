"""What a real TimescaleDB does with our schema, and that plain PostgreSQL answers the same."""

# ruff: noqa: S608 - statements are put together from constants of this file

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from timescale_making import (
    LONG_AGO,
    NOW,
    PERFORMANCE,
    YESTERDAY,
    add_klines,
    add_trade,
    jobs,
    on_postgres,
    on_timescale,
    run,
    run_jobs,
)

from itb_assets.errors import InputError, StorageError
from itb_assets.storage.database.migrations import migrate, migrations
from itb_assets.storage.database.schema_report import describe, report
from itb_assets.storage.database.timescale import (
    HYPERTABLES,
    Policies,
    Tier,
    apply_policies,
    policy_statements,
    probe_database,
    require_tier,
)


def test_the_tier_is_what_answers(engine, engine_name):
    with engine.connect() as connection:
        found = probe_database(connection)
    assert int(found.server.split(".")[0]) >= 17
    if engine_name == "postgres":
        assert (found.tier, found.extension) == (Tier.POSTGRES, None)
        assert str(found) == f"PostgreSQL {found.server} without TimescaleDB"
    else:
        assert found.tier is Tier.COMMUNITY
        assert str(found) == f"PostgreSQL {found.server}, TimescaleDB {found.extension} (community)"


def test_each_tier_says_what_goes_without():
    assert "no compression" in Tier.APACHE.missing
    assert "no chunks" in Tier.POSTGRES.missing
    assert Tier.COMMUNITY.missing == ""
    for tier in Tier:
        assert Tier.named(tier.label) is tier
    with pytest.raises(InputError, match="'oss' is none: expected postgres, apache, community"):
        Tier.named("oss")


def test_a_lower_tier_than_asked_for_is_refused():
    require_tier(Tier.COMMUNITY, Tier.APACHE)
    with pytest.raises(StorageError, match="extension timescaledb is missing"):
        require_tier(Tier.POSTGRES, Tier.APACHE)
    with pytest.raises(
        StorageError, match=r"runs under its apache licence.*timescaledb.license = 'timescale'"
    ):
        require_tier(Tier.APACHE, Tier.COMMUNITY)


def test_the_schema_is_the_same_to_whoever_asks(engine):
    """The aggregate has the columns of the view it takes the place of."""
    columns = run(
        engine,
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'daily_performance'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert columns == [
        ("day", "timestamp with time zone"),
        ("symbol", "text"),
        ("model_name", "text"),
        ("total_trades", "bigint"),
        ("win_rate", "double precision"),
        ("total_pnl", "numeric"),
        ("avg_pnl", "numeric"),
        ("max_win", "numeric"),
        ("max_loss", "numeric"),
        ("freq", "text"),
        ("source", "text"),
        ("sample", "text"),
    ]


def test_daily_performance_adds_up_days_of_utc(engine):
    """In any time zone of the session; what is open or of another kind is not part of it."""
    midnight = LONG_AGO.replace(hour=0)
    add_trade(engine, 1, midnight, "2")
    add_trade(engine, 2, midnight + timedelta(hours=23, minutes=59), "-1")
    add_trade(engine, 3, midnight - timedelta(microseconds=1), "5")
    add_trade(engine, 4, midnight, None)
    add_trade(engine, 5, midnight, "7", sample="out_of_sample")
    add_trade(engine, 6, midnight, "9", model_name=None, sample=None, source="binance", freq="")
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL timezone = 'Asia/Tokyo'"))
        found = [tuple(row) for row in connection.execute(sa.text(PERFORMANCE))]
    short = [(row[0], row[2], row[3], row[4], float(row[5]), row[9], row[11]) for row in found]
    before = midnight - timedelta(days=1)
    assert short == [
        (before, "aggressive", 1, 1.0, 5.0, "1h", "live"),
        (midnight, "aggressive", 2, 0.5, 1.0, "1h", "live"),
        (midnight, "aggressive", 1, 1.0, 7.0, "1h", "out_of_sample"),
        (midnight, None, 1, 1.0, 9.0, "", None),
    ]


@on_timescale
def test_performance_is_right_before_and_after_it_was_refreshed(engine):
    """Rows not refreshed are seen; what changed since, the next refresh finds however long ago it was."""
    add_trade(engine, 1, LONG_AGO, "2")
    add_trade(engine, 2, YESTERDAY, "3")
    before = run(engine, PERFORMANCE)
    assert len(before) == 2
    run_jobs(engine, "policy_refresh_continuous_aggregate")
    assert run(engine, PERFORMANCE) == before
    materialized = (
        "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) "
    )
    [(table,)] = run(engine, materialized + "FROM timescaledb_information.continuous_aggregates")
    assert run(engine, f"SELECT count(*) FROM {table}") == [(1,)]
    add_trade(engine, 3, NOW, "4")
    run(engine, "UPDATE trades SET pnl = -3 WHERE trade_id = '2'")
    assert [float(row[5]) for row in run(engine, PERFORMANCE)] == [2.0, -3.0, 4.0]
    run(engine, "UPDATE trades SET pnl = -2 WHERE trade_id = '1'")
    run_jobs(engine, "policy_refresh_continuous_aggregate")
    assert [float(row[5]) for row in run(engine, PERFORMANCE)] == [-2.0, -3.0, 4.0]


@on_timescale
def test_old_chunks_are_compressed_and_still_written(engine):
    add_klines(engine, LONG_AGO, 3000)
    add_klines(engine, NOW - timedelta(days=2), 24)
    before = run(engine, "SELECT * FROM ohlcv ORDER BY time")
    run_jobs(engine, "policy_compression")
    [row] = [
        row
        for row in report(engine.url.render_as_string(hide_password=False)).tables
        if row["table"] == "ohlcv"
    ]
    assert row["compressed"] == row["chunks"] - 1 >= 2
    assert row["bytes_after"] < row["bytes_before"] / 2
    assert run(engine, "SELECT * FROM ohlcv ORDER BY time") == before
    run(
        engine,
        "INSERT INTO ohlcv SELECT * FROM ohlcv WHERE time = :time "
        "ON CONFLICT (symbol, freq, time) DO UPDATE SET close = 7",
        {"time": LONG_AGO},
    )
    run(engine, "DELETE FROM ohlcv WHERE time = :time", {"time": LONG_AGO + timedelta(hours=1)})
    assert run(engine, "SELECT close FROM ohlcv ORDER BY time LIMIT 2") == [(7.0,), (1.5,)]
    assert run(engine, "SELECT count(*) FROM ohlcv") == [(len(before) - 1,)]


@on_timescale
def test_a_compressed_table_takes_a_new_column(engine):
    run(engine, "INSERT INTO features VALUES ('BTCUSDT', '1h', :time)", {"time": LONG_AGO})
    run_jobs(engine, "policy_compression")
    run(engine, "ALTER TABLE features ADD COLUMN close_sma_3 double precision")
    assert run(engine, "SELECT close_sma_3 FROM features") == [(None,)]
    run(engine, "UPDATE features SET close_sma_3 = 1.5")
    assert run(engine, "SELECT close_sma_3 FROM features") == [(1.5,)]


@on_timescale
def test_rows_that_were_there_before_the_extension_move_into_chunks(database_url):
    """A plain database that becomes TimescaleDB's gets what it waited for, and keeps its rows."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    plain = tuple(migration for migration in migrations() if migration.tier is Tier.POSTGRES)
    apache = tuple(migration for migration in migrations() if migration.tier <= Tier.APACHE)
    assert migrate(engine, plain) == tuple(migration.number for migration in plain)
    add_klines(engine, LONG_AGO, 3000)
    add_trade(engine, 1, LONG_AGO, "2")
    add_trade(engine, 2, YESTERDAY, None)
    tables = ("SELECT * FROM ohlcv ORDER BY time", "SELECT * FROM trades ORDER BY time", PERFORMANCE)
    before = [run(engine, table) for table in tables]
    migrate(engine, apache)
    chunks = "SELECT num_chunks FROM timescaledb_information.hypertables WHERE hypertable_name = 'ohlcv'"
    assert run(engine, chunks) == [(3,)]
    assert [run(engine, table) for table in tables] == before
    with engine.begin() as connection:
        assert len(apply_policies(connection, Tier.APACHE, Policies(chunk_days=30))) == len(HYPERTABLES)
        assert apply_policies(connection, Tier.APACHE, Policies(chunk_days=30)) == ()
    assert migrate(engine, policies=Policies())
    assert [run(engine, table) for table in tables] == before
    assert ("policy_compression", "ohlcv") in jobs(engine)
    engine.dispose()


@on_postgres
def test_the_last_days_of_performance_are_read_by_their_index(engine):
    """Of years of trades only those days are touched, also where a symbol and a model are asked for."""
    run(
        engine,
        "INSERT INTO trades (symbol, freq, time, source, account, trade_id, side, status, price, quantity, "
        "pnl) SELECT 'BTCUSDT', '1h', now() - n * interval '1 hour', 'paper', 'a', n::text, 'BUY', 'CLOSED', "
        "1, 1, 1 FROM generate_series(0, 20000) AS n",
    )
    run(engine, "ANALYZE trades")
    for more in ("", " AND symbol = 'BTCUSDT' AND model_name = 'a'"):
        last = "SELECT * FROM daily_performance WHERE day >= now() - interval '30 days'" + more
        plan = "\n".join(row[0] for row in run(engine, f"EXPLAIN (COSTS OFF) {last}"))
        assert (
            "Index Scan using trades_closed_day" in plan or "Bitmap Index Scan on trades_closed_day" in plan
        )
        assert "Seq Scan" not in plan
    [(days, trades)] = run(
        engine,
        "SELECT count(*), sum(total_trades) FROM daily_performance WHERE day >= now() - interval '30 days'",
    )
    assert days == 30
    assert 29 * 24 <= trades <= 30 * 24 + 1


@on_postgres
def test_plain_postgresql_has_no_policies(engine):
    with engine.begin() as connection:
        assert apply_policies(connection, Tier.POSTGRES, Policies(retention_days={"trades": 30})) == ()
    assert policy_statements(Tier.POSTGRES, Policies()) == ()
    found = report(engine.url.render_as_string(hide_password=False))
    assert found.jobs == ()
    assert [migration.tier for migration in found.state.waiting] == [Tier.APACHE, Tier.COMMUNITY]
    assert "without TimescaleDB; schema" in describe(found.database, found.state)
    assert "therefore no chunks, no compression" in describe(found.database, found.state)
