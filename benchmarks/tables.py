"""Tables that the ways load: equal ones for all of them, what is in them, and which rows were written when.

None of it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import sqlalchemy as sa

_KEYS = ("symbol", "freq", "time")
_TYPES = {"int64": "bigint", "float64": "double precision", "bool": "boolean", "boolean": "boolean"}


def columns_of(frame: pd.DataFrame) -> Mapping[str, str]:
    """Return the columns that a frame's table has after its key, with their types."""
    return {str(name): _TYPES[str(dtype)] for name, dtype in frame.dtypes.iloc[1:].items()}


def create_table(engine: sa.Engine, name: str, values: Mapping[str, str]) -> None:
    """Create an empty table with these columns and the primary key that every table of ours has."""
    columns = ", ".join(f'"{column}" {kind}' for column, kind in values.items())
    with engine.begin() as connection:
        connection.execute(sa.text(f'DROP TABLE IF EXISTS "{name}"'))
        connection.execute(
            sa.text(
                f'CREATE TABLE "{name}" (time timestamptz, {columns}, symbol text, freq text, '
                f"PRIMARY KEY ({', '.join(_KEYS)}))"
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
    maintain(engine, "CHECKPOINT")


def settle(engine: sa.Engine, *names: str) -> int:
    """Do what autovacuum would have done with tables loaded long ago; return the transaction reached."""
    maintain(engine, *(f'VACUUM (ANALYZE) "{name}"' for name in names), "CHECKPOINT")
    with engine.begin() as connection:
        return int(connection.execute(sa.text("SELECT pg_current_xact_id()::text")).scalar_one())


def maintain(engine: sa.Engine, *statements: str) -> None:
    """Run statements that no transaction may hold."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def row_count(engine: sa.Engine, name: str) -> Mapping[str, float]:
    """Return the number of rows of a table."""
    return {"rows": _number(engine, f'SELECT count(*) FROM "{name}"')}  # noqa: S608 - our own names


def written_since(engine: sa.Engine, name: str, transaction: int) -> float:
    """Return how many rows have a version that was written after a transaction."""
    after = f'SELECT count(*) FROM "{name}" WHERE xmin::text::bigint > {transaction}'  # noqa: S608 - same
    return _number(engine, after)


def content(engine: sa.Engine, name: str) -> float:
    """Return a digest of a table's rows, the same for equal rows in any order of rows or of columns."""
    columns = ", ".join(f'"{column}"' for column in sorted(_columns(engine, name)))
    each = f'SELECT sum(hash_record_extended(ROW({columns}), 0)) % (1::bigint << 50) FROM "{name}"'  # noqa: S608 - same
    return _number(engine, each)


def _columns(engine: sa.Engine, name: str) -> Sequence[str]:
    return [str(column["name"]) for column in sa.inspect(engine).get_columns(name)]


def _number(engine: sa.Engine, statement: str) -> float:
    with engine.connect() as connection:
        return float(connection.execute(sa.text(statement)).scalar_one())
