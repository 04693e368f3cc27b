"""A frame on disk, held open.

Finding and writing frames belongs to the frame store.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd
import polars as pl

from itb_assets.errors import StorageError
from itb_assets.storage.files import csv_file, parquet_file
from itb_assets.storage.files.dtypes import TIME, regular_times, to_pandas
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.files.stored_frame import StoredFrame

_FORMATS: dict[str, ModuleType] = {".csv": csv_file, ".parquet": parquet_file}


def format_of(path: Path) -> ModuleType:
    """Return the module that writes and reads files of this suffix; raise StorageError for another."""
    if path.suffix not in _FORMATS:
        raise StorageError(f"{path} ends in {path.suffix!r}: a frame is stored as {' or '.join(_FORMATS)}")
    return _FORMATS[path.suffix]


class FileFrame(StoredFrame):
    """An open file; a later write leaves this handle on the content it opened."""

    def __init__(self, path: Path, descriptor: int, manifest: FrameManifest) -> None:
        """Take over an open descriptor, which is closed with this handle."""
        self.path = path
        self.manifest = manifest
        self.descriptor = descriptor
        self._format = format_of(path)
        self._close = weakref.finalize(self, os.close, descriptor)

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows, reading only what cannot be told from the manifest."""
        names = self.selected(columns)
        read = self._valued(names)
        return self._pandas(self._format.read(self.descriptor, self.manifest.columns, read), names, 0)

    def tail(self, rows: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the last rows, or all there are."""
        names = self.selected(columns)
        table = self._format.tail(self.descriptor, self.manifest.columns, self._valued(names), rows)
        return self._pandas(table, names, max(self.rows - rows, 0))

    def since(self, time: pd.Timestamp, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows at or after `time`."""
        if self.first is not None and time <= self.first:
            return self.read(columns)
        names = self.selected(columns)
        table = self._format.since(self.descriptor, self.manifest.columns, names, time)
        return to_pandas(table, self.manifest.columns)

    def table_since(self, time: pd.Timestamp) -> pl.DataFrame:
        """Return the rows at or after `time` as a polars table."""
        table: pl.DataFrame = self._format.since(
            self.descriptor, self.manifest.columns, list(self.manifest.columns), time
        )
        return table

    def close(self) -> None:
        """Release the file; nothing can be read afterwards."""
        self._close()

    def _valued(self, names: list[str]) -> list[str]:
        """Return the columns that have to be read: the times of regular rows are known without."""
        others = [name for name in names if name != TIME]
        return others if others and self.manifest.step_s else names

    def _pandas(self, table: pl.DataFrame, names: list[str], skipped: int) -> pd.DataFrame:
        """Put together what was read and, where they were not read, the times after `skipped` rows."""
        manifest = self.manifest
        if list(table.columns) == names or manifest.step_s is None or manifest.first is None:
            return to_pandas(table, manifest.columns)
        if table.height != manifest.rows - skipped:
            raise StorageError(
                f"{self.path} holds {skipped + table.height} rows, its manifest says {manifest.rows}: "
                "make it again"
            )
        start = manifest.first + pd.Timedelta(seconds=skipped * manifest.step_s)
        frame = to_pandas(table, manifest.columns, times=regular_times(start, manifest.step_s, table.height))
        return frame if list(frame.columns) == names else frame[names]
