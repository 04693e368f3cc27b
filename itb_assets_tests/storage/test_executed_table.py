"""Executed trades in the database: made of their fills, money exact, each import whole or not at all.

Paper trades belong to `test_trades_table`, the file of fills to `test_executed_trades`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from executed_making import fill, store_below

from itb_assets.domain.executed import FillSource
from itb_assets.errors import StorageError


def executed(database, columns="*"):
    return database.query(f"SELECT {columns} FROM trades WHERE source <> 'paper' ORDER BY time, trade_id")  # noqa: S608


def test_executed_fills_become_trades_exactly(tmp_path, database):
    store = store_below(tmp_path)
    assert not database.catch_up_executed(store)
    price = Decimal("0.123456789012345678")
    store.merge(
        [
            fill(0, price=price, strategy_id="aggressive", fee=Decimal("0.001"), fee_asset="BNB"),
            fill(1, price=price + 1, quantity=Decimal("0.0004")),
        ]
    )
    assert database.catch_up_executed(store)
    closed, rest = executed(database)
    expected = {
        "symbol": "BTCUSDT",
        "freq": "",
        "time": datetime(2024, 9, 1, tzinfo=UTC),
        "source": "binance_spot",
        "account": "main",
        "trade_id": "0",
        "side": "BUY",
        "status": "CLOSED",
        "price": price,
        "quantity": Decimal("0.0004"),
        "model_name": "aggressive",
        "variant": None,
        "signal_strength": None,
        "exit_time": datetime(2024, 9, 1, 0, 1, tzinfo=UTC),
        "exit_price": price + 1,
        "exit_reason": None,
        "fees": Decimal("0.00004"),
        "other_fees": {"BNB": "0.0004"},
        "gross_pnl": Decimal("0.0004"),
        "pnl": Decimal("0.00036"),
        "take_profit": None,
        "stop_loss": None,
        "sample": None,
    }
    assert {name: value for name, value in closed.items() if name != "return_pct"} == expected
    assert (rest["trade_id"], rest["status"], rest["quantity"]) == ("0/rest", "OPEN", Decimal("0.0006"))
    assert (rest["pnl"], rest["other_fees"]) == (None, {"BNB": "0.0006"})


def test_executed_trades_follow_their_fills(tmp_path, database):
    """Importing twice is importing once; a later sale changes the trade it closes and no other row."""
    store = store_below(tmp_path)
    store.merge([fill(number) for number in range(5)])
    assert database.catch_up_executed(store)
    places = {row["trade_id"]: row["place"] for row in executed(database, "trade_id, ctid::text AS place")}
    store.merge([fill(number) for number in range(5)])
    assert not database.catch_up_executed(store)
    store.merge([fill(5)])
    assert database.catch_up_executed(store)
    found = executed(database, "trade_id, status, ctid::text AS place")
    assert [(row["trade_id"], row["status"]) for row in found] == [(n, "CLOSED") for n in ("0", "2", "4")]
    assert [row["trade_id"] for row in found if places[row["trade_id"]] != row["place"]] == ["4"]
    [own] = database.query("SELECT rows, sha256 FROM manifests WHERE asset = 'executed_trades'")
    assert (own["rows"], own["sha256"].partition("-")[0]) == (3, store.sha256())


def test_executed_rows_and_their_record_commit_together(tmp_path, database):
    store = store_below(tmp_path)
    store.merge([fill(0)])
    database.catch_up_executed(store)
    database.query("ALTER TABLE trades ADD CONSTRAINT small CHECK (price < 60000)")
    store.merge([fill(2), fill(4, price=Decimal(70_000))])
    with pytest.raises(StorageError, match="small"):
        database.catch_up_executed(store)
    assert len(executed(database)) == 1
    database.query("ALTER TABLE trades DROP CONSTRAINT small")
    assert database.catch_up_executed(store)
    assert len(executed(database)) == 3


def test_sources_of_fills_are_never_called_paper():
    assert "paper" not in set(FillSource)
