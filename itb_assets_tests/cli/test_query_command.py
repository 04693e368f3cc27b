"""`itb query`: what is in a data root's database, asked by name."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest
from itb_command import MARKET

from itb_assets.domain.executed.fills import plain_text
from itb_assets.storage.queries.files import queries
from itb_assets.storage.server.embedded import EmbeddedPostgres

OF_MARKET = ("--symbol", MARKET.symbol, "--freq", MARKET.freq)


def words(text: str) -> str:
    return " ".join(text.split())


def test_all_queries_are_listed_with_their_question(built):
    said = built("query")
    assert said.code == 0
    for query in queries():
        assert query.name in said.out
        assert query.answers in said.out
    assert [row["query"] for row in built("query", "--json").json()] == [query.name for query in queries()]


def test_help_teaches_by_examples(built):
    general = built("query", "--help")
    assert general.code == 0
    assert "itb query model_performance --days 7" in words(general.out)
    assert "--explain" in general.out
    one = built("query", "calibration", "--help")
    assert one.code == 0
    assert "--label  the label (column of labels; required; such as high_040_4)" in one.out
    assert "Example: itb query calibration --symbol BTCUSDT --freq 5m --label high_040_4" in one.out


def test_rows_come_as_table_json_and_csv(built, tmp_path):
    table = built("query", "stored_rows", *OF_MARKET)
    assert table.code == 0, table
    assert "raw/klines" in table.out
    rows = built("query", "stored-rows", f"--symbol={MARKET.symbol}", "--json").json()
    assert {row["symbol"] for row in rows} == {MARKET.symbol}
    stored = {row["asset"]: row["rows"] for row in rows}
    newest = built("query", "kline_staleness", *OF_MARKET, "--at", "2024-06-01", "--json").json()
    assert [(row["symbol"], row["newest"]) for row in newest] == [
        (MARKET.symbol, "2024-05-30T23:00:00+00:00")
    ]
    file = tmp_path / "bars.csv"
    said = built("query", "resampled_klines", *OF_MARKET, "--to", "1d", "--csv", str(file))
    assert said.code == 0, said
    with file.open(newline="") as lines:
        bars = list(csv.DictReader(lines))
    assert f"{len(bars)} rows" in said.out
    assert sum(int(bar["klines"]) for bar in bars) == stored["raw/klines"]
    # an outage of the invented exchange lies in this time
    assert {bar["complete"] for bar in bars} == {"True", "False"}
    missing = sum(24 - int(bar["klines"]) for bar in bars)
    gaps = built("query", "kline_gaps", *OF_MARKET, "--json").json()
    assert sum(gap["missing"] for gap in gaps) == missing


def test_money_is_that_of_the_trades_to_the_last_digit(built):
    sums: dict[tuple[str, str], Decimal] = {}
    for trade in built("trades", "list", "--newest", "0", "--json").json():
        if trade["pnl"] is not None:
            key = (trade["variant"], trade["sample"])
            sums[key] = sums.get(key, Decimal(0)) + Decimal(str(trade["pnl"]))
    found = built("query", "drawdown", "--json").json()
    assert {(row["model_name"], row["sample"]): row["total_pnl"] for row in found} == {
        key: plain_text(value) for key, value in sums.items()
    }
    assert {row["source"] for row in found} == {"paper"}


def test_the_statement_is_printed_and_nothing_is_run(built):
    given = ("recent_features", *OF_MARKET, "--at", "2024-05-01", "--sql")
    said = built("query", *given, ITB_DATABASE_URL="postgresql+psycopg2://nobody@127.0.0.1:1/none")
    assert said.code == 0
    assert f"-- symbol = '{MARKET.symbol}'" in said.out
    assert "-- at = 2024-05-01T00:00:00+00:00" in said.out
    assert "WHERE symbol = :symbol" in said.out


def test_the_plan_is_printed(built):
    said = built("query", "kline_gaps", *OF_MARKET, "--explain")
    assert said.code == 0, said
    assert "Execution Time" in said.out


def test_rows_of_many_columns_stand_below_each_other(built):
    said = built("query", "biggest_losses", "--rows", "2")
    assert said.code == 0
    lines = said.out.splitlines()
    columns = [name for query in queries() if query.name == "biggest_losses" for name, _ in query.columns]
    assert [line for line in lines if line.startswith("--")] == ["-- row 1", "-- row 2"]
    assert [line.split()[0] for line in lines[1 : len(columns) + 1]] == columns


def test_no_rows_are_explained(built):
    said = built("query", "kline_gaps", "--symbol", "NOSUCHUSDT", "--freq", "5m")
    assert (said.code, said.out) == (0, "no rows\n")
    assert "table ohlcv has no row of NOSUCHUSDT 5m: `itb run` fills it" in words(said.err)
    nothing = built("query", "kline_gaps", "--symbol", "NOSUCHUSDT", "--freq", "5m", "--json")
    assert nothing.json() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recent_feature",), "did you mean recent_features"),
        (("recent_features",), "--symbol is missing"),
        (("recent_features", "--symbol", "x'; DROP TABLE trades; --", "--freq", "5m"), "is not valid"),
        (("kline_gaps", *OF_MARKET, "--row", "5"), "did you mean rows"),
        (("kline_gaps", *OF_MARKET, "--rows"), "--rows has no value: expected one such as --rows 10"),
        (("kline_gaps", *OF_MARKET, "--rows", "1", "--rows", "2"), "--rows is given twice"),
        (("kline_gaps", *OF_MARKET, "5"), "'5' is not expected here"),
        (("kline_gaps", *OF_MARKET, "--json", "--sql"), "choose one"),
        (("kline_gaps", *OF_MARKET, "--timeout", "nan"), "timeout"),
        (("--rows", "5"), "--rows stands before the name of a query"),
        (("stored_rows", "--csv", "/no/such/folder/rows.csv"), "there is no folder"),
    ],
)
def test_what_is_refused(built, arguments, said):
    answer = built("query", *arguments)
    assert answer.code == 2, answer
    assert said in words(answer.err)


def test_a_database_that_is_away_is_exit_code_3(built):
    said = built("query", "stored_rows", ITB_DATABASE_URL="postgresql+psycopg2://u:hushhush@127.0.0.1:1/none")
    assert said.code == 3
    assert "hushhush" not in said.err


def test_a_database_without_tables_says_what_makes_them(built):
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    said = built("query", "stored_rows", ITB_DATABASE_URL=server.url("postgres"))
    assert said.code == 4
    assert "`itb db init` makes the tables" in words(said.err)


def test_json_is_strict(built):
    for query in queries():
        if not any(one.required for one in query.parameters):
            said = built("query", query.name, "--json")
            assert said.code == 0, (query.name, said)
            assert isinstance(json.loads(said.out), list)
