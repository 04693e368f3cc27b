"""Frames kept as the storage phase says: found, written and brought level in files and tables alike.

How a file or a table is written belongs to `frames` and `database`; writers hold their market's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.files.adoption import adopt
from itb_assets.storage.files.file_frame import FileFrame
from itb_assets.storage.files.frame_paths import frame_path
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.files.manifest import FrameManifest, Record
from itb_assets.storage.files.stored_frame import StoredFrame
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import Phase, reads_tables, record_phase, recorded_phase
from itb_assets.storage.tables.database import SqlStore

Commit = Callable[[SqlStore], object]


@dataclass(frozen=True)
class FrameKeeper:
    """Files below a layout and the tables beside them; `database` is None in phase `files` alone."""

    layout: Layout
    frames: FrameStore
    phase: Phase
    database: SqlStore | None

    def find(self, market: Market, asset: str, *, locked: bool = False) -> StoredFrame | None:
        """Return the frame that is read in this phase, or None where none was made.

        In phase `db_read` tables that lack what a newer file holds get it first: the database was away.
        `locked` says that the caller holds the market's lock.
        """
        if not reads_tables(self.phase):
            return self.file(market, asset)
        table = self._tables.find(asset, market)
        if self.phase == "db" or not self._lacks(market, asset, table):
            return table
        lock = self.layout.market_lock(market)
        with nullcontext() if locked else market_lock(lock, wait_s=LOCK_WAIT_S):
            if self._lacks(market, asset, self._tables.find(asset, market)):
                self.level_table(market, asset)
        return self._tables.find(asset, market)

    def _lacks(self, market: Market, asset: str, table: StoredFrame | None) -> bool:
        try:
            file = self.file(market, asset)
        except StorageError:
            if table is None:
                raise
            return False  # the table is read; the file is made again at the next write
        return file is not None and (table is None or file.manifest.newer_than(table.manifest))

    def write(
        self,
        market: Market,
        asset: str,
        frame: pd.DataFrame,
        *,
        record: Record,
        from_time: pd.Timestamp | None = None,
        commit: Commit | None = None,
    ) -> FrameManifest:
        """Replace the rows from a time on, or all; the database commits before the file takes its name.

        `commit` writes to the database what no table of frames keeps. Raises as FrameStore and SqlStore do.
        """
        self._refuse_another_phase()
        if self.phase == "db" or (self.phase == "db_read" and self._file_lags(market, asset)):
            # read from the table, a tail belongs onto what that holds
            if commit is not None:
                commit(self._tables)
            manifest = self._tables.write(asset, market, frame, record=record, from_time=from_time)
            if self.phase == "db_read":
                self.level_file(market, asset)
            return manifest

        def commit_rows(manifest: FrameManifest) -> None:
            if self.database is None:
                return
            self.database.replace(asset, market, frame, from_time=from_time, manifest=manifest)
            if commit is not None:
                commit(self.database)

        path = frame_path(self.layout, market, asset)
        if from_time is None:
            return self.frames.write(path, frame, record=record, before_commit=commit_rows)
        return self.frames.splice(path, frame, record=record, from_time=from_time, before_commit=commit_rows)

    def level(self, market: Market, asset: str) -> None:
        """Bring file and table to one state after a run; in phase `db_read` a later table is the measure."""
        if self.phase == "db_read":
            self.level_file(market, asset)
        self.level_table(market, asset)

    def level_table(self, market: Market, asset: str) -> bool:
        """Give the tables what they missed of a file; return whether anything was missing."""
        if self.database is None or self.phase == "db":
            return False
        file = self.file(market, asset)
        return (
            file is not None
            and not self._is_ahead(market, asset, file)
            and self.database.catch_up(asset, market, file)
        )

    def lacks_rows(self, market: Market, asset: str) -> bool:
        """Tell whether `level_table` would find something missing."""
        file, recorded = self.file(market, asset), self._tables.recorded(asset, market)
        if file is None or self._is_ahead(market, asset, file):
            return False
        return recorded is None or recorded.sha256 != file.manifest.sha256

    def _is_ahead(self, market: Market, asset: str, file: StoredFrame) -> bool:
        """Tell whether a table is read and newer than its file: who wrote both was killed in between."""
        if self.phase != "db_read":
            return False
        recorded = self._tables.recorded(asset, market)
        return recorded is not None and recorded.newer_than(file.manifest)

    def reload_table(self, market: Market, asset: str, file: StoredFrame) -> None:
        """Load the rows of a frame again from its file, whatever their record says."""
        same = "symbol = :symbol AND freq = :freq AND asset = :asset"
        self._tables.query(
            f"DELETE FROM manifests WHERE {same}",  # noqa: S608 - a constant
            symbol=market.symbol,
            freq=market.freq,
            asset=asset,
        )
        self._tables.catch_up(asset, market, file)

    def level_file(self, market: Market, asset: str) -> bool:
        """Make a file anew whose table is newer, or that is gone or damaged; return whether it was."""
        table = self._tables.find(asset, market)
        if table is None or not self._file_lags(market, asset):
            return False
        self.adopt(market, asset, table)
        return True

    def _file_lags(self, market: Market, asset: str) -> bool:
        """Tell whether a table is newer than its file, or that is gone or damaged."""
        recorded = self._tables.recorded(asset, market)
        if recorded is None:
            return False
        file = None
        with suppress(StorageError):
            file = self.file(market, asset)
        return file is None or recorded.newer_than(file.manifest)

    def adopt(self, market: Market, asset: str, table: StoredFrame) -> FrameManifest:
        """Make the file of a frame from its table, whatever lies there now."""
        return adopt(
            frame_path(self.layout, market, asset),
            table,
            before_commit=lambda manifest: self._tables.note(asset, market, manifest),
        )

    def file(self, market: Market, asset: str) -> FileFrame | None:
        """Return the file of a frame, or None where there is none; StorageError if it was changed outside."""
        return self.frames.find(frame_path(self.layout, market, asset))

    def place(self, market: Market, asset: str) -> str:
        """Return where a frame lies, as a person reads it."""
        if self.phase == "db":
            return f"database, {asset} of {market}"
        return str(frame_path(self.layout, market, asset).absolute())

    def markets(self) -> tuple[Market, ...]:
        """Return every market whose klines are stored."""
        if self.phase != "db":
            return self.layout.markets()
        found = self._tables.query("SELECT symbol, freq FROM manifests WHERE asset = 'raw/klines'")
        return tuple(sorted((Market(**row) for row in found), key=lambda m: (m.symbol, m.freq_ms)))

    def _refuse_another_phase(self) -> None:
        """Stop a process that was started before the data root was moved into phase `db`, or out of it."""
        recorded = recorded_phase(self.layout)
        if recorded != self.phase and "db" in (recorded, self.phase):
            if recorded is None:  # a new data root that is in phase `db` from its first frame on
                record_phase(self.layout, self.phase, now=datetime.now(UTC))
                return
            raise StorageError(
                f"the data root was moved to storage phase {recorded} while this process acts in "
                f"{self.phase}: nothing was written; start it again"
            )

    @property
    def _tables(self) -> SqlStore:
        if self.database is None:
            raise StorageError(f"storage phase {self.phase} has no database: expected dual, db_read or db")
        return self.database
