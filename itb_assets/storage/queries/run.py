"""Queries run against the tables: read only, limited in time, and what to say where nothing came back.

The files belong to `files`, values of parameters to `parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from itb_assets.errors import InputError, StorageError
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.queries.files import Query, nearest
from itb_assets.storage.queries.parameters import Value

TIMEOUT_S = 60.0
MAX_TIMEOUT_S = 86_400.0
_CONNECT_TIMEOUT_S = 10
_CANCELLED = "57014"
_COLUMN_OF = "column of "
_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_IDENTIFIER = re.compile(r':"([a-z_]+)"')
_TIME_OF = {"daily_performance": "day", "manifests": "committed_at"}
_DATA_TIMES = ("time", "day")
_RUN = "`itb run` fills it"
_FILLS = dict.fromkeys(
    ("trades", "daily_performance"), "`itb run` adds trades on paper, `itb trades import` executed ones"
)


@dataclass(frozen=True)
class Answer:
    """Rows of a query, NULL as None; `remarks` say why there may be none."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    remarks: tuple[str, ...] = ()


def run_query(url: str, query: Query, values: Mapping[str, Value], *, timeout_s: float = TIMEOUT_S) -> Answer:
    """Run a query with checked values in one read-only transaction.

    Raises InputError for a column that is not in the catalogue, StorageError where tables are missing or the
    time is over, DatabaseUnavailable where the database cannot be reached.
    """
    with _reading(url, query, timeout_s) as connection:
        statement, bound = _resolved(connection, query, values)
        result = connection.execute(sa.text(statement), bound)
        rows = tuple(tuple(row) for row in result)
        remarks = () if rows else tuple(_remarks(connection, query, values))
        return Answer(tuple(result.keys()), rows, remarks)


def explain_query(
    url: str, query: Query, values: Mapping[str, Value], *, timeout_s: float = TIMEOUT_S
) -> str:
    """Run a query and return the server's plan with times and buffers; raise as `run_query` does."""
    with _reading(url, query, timeout_s) as connection:
        statement, bound = _resolved(connection, query, values)
        lines = connection.execute(sa.text(f"EXPLAIN (ANALYZE, BUFFERS) {statement}"), bound)
        return "\n".join(str(line) for (line,) in lines)


@contextmanager
def _reading(url: str, query: Query, timeout_s: float) -> Iterator[sa.Connection]:
    """Yield a connection in a read-only transaction of one snapshot, with times in UTC."""
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InputError(f"a timeout of {timeout_s} s is not valid: expected above 0 to {MAX_TIMEOUT_S:.0f}")
    address = database_address(url)
    with database_errors(address):
        engine = sa.create_engine(
            address, poolclass=sa.NullPool, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S}
        )
        with engine.connect() as connection, connection.begin():
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            connection.execute(sa.text("SET LOCAL TIME ZONE 'UTC'"))
            limit = {"ms": str(max(1, round(timeout_s * 1000)))}
            connection.execute(sa.text("SELECT set_config('statement_timeout', :ms, TRUE)"), limit)
            _require_tables(connection, query)
            try:
                yield connection
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "pgcode", None) != _CANCELLED:
                    raise
                raise StorageError(
                    f"query {query.name} was stopped after {timeout_s:g} s: ask for less (a shorter time, "
                    "fewer rows), or give it longer by --timeout"
                ) from None


def _require_tables(connection: sa.Connection, query: Query) -> None:
    asked = sa.text("SELECT to_regclass(:name) IS NOT NULL")
    missing = [name for name in query.reads if not connection.execute(asked, {"name": name}).scalar()]
    if missing:
        raise StorageError(
            f"query {query.name} reads {', '.join(missing)}, which this database does not have: "
            "`itb db init` makes the tables, `itb run` fills them"
        )


def _resolved(
    connection: sa.Connection, query: Query, values: Mapping[str, Value]
) -> tuple[str, dict[str, Value]]:
    """Return the statement with catalogue columns in place, and the values to bind."""
    bound, columns = dict(values), {}
    for one in query.parameters:
        if one.kind.startswith(_COLUMN_OF):
            table = one.kind.removeprefix(_COLUMN_OF)
            bound[one.name], columns[one.name] = _column(connection, table, str(values[one.name]))
    return _IDENTIFIER.sub(lambda match: f'"{columns[match[1]]}"', query.statement), bound


def _column(connection: sa.Connection, table: str, wanted: str) -> tuple[str, str]:
    """Return the name and the SQL name of a column of the catalogue; either may have been asked for."""
    statement = sa.text("SELECT name, column_name FROM columns WHERE table_name = :table ORDER BY name")
    known = [(str(name), str(column)) for name, column in connection.execute(statement, {"table": table})]
    found = [pair for pair in known if pair[0] == wanted] or [pair for pair in known if pair[1] == wanted]
    if not found:
        names = [name for name, _ in known]
        there = f"{nearest(wanted, names)}there are {', '.join(names)}" if names else "none is stored yet"
        raise InputError(f"table {table} has no column {wanted!r}: {there}")
    if not _COLUMN.fullmatch(found[0][1]):
        raise StorageError(
            f"the catalogue names a column {found[0][1]!r} of {table}, which is no name this project gives: "
            "somebody else wrote into the table `columns`; correct it there"
        )
    return found[0]


def _remarks(connection: sa.Connection, query: Query, values: Mapping[str, Value]) -> Iterator[str]:
    """Say which tables hold nothing of what was asked for, and how old the newest rows of the others are."""
    wanted = {name: values[name] for name in ("symbol", "freq") if values.get(name) is not None}
    of = f" of {' '.join(str(value) for value in wanted.values())}" if wanted else ""
    where = " AND ".join(f"{name} = :{name}" for name in wanted) or "TRUE"
    for table in query.reads:
        time = _TIME_OF.get(table, "time")
        statement = f"SELECT {time} FROM {table} WHERE {where} ORDER BY {time} DESC LIMIT 1"  # noqa: S608 - our names
        newest = connection.execute(sa.text(statement), wanted).scalar()
        if newest is None:
            yield f"table {table} {f'has no row{of}' if of else 'is empty'}: {_FILLS.get(table, _RUN)}"
        elif time in _DATA_TIMES:
            when = f"{newest:%Y-%m-%dT%H:%M}"
            hint = (
                f"; look from there by --at {when}" if any(p.name == "at" for p in query.parameters) else ""
            )
            yield f"the newest row of {table}{of} is of {when} UTC{hint}"
