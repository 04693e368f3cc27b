"""The files of queries: their grammar, what may be given to them, their page, their way into a package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from itb_assets.errors import ConfigError, InputError, StorageError
from itb_assets.storage.queries.files import find_query, markdown_table, parse_query, queries
from itb_assets.storage.queries.parameters import checked_values

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "queries"
NOW = datetime(2024, 6, 3, 12, tzinfo=UTC)
MARKET = {"symbol": "BTCUSDT", "freq": "5m"}
WHOLE = (
    "-- title: Rows\n-- answers: How many?\n-- reads: ohlcv\n"
    "-- parameter: symbol | symbol | required | BTCUSDT | whose\n-- column: n | rows\n\n"
    "SELECT count(*) AS n FROM ohlcv WHERE symbol = :symbol;\n"
)


def test_every_file_is_a_query_and_stands_on_the_page():
    files = {file.stem for file in FOLDER.glob("*.sql")}
    assert files == {query.name for query in queries()}
    assert {file.name for file in FOLDER.iterdir()} == {f"{name}.sql" for name in files} | {"README.md"}
    page = (FOLDER / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| \[`(\w+)`\]\(\1\.sql\)", page, re.MULTILINE)) == files
    assert markdown_table() in page


def test_the_three_queries_of_the_plan_are_there():
    assert {"recent_features", "model_performance", "cloud_comparison"} < {query.name for query in queries()}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.name)
def test_defaults_and_examples_are_values_that_are_taken(query):
    required = {one.name: one.example for one in query.parameters if one.required}
    assert set(checked_values(query, required, now=NOW)) == {one.name for one in query.parameters}
    given = {one.name: one.example for one in query.parameters}
    assert None not in checked_values(query, given, now=NOW).values()


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.name)
def test_what_measures_results_says_of_which_sample_they_are(query):
    """Whoever reads scores, signals or trades gives the sample with them, or asks by day and groups by it."""
    if {"predictions", "signals", "trades", "daily_performance"}.intersection(query.reads):
        names = {name for name, _ in query.columns}
        assert "sample" in names or query.name == "execution_prices"


def test_a_whole_file_is_read():
    query = parse_query("rows_of", WHOLE)
    assert (query.title, query.reads, query.columns) == ("Rows", ("ohlcv",), (("n", "rows"),))
    assert query.statement == "SELECT count(*) AS n FROM ohlcv WHERE symbol = :symbol"
    assert query.example == "itb query rows_of --symbol BTCUSDT"


@pytest.mark.parametrize(
    ("found", "instead", "said"),
    [
        ("-- title: Rows\n", "", "0 lines of `-- title:`"),
        ("-- title: Rows\n", "-- title: Rows\n-- title: More\n", "2 lines of `-- title:`"),
        ("-- title: Rows\n", "-- titel: Rows\n", "line 1 is not"),
        ("-- column: n | rows\n", "", "no line of `-- column:`"),
        ("-- column: n | rows\n", "-- column: n\n", "expected name | meaning"),
        (" | whose", "", "expected name | type | default | example | meaning"),
        ("| symbol |", "| word |", "has the type 'word'"),
        (":symbol", ":simbol", "uses ['simbol'], its header has ['symbol']"),
        ("symbol = :symbol", "TRUE -- :symbol", "uses [], its header has ['symbol']"),
        ("SELECT count(*)", "DELETE", "not one SELECT"),
        (";\n", "; SELECT 1;\n", "not one SELECT"),
        (";\n", "\n", "semicolon"),
    ],
)
def test_a_file_that_breaks_the_grammar_is_named_with_what_is_wrong(found, instead, said):
    assert WHOLE.count(found) >= 1
    with pytest.raises(StorageError, match=r"the query file rows_of\.sql is not usable: ") as raised:
        parse_query("rows_of", WHOLE.replace(found, instead, 1))
    assert said in str(raised.value)


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(InputError, match="did you mean recent_features"):
        find_query("recent_feature")
    with pytest.raises(InputError, match=r"did you mean .*drawdown"):
        find_query("draw")
    with pytest.raises(InputError, match=r"there is no query '\.\./\.\./etc/passwd': `itb query` lists all"):
        find_query("../../etc/passwd")
    assert find_query("recent-features") is find_query("recent_features")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "recent_features",
            {"freq": "5m"},
            "--symbol is missing: the market's symbol, such as --symbol BTCUSDT",
        ),
        ("recent_features", MARKET | {"symbol": "btc'--"}, 'symbol "btc\'--" is not valid'),
        ("recent_features", MARKET | {"freq": "7m"}, "freq '7m' is not valid"),
        ("recent_features", MARKET | {"row": "5"}, "no parameter 'row': did you mean rows"),
        ("recent_features", MARKET | {"rows": "0"}, "expected a whole number from 1 to 100000"),
        ("recent_features", MARKET | {"rows": "1.5"}, "expected a whole number"),
        ("recent_features", MARKET | {"rows": "NaN"}, "expected a whole number"),
        ("recent_features", MARKET | {"rows": "1_0"}, "expected a whole number"),
        ("recent_features", MARKET | {"rows": True}, "expected a whole number"),
        ("recent_features", MARKET | {"at": "yesterday"}, "not a time: expected ISO form"),
        ("recent_features", MARKET | {"at": "0001-01-01T00:00+23:59"}, "of the years 1970 to 2199"),
        ("kline_gaps", MARKET | {"since": "2024-02-01", "until": "2024-01-01"}, "is not before --until"),
        ("precision_by_month", MARKET | {"label": "l", "threshold": "nan"}, "a number from 0 to 1"),
        ("precision_by_month", MARKET | {"label": "l", "threshold": float("nan")}, "a number from 0 to 1"),
        ("precision_by_month", MARKET | {"label": "l", "threshold": "1e400"}, "a number from 0 to 1"),
        ("precision_by_month", MARKET | {"label": "a\nb"}, "printable characters"),
        ("precision_by_month", MARKET | {"label": "x" * 201}, "printable characters"),
        ("resampled_klines", MARKET | {"to": "3m"}, "no multiple of 5m: expected one of 15m, 30m, 1h"),
        ("resampled_klines", MARKET | {"to": "5m"}, "no multiple of 5m"),
        ("resampled_klines", {"symbol": "BTCUSDT", "freq": "1d", "to": "1d"}, "it is the coarsest"),
    ],
)
def test_values_that_are_refused(name, given, said):
    with pytest.raises(ConfigError) as raised:
        checked_values(find_query(name), given, now=NOW)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"query {name}: 1 problem found")


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError, match="4 problems found"):
        checked_values(find_query("recent_features"), {"freq": "7m", "rows": "x", "colour": "red"}, now=NOW)


def test_values_become_what_is_bound():
    given = MARKET | {"rows": "7", "at": "2024-06-01T12:00+02:00"}
    values = checked_values(find_query("recent_features"), given, now=NOW)
    at = datetime(2024, 6, 1, 10, tzinfo=UTC)
    assert values == MARKET | {"rows": 7, "at": at, "hours": 1}
    assert checked_values(find_query("stored_rows"), {}, now=NOW) == {"symbol": None, "freq": None, "at": NOW}
    east = datetime(2024, 6, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert checked_values(find_query("stored_rows"), {"at": east}, now=NOW)["at"] == at


def test_a_built_package_has_every_file(tmp_path):
    """What `setup.py` builds holds the queries, and reads its own: the checkout's are not beside it."""
    built = tmp_path / "lib"
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(tmp_path)]
    command += ["build", "--build-base", str(tmp_path / "build"), "--build-lib", str(built)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inside = built / "itb_assets" / "storage" / "queries" / "sql"
    assert {file.name: file.read_bytes() for file in inside.iterdir()} == {
        file.name: file.read_bytes() for file in FOLDER.glob("*.sql")
    }
    code = (
        "from itb_assets.storage.queries import files as q; print(q.__file__); print(q._home()); "
        "print(len(q.queries()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(built)}
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    assert said[:3] == [str(inside.with_name("files.py")), str(inside), str(len(queries()))]
