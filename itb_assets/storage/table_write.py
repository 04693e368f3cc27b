"""The statements that replace rows of a table inside an open transaction, and the record beside them.

Connections and transactions belong to `database`.
"""

# ruff: noqa: S608 - symbols, freqs, assets and columns were checked where they became values

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.storage.manifest import EVERYTHING, FrameManifest
from itb_assets.storage.tables import Table, kept_in

Cursor = Any
"""A cursor of ADBC, which has no types."""

_STAGING = "staging"
_DOUBLE = "double precision"
_TYPES = {
    "time": "timestamptz",
    "close_time": "bigint",
    "trades": "bigint",
    "exit_time": "timestamptz",
    "prediction": "boolean",
    "n": "bigint",
    **dict.fromkeys(("symbol", "freq", "model_name", "label", "sample", "variant"), "text"),
    **dict.fromkeys(("source", "account", "trade_id", "side", "status", "exit_reason"), "text"),
}


@dataclass(frozen=True)
class TableManifest:
    """The record of one asset's rows in the database."""

    rows: int
    sha256: str
    version: int
    run_id: str
    committed_at: datetime


@dataclass(frozen=True)
class Scope:
    """The rows of one table that a write replaces, as SQL conditions over names that were checked."""

    table: Table
    market: Market
    variant: str
    start: pd.Timestamp | None

    def condition(self, prefix: str = "") -> str:
        """Return the condition, its columns prefixed by a table's alias such as `t.`."""
        parts = [
            f"{prefix}symbol = '{self.market.symbol}'",
            f"{prefix}freq = '{self.market.freq}'",
            self.table.scope.format(prefix, self.variant),
        ]
        if self.start is not None:
            parts.append(f"{prefix}time >= '{self.start.isoformat()}'")
        return " AND ".join(parts)


class RowScope(Protocol):
    """Which rows of which table a write replaces."""

    @property
    def table(self) -> Table:
        """The table."""
        ...

    def condition(self, prefix: str = "") -> str:
        """Return the rows as an SQL condition, columns prefixed by a table's alias such as `t.`."""
        ...


def write_rows(cursor: Cursor, scope: RowScope, rows: pl.DataFrame) -> None:
    """Replace the rows of a scope; those that are all newer than what is stored go straight in."""
    table = scope.table
    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {table.name} WHERE {scope.condition()})")
    if not cursor.fetchone()[0] and not table.casts:
        cursor.adbc_ingest(table.name, rows.to_arrow(), mode="append")
        return
    columns = ", ".join(f"{name} {_staged(table, name)}" for name in table.columns)
    cursor.execute(f"CREATE TEMPORARY TABLE {_STAGING} ({columns}) ON COMMIT DROP")
    cursor.adbc_ingest(_STAGING, rows.to_arrow(), mode="append", temporary=True)
    cursor.execute(f"ANALYZE {_STAGING}")
    for statement in _merge_statements(scope):
        cursor.execute(statement)


def _staged(table: Table, name: str) -> str:
    return "text" if name in table.casts else _TYPES.get(name, _DOUBLE)


def _merge_statements(scope: RowScope) -> tuple[str, str]:
    """Delete what vanished; insert what is new and update what differs."""
    table = scope.table
    matched = " AND ".join(f"s.{name} = t.{name}" for name in table.keys)
    fresh = ", ".join(
        f"{name}::{table.casts[name]}" if name in table.casts else name for name in table.columns
    )
    columns, values = ", ".join(table.columns), ", ".join(table.fields)
    excluded = ", ".join(f"excluded.{name}" for name in table.fields)
    stored = ", ".join(f"t.{name}" for name in table.fields)
    delete = (
        f"DELETE FROM {table.name} t WHERE {scope.condition('t.')} "
        f"AND NOT EXISTS (SELECT 1 FROM {_STAGING} s WHERE {matched})"
    )
    upsert = (
        f"INSERT INTO {table.name} AS t ({columns}) SELECT {fresh} FROM {_STAGING} "
        f"ON CONFLICT ({', '.join(table.keys)}) DO UPDATE SET ({values}) = ({excluded}) "
        f"WHERE ({stored}) IS DISTINCT FROM ({excluded})"
    )
    return delete, upsert


def recorded(cursor: Cursor, asset: str, market: Market) -> TableManifest | None:
    """Return the record of an asset's rows, or None."""
    kept_in(asset)
    cursor.execute(
        "SELECT rows, sha256, version, run_id, committed_at FROM manifests "
        f"WHERE symbol = '{market.symbol}' AND freq = '{market.freq}' AND asset = '{asset}'"
    )
    row = cursor.fetchone()
    return None if row is None else TableManifest(*row)


def record(cursor: Cursor, asset: str, market: Market, manifest: FrameManifest) -> None:
    """Note what the rows are now a copy of."""
    values = pl.DataFrame(
        {
            "symbol": market.symbol,
            "freq": market.freq,
            "asset": asset,
            "rows": manifest.rows,
            "sha256": manifest.sha256,
            "version": manifest.version,
            "run_id": manifest.run_id,
        }
    )
    same = f"symbol = '{market.symbol}' AND freq = '{market.freq}' AND asset = '{asset}'"
    cursor.execute(f"DELETE FROM manifests WHERE {same}")
    cursor.adbc_ingest("manifests", values.to_arrow(), mode="append")


def missing_from(found: TableManifest | None, manifest: FrameManifest) -> pd.Timestamp | None:
    """Return from when on the tables lack what a manifest says; None if they have it all."""
    if found is None:
        return EVERYTHING
    return manifest.changed_since(found.version, sha256=found.sha256)
