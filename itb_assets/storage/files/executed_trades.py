"""The file of executed fills: every fill ever imported, once, whatever exports it came in.

Which positions fills make belongs to `domain.executed`, how files of others spell them to `sources.trades`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from itb_assets.domain.executed import Fill, FillKey, FillSource, PositionSide, Side
from itb_assets.domain.executed.fills import plain_text
from itb_assets.errors import DataContractError, MarketBusy, StorageError
from itb_assets.storage.disk.atomic import (
    ensure_folder,
    remove_stray_files,
    storage_errors,
    sync_file,
    sync_folder,
    temporary_file,
)
from itb_assets.storage.disk.locks import LOCK_WAIT_S, LockTaken, held_lock

_KEY = ("source", "account", "symbol", "trade_id")
_NUMBERS = ("quantity", "price", "fee", "stop_loss", "take_profit", "realized_pnl", "unrealized_pnl")
_WORDS = (
    *("side", "position_side", "fee_asset", "order_id", "position_id", "strategy_id", "signal_version"),
    *("model_version", "config_hash", "git_sha"),
)
_RAW = "raw_data"
_SCHEMA: dict[str, pl.DataType] = {
    "time": pl.Datetime("us", "UTC"),
    **dict.fromkeys((*_KEY, *_WORDS, *_NUMBERS), pl.String()),
    "leverage": pl.Int64(),
    _RAW: pl.String(),
}
_COMPARED = tuple(name for name in _SCHEMA if name not in (*_KEY, _RAW))
"""What two reports of one fill must agree on; the raw data says how it was reported."""


@dataclass(frozen=True, slots=True)
class FillConflict:
    """A fill that was reported again with another content; what was stored first is kept."""

    key: FillKey
    fields: tuple[str, ...]

    def __str__(self) -> str:
        """Say it as people read it."""
        return f"{self.key} is stored with another {', '.join(self.fields)}"


@dataclass(frozen=True, slots=True)
class FillMerge:
    """What a merge did: fills added, fills that were known, and those that contradict what is stored."""

    added: int
    known: int
    conflicts: tuple[FillConflict, ...]
    total: int


class ExecutedFills:
    """All executed fills below a data root, in one parquet file; amounts are text, so exact."""

    def __init__(self, path: Path, *, lock: Path) -> None:
        """Take where the file and its write lock lie; nothing is created."""
        self._path, self._lock = path, lock

    def read(self) -> tuple[Fill, ...]:
        """Return all fills by time, none where nothing was imported; raise StorageError for a broken file."""
        table = self._table()
        try:
            return tuple(_fills(table))
        except (DataContractError, ValueError, ArithmeticError) as error:
            raise StorageError(f"{self._path} holds what is no fill: {error}; {_MEND}") from error

    def merge(self, fills: Iterable[Fill]) -> FillMerge:
        """Add the fills that are not there yet, all or none of them; the same again changes nothing.

        A fill that is stored with another content is left as it is and reported. Raises StorageError,
        StorageFull, and MarketBusy while another process imports.
        """
        fresh = _to_table(fills)
        try:
            with held_lock(self._lock, wait_s=LOCK_WAIT_S):
                stored = self._table()
                merged, merge = _merged(stored, fresh)
                if merged.height > stored.height:
                    self._write(merged.sort("time", *_KEY))
        except LockTaken as taken:
            raise MarketBusy(
                f"{self._path} is being written by process {taken.holder}: wait until it has finished, "
                "or end it"
            ) from None
        return merge

    def preview(self, fills: Iterable[Fill]) -> FillMerge:
        """Return what `merge` would do now, and write nothing; raise StorageError for a broken file."""
        return _merged(self._table(), _to_table(fills))[1]

    def exists(self) -> bool:
        """Tell whether anything was ever imported."""
        return self._path.is_file()

    def sha256(self) -> str:
        """Return the digest of the file; empty where nothing was imported."""
        try:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ""

    def _table(self) -> pl.DataFrame:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return pl.DataFrame(schema=_SCHEMA)
        try:
            table = pl.read_parquet(content)
        except pl.exceptions.PolarsError as error:
            raise StorageError(f"{self._path} cannot be read: {error}; {_MEND}") from error
        if dict(table.schema) != _SCHEMA:
            raise StorageError(
                f"{self._path} has columns {', '.join(table.columns)}: expected {', '.join(_SCHEMA)}; {_MEND}"
            )
        return table

    def _write(self, table: pl.DataFrame) -> None:
        with storage_errors(self._path, needed=int(table.estimated_size())):
            ensure_folder(self._path.parent)
            remove_stray_files(self._path)
            with temporary_file(self._path) as temporary:
                table.write_parquet(temporary)
                sync_file(temporary)
                temporary.replace(self._path)
            sync_folder(self._path.parent)


_MEND = "move it away and import the exports again"


def _to_table(fills: Iterable[Fill]) -> pl.DataFrame:
    rows = [
        (
            fill.time.astimezone(UTC),
            *(str(getattr(fill, name)) for name in _KEY),
            *(None if (word := getattr(fill, name)) is None else str(word) for name in _WORDS),
            *(None if (value := getattr(fill, name)) is None else plain_text(value) for name in _NUMBERS),
            fill.leverage,
            fill.raw_data,
        )
        for fill in fills
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _fills(table: pl.DataFrame) -> Iterator[Fill]:
    for row in table.iter_rows(named=True):
        values: dict[str, Any] = dict(row)
        values["time"] = values["time"].astimezone(UTC)
        values["source"] = FillSource(values["source"])
        values["side"] = Side(values["side"])
        if values["position_side"] is not None:
            values["position_side"] = PositionSide(values["position_side"])
        values |= {name: Decimal(values[name]) for name in _NUMBERS if values[name] is not None}
        yield Fill(**values)


def _merged(stored: pl.DataFrame, fresh: pl.DataFrame) -> tuple[pl.DataFrame, FillMerge]:
    """Put fills together, the stored ones first, and count what came of the fresh ones."""
    merged = pl.concat([stored, fresh]).unique(_KEY, keep="first", maintain_order=True)
    conflicts = _conflicts(merged, fresh)
    added = merged.height - stored.height
    return merged, FillMerge(added, fresh.height - added - len(conflicts), conflicts, merged.height)


def _conflicts(merged: pl.DataFrame, fresh: pl.DataFrame) -> tuple[FillConflict, ...]:
    """Compare every fresh fill with what is kept under its key."""
    pairs = fresh.join(merged, on=_KEY, how="left", suffix="_kept", maintain_order="left")
    differs = [pl.col(name).ne_missing(pl.col(f"{name}_kept")).alias(name) for name in _COMPARED]
    marked = pairs.select(*_KEY, *differs).filter(pl.any_horizontal(_COMPARED))
    return tuple(
        FillConflict(FillKey(*(row[name] for name in _KEY)), tuple(name for name in _COMPARED if row[name]))
        for row in marked.iter_rows(named=True)
    )
