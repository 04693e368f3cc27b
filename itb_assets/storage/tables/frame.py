"""A frame in the database: its columns put together from the tables that hold them, when asked for.

Statements belong to `read`, which table holds what to `placing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import polars as pl

from itb_assets.domain.markets import Market
from itb_assets.errors import MarketBusy, StorageError
from itb_assets.storage.database.connection import Connections, Cursor
from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME, TIME_DTYPE, to_pandas
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.files.stored_frame import StoredFrame
from itb_assets.storage.tables.number_rows import are_numbers
from itb_assets.storage.tables.parts import check_part, grid_rows, rows_since
from itb_assets.storage.tables.placing import DATA, FEATURES, MATRIX, RAW, Kept, kept_in
from itb_assets.storage.tables.read import Window, frame_rows, start_of_tail
from itb_assets.storage.tables.records import Recorded, recorded

_OF_NUMBERS = (RAW, DATA, FEATURES, MATRIX)
"""Frames whose tables hold numbers alone, or true and false."""


class TableFrame(StoredFrame):
    """A frame of one version; once another one is stored, reading raises MarketBusy."""

    def __init__(self, connections: Connections, asset: str, market: Market, manifest: FrameManifest) -> None:
        """Remember what to read; every read is a transaction of its own."""
        self.manifest = manifest
        self._connections, self._asset, self._market = connections, asset, market

    @property
    def place(self) -> str:
        """The tables its columns lie in."""
        return kept_in(self._asset, self._market).place

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows."""
        return self._rows(columns, None, self.rows)

    def tail(self, rows: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the last rows, or all there are."""
        wanted = min(max(rows, 0), self.rows)
        start = None
        if wanted and wanted < self.rows and self.last is not None and self.manifest.step_s:
            start = self.last - pd.Timedelta(seconds=(wanted - 1) * self.manifest.step_s)
        return self._rows(columns, start, wanted, is_tail=wanted < self.rows)

    def since(self, time: pd.Timestamp, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows at or after `time`."""
        if self.first is None or time <= self.first:
            return self.read(columns)
        return self._rows(columns, time, rows_since(self.manifest, time))

    def _rows(
        self,
        columns: Sequence[str] | None,
        start: pd.Timestamp | None,
        expected: int | None,
        *,
        is_tail: bool = False,
    ) -> pd.DataFrame:
        """Return rows from a time on; `is_tail` without one: the last `expected` of them."""
        names = self.selected(columns)
        dtypes = {name: self.manifest.columns[name] for name in names}
        fast = self._asset in _OF_NUMBERS and are_numbers(dtypes)
        with self._connections.copying() if fast else self._connections.reading() as cursor:
            found = self._checked(cursor)
            if expected == 0 or self.first is None:
                table = pl.DataFrame(schema={name: POLARS_DTYPES[dtype] for name, dtype in dtypes.items()})
                return to_pandas(table, self.manifest.columns)
            if is_tail and start is None:
                start = start_of_tail(cursor, self._kept(found), self._table_rows(expected or 0), self.last)
            table = self._gathered(cursor, found, dtypes, Window(start or self.first, self.last))
        if expected is not None and table.height != expected:
            raise StorageError(
                f"{self.place} holds {table.height} rows from {start or self.first} on, its record says "
                f"{expected}: materialize {self._asset} again"
            )
        return to_pandas(table.select(names), self.manifest.columns)

    def _checked(self, cursor: Cursor) -> Recorded:
        """Return the record; raise MarketBusy where it is not that of this version."""
        found = recorded(cursor, self._asset, self._market)
        if found is None or (found.manifest.version, found.manifest.sha256) != (
            self.manifest.version,
            self.manifest.sha256,
        ):
            now = "is gone" if found is None else f"became version {found.manifest.version}"
            raise MarketBusy(
                f"{self._asset} of {self._market} was written meanwhile (version {self.manifest.version} "
                f"{now}): run again"
            )
        return found

    def _kept(self, found: Recorded) -> Kept:
        return kept_in(self._asset, self._market, found.present)

    def _table_rows(self, rows: int) -> int:
        """Return how many rows of the table make so many of the frame: one a score."""
        scores = len(self.manifest.columns) - 2
        return rows * scores if self._asset.startswith("predictions/") else rows

    def _gathered(
        self, cursor: Cursor, found: Recorded, dtypes: Mapping[str, str], window: Window
    ) -> pl.DataFrame:
        if self._asset == DATA:
            check_part(cursor, self.manifest, self._market, RAW)
            return grid_rows(cursor, self._market, self.manifest, dtypes, window)
        if self._asset == MATRIX:
            return self._matrix(cursor, found, dtypes, window)
        return frame_rows(cursor, self._kept(found), dtypes, window)

    def _matrix(
        self, cursor: Cursor, found: Recorded, dtypes: Mapping[str, str], window: Window
    ) -> pl.DataFrame:
        """Put labels, features and klines side by side, each asked only for what it holds."""
        columns: dict[str, pl.Series] = {}
        for part, asked in self._holders(cursor, found, dtypes).items():
            if part == DATA:
                table = grid_rows(cursor, self._market, self.manifest, asked, window)
            else:
                table = frame_rows(cursor, kept_in(part, self._market, found.present), asked, window)
            times = columns.setdefault(TIME, table[TIME])
            if not times.equals(table[TIME]):
                raise StorageError(
                    f"{MATRIX} of {self._market} has {times.len()} rows from {window.start} to "
                    f"{window.last}, {part} {table.height} or others: materialize {part} and {MATRIX} again"
                )
            columns |= {name: table[name] for name in asked}
        return pl.DataFrame(columns)

    def _holders(
        self, cursor: Cursor, found: Recorded, dtypes: Mapping[str, str]
    ) -> dict[str, dict[str, str]]:
        """Return which frame's table holds which columns; one that several have is the label or feature."""
        parts = {part: check_part(cursor, self.manifest, self._market, part) for part in (FEATURES, DATA)}
        check_part(cursor, parts[DATA], self._market, RAW)
        sources = {MATRIX: found.present or ()} | {part: known.columns for part, known in parts.items()}
        held: dict[str, dict[str, str]] = {MATRIX: {TIME: TIME_DTYPE}}
        for name, dtype in dtypes.items():
            holder = next((part for part, names in sources.items() if name in names), None)
            if holder is None:
                raise StorageError(
                    f"no table holds column {name} of {MATRIX} of {self._market}: materialize {FEATURES} and "
                    f"{MATRIX} again"
                )
            held.setdefault(holder, {})[name] = dtype
        return held
