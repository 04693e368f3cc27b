"""The other ways to a table and back: pandas' own `to_sql` and `read_sql`, and one bare binary COPY.

Each works on a table with the columns and the primary key of ours; nothing of `itb_assets` is called here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import inputs
import pandas as pd
import polars as pl
import sqlalchemy as sa
import table_inputs
import tables
from adbc_driver_postgresql import dbapi
from measure import Case
from table_inputs import TableJob

CHUNK_ROWS = 10_000
_DRIVER = "+psycopg2"


def to_sql(job: TableJob) -> Case:
    """Append the frame by pandas' `to_sql`, ten thousand rows a time."""
    engine, frame = sa.create_engine(job.database("plain")), table_inputs.load(job)
    frame = frame.rename(columns=table_inputs.names(frame.columns))

    def run() -> None:
        rows = frame.assign(symbol=inputs.MARKET.symbol, freq=inputs.MARKET.freq)
        rows.to_sql(job.table, engine, if_exists="append", index=False, chunksize=CHUNK_ROWS)

    return _writing(job, engine, run)


def copy(job: TableJob) -> Case:
    """Send the rows by one binary COPY (ADBC ingest); they lie ready as Arrow."""
    url = job.database("copy")
    arrow = table_inputs.rows(job).to_arrow(compat_level=pl.CompatLevel.oldest())

    def run() -> None:
        with dbapi.connect(url.replace(_DRIVER, "")) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(job.table, arrow, mode="append")
            connection.commit()

    return _writing(job, sa.create_engine(url), run)


def _writing(job: TableJob, engine: sa.Engine, run: Callable[[], None]) -> Case:
    columns, started = _columns(job), [0]

    def before() -> None:
        tables.create_table(engine, job.table, columns)
        started[0] = tables.settle(engine, job.table)

    def facts(_: object) -> Mapping[str, float]:
        return {
            **tables.row_count(engine, job.table),
            "written": tables.written_since(engine, job.table, started[0]),
            "content": tables.content(engine, job.table),
        }

    return Case(run, before, facts)


def read_sql(job: TableJob) -> Case:
    """Read the frame by pandas' `read_sql`, in order of time and with the dtypes that it was written with."""
    engine, expected = sa.create_engine(job.database("plain")), table_inputs.load(job)
    tables.create_table(engine, job.table, _columns(job))
    with dbapi.connect(job.database("plain").replace(_DRIVER, "")) as connection:
        with connection.cursor() as cursor:
            arrow = table_inputs.rows(job).to_arrow(compat_level=pl.CompatLevel.oldest())
            cursor.adbc_ingest(job.table, arrow, mode="append")
        connection.commit()
    tables.settle(engine, job.table)
    names = {column: name for name, column in table_inputs.names(expected.columns).items()}
    columns = ", ".join(f'"{column}"' for column in names)
    statement = sa.text(
        f'SELECT {columns} FROM "{job.table}" WHERE symbol = :symbol AND freq = :freq ORDER BY time'  # noqa: S608 - our own names
    )
    market = {"symbol": inputs.MARKET.symbol, "freq": inputs.MARKET.freq}
    dtypes: dict[str, Any] = expected.dtypes.to_dict()

    def run() -> pd.DataFrame:
        found = pd.read_sql(statement, engine, params=market)
        return found.rename(columns=names).astype(dtypes)

    return Case(run, facts=lambda found: {"rows": len(found), "differs": float(not found.equals(expected))})


def _columns(job: TableJob) -> Mapping[str, str]:
    frame = table_inputs.load(job)
    return tables.columns_of(frame.rename(columns=table_inputs.names(frame.columns)))
