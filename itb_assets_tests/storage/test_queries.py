"""Every query answers, on both engines, what pandas computes from the same rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import psycopg2
import pytest
import query_answers_trades  # noqa: F401 - adds its cases
import sqlalchemy as sa
from databases import ENGINES
from query_answers import AT, CASES, MARKET
from query_making import World, make_world, store_world
from timescaledb.server import HERE

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.storage.queries.files import find_query, parse_query, queries
from itb_assets.storage.queries.parameters import checked_values
from itb_assets.storage.queries.run import Answer, explain_query, run_query

NOW = datetime(2024, 6, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module", params=ENGINES)
def filled(request, world) -> str:
    """Return the URL of a database that holds the small world; no test here changes it."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        server.ensure_database("queries")
        url = server.url("queries")
        execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    else:
        url = request.getfixturevalue("timescale_server_url")
        execute(url, (HERE / "empty.sql").read_text("utf-8"))
    store_world(url, world)
    return str(url)


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    address = sa.make_url(url)
    words = address.translate_connect_args(username="user", database="dbname") | dict(address.query)
    with closing(psycopg2.connect(**words)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def ask(url: str, name: str, **given: object) -> Answer:
    query = find_query(name)
    return run_query(url, query, checked_values(query, given, now=NOW))


def framed(answer: Answer) -> pd.DataFrame:
    rows = [[float(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in answer.rows]
    return pd.DataFrame(rows, columns=list(answer.columns))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return cells as objects with one word for what is unknown, and numbers as floats."""
    cells = frame.reset_index(drop=True).astype(object)
    for name in cells:
        cells[name] = [
            None if pd.isna(cell) else pd.Timestamp(cell).isoformat() if isinstance(cell, datetime) else cell
            for cell in cells[name]
        ]
        kinds = {type(cell) for cell in cells[name] if cell is not None}
        if kinds and not kinds & {str, bool}:
            cells[name] = cells[name].astype(float)
    return cells


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.query)
def test_the_answer_is_that_of_pandas(filled, world, case):
    found = framed(ask(filled, case.query, **case.given))
    expected = case.expected(world)
    assert len(expected) > 0
    assert list(found.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(plain(found), plain(expected), check_dtype=False, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.name)
def test_the_header_names_the_columns_that_come(filled, query):
    given = next(case.given for case in CASES if case.query == query.name)
    columns = ask(filled, query.name, **given).columns
    named = [name for name, _ in query.columns]
    if named[-1] == "*":
        assert list(columns[: len(named) - 1]) == named[:-1]
        assert len(columns) > len(named) - 1
    else:
        assert list(columns) == named


def test_every_query_has_an_answer_here():
    assert {case.query for case in CASES} == {query.name for query in queries()}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.name)
def test_every_example_runs(filled, query):
    given = {one.name: one.example for one in query.parameters} | {"at": AT}
    known = {one.name for one in query.parameters}
    answer = ask(filled, query.name, **{name: value for name, value in given.items() if name in known})
    assert answer.columns


HOSTILE = (
    "'; DROP TABLE trades; --",
    '"; DROP TABLE trades; --',
    "x' OR '1'='1",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "%s",
    "%(symbol)s",
    ":symbol",
    "\\",
    "\x00",
    "$$",
    "9" * 400,
    "",
    "\u0661",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_are_refused_or_find_nothing(filled, text):
    """Of a text that may be any name, nothing is found; everything else is refused before it is sent."""
    said: list[str] = []
    before = execute(filled, "SELECT count(*) FROM trades")
    for query in queries():
        given = next(case.given for case in CASES if case.query == query.name)
        for one in query.parameters:
            try:
                answer = ask(filled, query.name, **{**given, one.name: text})
            except InputError as error:
                said.append(str(error))
                continue
            assert one.kind == "text", (query.name, one.name)
            assert answer.rows == (), (query.name, one.name)
    assert execute(filled, "SELECT count(*) FROM trades") == before
    assert said
    assert max(map(len, said)) < 1000


def test_a_query_cannot_write(filled):
    text = (
        "-- title: t\n-- answers: a\n-- reads: trades\n-- column: n | n\n\n"
        "WITH gone AS (DELETE FROM trades RETURNING 1) SELECT count(*) AS n FROM gone;"
    )
    with pytest.raises(StorageError, match="read-only transaction"):
        run_query(filled, parse_query("writes", text), {})
    assert execute(filled, "SELECT count(*) FROM trades")[0][0] == 90


def test_a_column_that_is_not_there_is_named_with_those_that_are_near(filled):
    with pytest.raises(InputError, match="no column 'close_RSI_41': did you mean close_RSI_14"):
        ask(filled, "feature_ranges", **MARKET, feature="close_RSI_41")
    by_column = ask(filled, "feature_ranges", **MARKET, feature="close_rsi_14")
    assert by_column == ask(filled, "feature_ranges", **MARKET, feature="close_RSI_14")


def test_a_column_of_the_catalogue_that_is_no_name_of_ours_is_refused(filled):
    execute(
        filled, "INSERT INTO columns VALUES ('features', 'x\" FROM trades; --', 'evil', '', NULL, 'float64')"
    )
    try:
        with pytest.raises(StorageError, match="no name this project gives"):
            ask(filled, "feature_ranges", **MARKET, feature="evil")
    finally:
        execute(filled, "DELETE FROM columns WHERE name = 'evil'")


def test_an_empty_answer_says_why(filled):
    late = ask(filled, "recent_features", **MARKET, at="2025-01-01")
    assert late.rows == ()
    newest = "the newest row of features of BTCUSDT 5m is of 2024-06-01T01:55 UTC"
    assert late.remarks == (f"{newest}; look from there by --at 2024-06-01T01:55",)
    absent = ask(filled, "recent_features", symbol="DOGEUSDT", freq="5m")
    assert absent.remarks == ("table features has no row of DOGEUSDT 5m: `itb run` fills it",)


def test_the_plan_is_shown_with_times(filled):
    query = find_query("recent_features")
    plan = explain_query(filled, query, checked_values(query, {**MARKET, "at": AT}, now=NOW))
    assert "Execution Time" in plan
    assert "features" in plan


def test_a_database_without_tables_says_what_makes_them(filled):
    execute(filled, "CREATE SCHEMA aside")
    try:
        url = sa.make_url(filled).update_query_dict({"options": "-csearch_path=aside"})
        with pytest.raises(StorageError, match="reads manifests, which this database does not have"):
            ask(url.render_as_string(hide_password=False), "stored_rows")
    finally:
        execute(filled, "DROP SCHEMA aside")


@pytest.fixture
def slow(postgres) -> Iterator[str]:
    """Return the URL of a database whose `trades` takes a minute to read."""
    postgres.ensure_database("slow")
    url = postgres.url("slow")
    execute(url, "CREATE OR REPLACE VIEW trades AS SELECT pg_sleep(60)::text AS time")
    yield url
    execute(url, "DROP VIEW trades")


def test_a_query_that_takes_too_long_is_stopped(slow):
    text = "-- title: t\n-- answers: a\n-- reads: trades\n-- column: time | t\n\nSELECT time FROM trades;"
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"query slow was stopped after 0\.2 s: ask for less"):
        run_query(slow, parse_query("slow", text), {}, timeout_s=0.2)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_time(filled, timeout):
    with pytest.raises(InputError, match="timeout"):
        run_query(filled, find_query("stored_rows"), {}, timeout_s=timeout)


def test_a_database_that_is_away_is_said_without_its_password():
    url = "postgresql+psycopg2://itb:secretword@127.0.0.1:1/itb"
    with pytest.raises(DatabaseUnavailable) as raised:
        ask(url, "stored_rows")
    assert "secretword" not in str(raised.value)
