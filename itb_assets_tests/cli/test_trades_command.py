"""`itb trades`: paper trades listed, executed ones imported once, matched, and summed up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from itb_command import MARKET, Itb

from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.database import SqlStore

HEADER = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee"
ROWS = [
    "2024-09-01 10:00:00,BTCUSDT,BUY,58000,0.1BTC,5800USDT,5.8USDT",
    "2024-09-01 11:00:00,BTCUSDT,SELL,58500,0.1BTC,5850USDT,5.85USDT",
    "2024-09-02 10:00:00,ETHUSDT,BUY,2500,2ETH,5000USDT,0.01BNB",
    "2024-09-02 12:00:00,ETHUSDT,SELL,2400,1ETH,2400USDT,2.4USDT",
]


@pytest.fixture
def itb(built, tmp_path) -> Itb:
    """Return the command on an empty data root without a database."""
    settings = {"ITB_DATA_ROOT": str(tmp_path / "data root"), "ITB_STORAGE_PHASE": "files"}
    return Itb(tmp_path, {**built.environment, **settings})


def export(folder: Path, rows: list[str], name: str = "export.csv") -> str:
    (folder / name).write_text("\n".join([HEADER, *rows]) + "\n", "utf-8")
    return str(folder / name)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_paper_trades_are_listed(built):
    rows = built("trades", "list", "--json", "--newest", "0").json()
    assert {row["variant"] for row in rows} == {"aggressive", "conservative"}
    assert [row["entered"] for row in rows] == sorted((row["entered"] for row in rows), reverse=True)
    newest = built("trades", "list", "--json", "--variant", "aggressive", "--newest", "3").json()
    assert newest == [row for row in rows if row["variant"] == "aggressive"][:3]
    assert {row["why"] for row in rows} <= {"take_profit", "stop_loss", "time_limit", None}
    said = built("trades", "list", "--symbol", MARKET.symbol, "--freq", MARKET.freq)
    assert "Paper trades" in said.out
    assert newest[0]["entered"][:10] in said.out
    nothing = built("trades", "list", "--symbol", "NOSUCHUSDT")
    assert (nothing.code, nothing.out) == (0, "no paper trade is stored of these: `itb run` makes them\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--variant", "nosuch"), "variant 'nosuch' is not known"),
        (("--executed", "--variant", "aggressive"), "leave --variant and --freq out"),
        (("--symbol", "no such"), "symbol"),
        (("--freq", "7m"), "7m"),
    ],
)
def test_what_cannot_be_listed(built, options, said):
    answer = built("trades", "list", *options)
    assert answer.code == 2
    assert said in " ".join(answer.err.split())


def test_an_import_and_the_same_again(itb):
    file = export(itb.folder, ROWS)
    first = itb("trades", "import", file, "--account", "mine", "--json").json()
    assert (first["format"], first["fills"], first["added"], first["known"]) == ("binance_csv", 4, 4, 0)
    before = files_below(itb.root)
    said = itb("trades", "import", file, "--account", "mine")
    assert said.code == 0, said
    assert "4 fills, 0 added, 4 known" in said.out
    assert files_below(itb.root) == before
    other = itb("trades", "import", file, "--account", "hers", "--json").json()
    assert (other["added"], other["total"]) == (4, 8)


def test_positions_and_what_they_earned(itb):
    itb("trades", "import", export(itb.folder, ROWS))
    found = itb("trades", "executed", "--json").json()
    btc, eth = found["summary"]
    assert (btc["symbol"], btc["closed"], btc["gross_pnl"], btc["fees"], btc["pnl"]) == (
        *("BTCUSDT", 1, "50", "11.65", "38.35"),
    )
    assert (eth["closed"], eth["open"], eth["won_pct"], eth["pnl"]) == (1, 1, 0.0, "-102.4")
    assert found["other_fees"] == {"BNB": "0.01"}
    assert found["unmatched"] == []
    assert [row["symbol"] for row in found["positions"]] == ["ETHUSDT", "ETHUSDT", "BTCUSDT"]
    assert itb("trades", "list", "--executed", "--json").json() == found["positions"]
    said = itb("trades", "executed")
    assert "Closed positions, after fees" in said.out
    assert "not counted: fees of 0.01 BNB, whose worth is not known" in said.out
    only = itb("trades", "list", "--executed", "--symbol", "BTCUSDT", "--json").json()
    assert [row["pnl"] for row in only] == ["38.35"]


def test_what_belongs_to_no_position_is_named(itb):
    itb("trades", "import", export(itb.folder, ROWS[1:2]))
    (left,) = itb("trades", "executed", "--json").json()["unmatched"]
    assert left["quantity"] == "0.1"
    said = itb("trades", "executed")
    assert "1 fills belong to no position" in said.out
    assert "it closes more than is known to be open" in " ".join(said.out.split())


def test_a_dry_run_writes_nothing(itb):
    file = export(itb.folder, ROWS)
    said = itb("trades", "import", file, "--dry-run")
    assert said.code == 0, said
    assert "4 would be added" in said.out
    assert "nothing was written" in said.out
    assert not itb.root.exists()
    itb("trades", "import", export(itb.folder, ROWS[:3], "some.csv"))
    planned = itb("trades", "import", file, "--dry-run", "--json").json()
    assert (planned["added"], planned["known"], planned["total"]) == (1, 3, 4)
    assert itb("trades", "import", file, "--json").json()["added"] == 1


def test_bad_lines_are_refused_together_or_left_out(itb):
    file = export(itb.folder, [*ROWS, "2024-09-03 10:00:00,BTCUSDT,BUY,,,,", "nonsense"])
    said = itb("trades", "import", file)
    assert said.code == 2
    assert "2 bad lines beside 4 good, nothing was imported" in said.err
    assert "line 6: " in said.err
    assert "line 7: " in said.err
    assert not itb.root.exists()
    done = itb("trades", "import", file, "--skip-bad", "--json")
    assert done.code == 0
    assert (done.json()["added"], len(done.json()["bad_lines"])) == (4, 2)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nosuch.csv", None, "cannot be read: No such file"),
        ("empty.csv", b"", "it is empty"),
        ("zip.csv", b"PK\x03\x04xx", "unpack it"),
        ("other.csv", b"a,b,c\n1,2,3\n", "its columns are 'a', 'b', 'c'"),
        ("binary.jsonl", b"\x00\x01\x02\n", "bad line"),
    ],
)
def test_files_that_are_none(itb, name, content, said):
    file = itb.folder / name
    if content is not None:
        file.write_bytes(content)
    answer = itb("trades", "import", str(file))
    assert answer.code == 2, answer
    assert said in answer.err
    assert not itb.root.exists()


def legacy_line(number: int, **changes: object) -> str:
    """Return a record as the old bot wrote it."""
    time = datetime(2024, 9, 1, tzinfo=UTC) + timedelta(minutes=number)
    record: dict[str, object] = {
        "source": "binance_futures",
        "account_id": "old",
        "trade_id": str(number),
        "event_ts_utc": time.replace(tzinfo=None).isoformat(),
        "symbol": "BTCUSDT",
        "side": "buy" if number % 2 == 0 else "sell",
        "position_side": "both",
        "qty": 0.01,
        "price": 58000.0 + number,
        "fee": 0.2,
        "fee_asset": "USDT",
    }
    return json.dumps(record | changes)


def test_a_contradiction_is_kept_out_and_makes_the_exit_code_one(itb):
    file = itb.folder / "trades.jsonl"
    file.write_text("\n".join(legacy_line(number) for number in range(4)) + "\n")
    first = itb("trades", "import", str(file), "--json")
    assert first.code == 0, first
    assert first.json()["format"] == "legacy_jsonl"
    before = files_below(itb.root)
    file.write_text(legacy_line(1, price=1.0) + "\n")
    said = itb("trades", "import", str(file))
    assert said.code == 1
    assert "trade 1 is stored with another price: what was stored is kept" in said.out
    assert files_below(itb.root) == before


def test_the_table_follows_where_a_database_runs(built, itb):
    """An import while it runs reaches it; one without it is caught up with by the next."""
    server = EmbeddedPostgres(built.root / ".itb" / "postgres")
    server.ensure_database("executed")
    url = server.url("executed")
    with_database = {"ITB_STORAGE_PHASE": "dual", "ITB_DATABASE_URL": url}
    assert "not used: the storage phase is files" in itb("trades", "import", export(itb.folder, ROWS[:2])).out
    file = export(itb.folder, ROWS)
    done = itb("trades", "import", file, "--json", **with_database).json()
    assert (done["added"], done["database"]) == (2, "the table was brought up to date")
    database = SqlStore(url)
    rows = database.query("SELECT symbol, status, pnl::text AS pnl FROM trades ORDER BY time, trade_id")
    database.close()
    assert [(row["symbol"], row["status"]) for row in rows] == [
        ("BTCUSDT", "CLOSED"),
        ("ETHUSDT", "CLOSED"),
        ("ETHUSDT", "OPEN"),
    ]
    assert rows[0]["pnl"] == "38.35"
    again = itb("trades", "import", file, "--json", **with_database).json()
    assert (again["added"], again["database"]) == (0, "the table was up to date")


def test_a_database_that_is_away_does_not_lose_the_import(itb):
    away = {"ITB_STORAGE_PHASE": "dual", "ITB_DATABASE_URL": "postgresql+psycopg2://itb:word@127.0.0.1:9/itb"}
    said = itb("trades", "import", export(itb.folder, ROWS), **away)
    assert said.code == 3
    assert "the trades are stored, their table is not up to date" in said.err
    assert "word" not in said.out + said.err.replace("password", "")
    assert len(itb("trades", "executed", "--json").json()["positions"]) == 3


def test_a_broken_file_of_fills_says_what_to_do(itb):
    itb("trades", "import", export(itb.folder, ROWS))
    file = itb.root / "executed" / "fills.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    answer = itb("trades", "executed")
    assert answer.code == 4
    assert "move it away and import the exports again" in answer.err
