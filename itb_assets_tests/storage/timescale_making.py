"""What tests of both engines share: statements, jobs run by hand, klines and trades long ago and of today."""

# ruff: noqa: S608 - statements are put together from constants of this file

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from databases import on_one_engine

on_timescale = on_one_engine("timescaledb", because="plain PostgreSQL has no such thing")
on_postgres = on_one_engine("postgres", because="TimescaleDB reads it from chunks and from its aggregate")
NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(days=1)
LONG_AGO = datetime(2021, 3, 1, 12, tzinfo=UTC)


def run(engine: sa.Engine, statement: str, *values: dict[str, object]) -> list[tuple]:
    """Run a statement in a transaction of its own."""
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement), list(values) or None)
        return [tuple(row) for row in found] if found.returns_rows else []


def run_jobs(engine: sa.Engine, policy: str) -> None:
    """Run every job of a policy, as the server's workers do in production."""
    outside = engine.execution_options(isolation_level="AUTOCOMMIT")
    asked = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = :policy AND job_id >= 1000"
    with outside.connect() as connection:
        for job in connection.execute(sa.text(asked), {"policy": policy}).scalars().all():
            connection.execute(sa.text(f"CALL run_job({job})"))


def add_klines(engine: sa.Engine, start: datetime, hours: int) -> None:
    columns = "open, high, low, close, volume, close_time, quote_av, trades, tb_base_av, tb_quote_av, ignore"
    run(
        engine,
        f"INSERT INTO ohlcv (symbol, freq, time, {columns}) "
        "SELECT 'BTCUSDT', '1h', time, 1, 2, 1, 1.5, 10, 0, 1, 1, 1, 1, 0 "
        "FROM generate_series(CAST(:start AS timestamptz), "
        "CAST(:start AS timestamptz) + make_interval(hours => :hours - 1), '1 hour') AS time",
        {"start": start, "hours": hours},
    )


def add_trade(engine: sa.Engine, number: int, time: datetime, pnl: str | None, **other: object) -> None:
    row = {
        "symbol": "BTCUSDT",
        "freq": "1h",
        "source": "paper",
        "account": "aggressive",
        "model_name": "aggressive",
        "sample": "live",
        "status": "OPEN" if pnl is None else "CLOSED",
        **other,
    }
    run(
        engine,
        "INSERT INTO trades (symbol, freq, time, source, account, trade_id, side, status, price, quantity, "
        "model_name, sample, pnl) VALUES (:symbol, :freq, :time, :source, :account, :number, 'BUY', :status, "
        "100, 1, :model_name, :sample, CAST(:pnl AS numeric))",
        row | {"number": str(number), "time": time, "pnl": pnl},
    )


PERFORMANCE = "SELECT * FROM daily_performance ORDER BY day, symbol, model_name, freq, source, sample"


def jobs(engine: sa.Engine) -> dict[tuple[str, str], dict]:
    """Return (job, table) -> its days."""
    found = run(
        engine,
        "SELECT proc_name, hypertable_name, config FROM timescaledb_information.jobs WHERE job_id >= 1000",
    )
    assert len({row[:2] for row in found}) == len(found), "a policy is there twice"
    ids = {"hypertable_id", "mat_hypertable_id"}
    return {(job, table): {k: v for k, v in said.items() if k not in ids} for job, table, said in found}
