"""Executed trades as rows of the table `trades`, and the record of which fills they were made from.

The file of fills belongs to `executed_trades`, connections and transactions to `database`.
"""

# ruff: noqa: S608 - nothing but constants and hexadecimal digests stands in these statements

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from itb_assets.domain.executed import ExecutedTrade
from itb_assets.domain.executed.fills import plain_text
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.tables.placing import MONEY, PAPER, TRADES
from itb_assets.storage.tables.write import merge_rows

ASSET = "executed_trades"
"""How the record calls them; they belong to no market."""

_WHOSE = f"symbol = '' AND freq = '' AND asset = '{ASSET}'"
_TEXTS = (*("symbol", "source", "account", "trade_id", "side", "status", "model_name"),)
_TIMES = ("time", "exit_time")
_SCHEMA: dict[str, pl.DataType] = {
    name: pl.Datetime("us", "UTC") if name in _TIMES else pl.String() for name in TRADES.columns
}


def executed_rows(trades: Sequence[ExecutedTrade]) -> pl.DataFrame:
    """Return trades as rows; money as the text of its exact digits, freq '' and no sample."""
    columns: dict[str, list[object]] = {name: [None] * len(trades) for name in TRADES.columns}
    columns["freq"] = [""] * len(trades)
    for name in (*_TEXTS, *_TIMES):
        columns[name] = [getattr(trade, name) for trade in trades]
    for name in MONEY:
        values = [getattr(trade, name, None) for trade in trades]
        columns[name] = [None if value is None else plain_text(value) for value in values]
    columns["other_fees"] = [_fees_json(trade) for trade in trades]
    return pl.DataFrame(columns, schema=_SCHEMA)


def replace_executed(cursor: Cursor, trades: Sequence[ExecutedTrade], *, digest: str) -> None:
    """Make the executed trades exactly these, equal rows left alone, with the digest of their fills."""
    rows = executed_rows(trades)
    merge_rows(cursor, TRADES, f"t.source <> '{PAPER}'", rows)
    cursor.execute(f"DELETE FROM manifests WHERE {_WHOSE}")
    values = {"symbol": "", "freq": "", "asset": ASSET, "rows": rows.height, "sha256": digest}
    own = pl.DataFrame(values | {"version": 0, "run_id": ""})
    cursor.adbc_ingest("manifests", own.to_arrow(), mode="append")


def lock_executed(cursor: Cursor) -> None:
    """Wait for whoever else writes executed trades, until this transaction ends."""
    cursor.execute(f"SELECT pg_advisory_xact_lock(hashtextextended('{ASSET}', 0))")


def recorded_digest(cursor: Cursor) -> str | None:
    """Return the digest of the fills that the rows were made from, or None."""
    cursor.execute(f"SELECT sha256 FROM manifests WHERE {_WHOSE}")
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def _fees_json(trade: ExecutedTrade) -> str | None:
    fees = {asset: plain_text(amount) for asset, amount in trade.other_fees}
    return json.dumps(fees) if fees else None
