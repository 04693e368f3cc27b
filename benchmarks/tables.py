"""The tables that the database stage loads, and what all three ways need around the load.

None of it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from itb_assets.domain.klines import KLINE_DTYPES

_TYPES = {"int64": "bigint", "float64": "double precision"}


def create_table(engine: sa.Engine, name: str) -> None:
    """Create an empty table of klines with the primary key that `ohlcv` has."""
    values = ", ".join(f'"{column}" {_TYPES[dtype]}' for column, dtype in list(KLINE_DTYPES.items())[1:])
    with engine.begin() as connection:
        connection.execute(sa.text(f'DROP TABLE IF EXISTS "{name}"'))
        connection.execute(
            sa.text(
                f'CREATE TABLE "{name}" (time timestamptz, {values}, symbol text, freq text, '
                "PRIMARY KEY (symbol, freq, time))"
            )
        )
    checkpoint(engine)


def empty(engine: sa.Engine, *names: str) -> None:
    """Empty tables that are there."""
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE " + ", ".join(names)))
    checkpoint(engine)


def checkpoint(engine: sa.Engine) -> None:
    """Have the server write out what earlier work left, so that it is not charged to the next."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CHECKPOINT"))


def row_count(engine: sa.Engine, name: str) -> Mapping[str, float]:
    """Return the number of rows of a table."""
    with engine.connect() as connection:
        found = connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar_one()  # noqa: S608 - our own names
    return {"rows": float(found)}
