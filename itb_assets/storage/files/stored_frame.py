"""What every stored frame answers, wherever it lies: what is known of it at once, its rows when asked for.

How rows are read belongs to `file_frame` and `tables.frame`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pandas as pd

from itb_assets.errors import StorageError
from itb_assets.storage.files.manifest import FrameManifest


class StoredFrame(ABC):
    """A handle on the frame that its manifest describes.

    Columns come back with the dtypes they were written with; `columns` selects and orders them.
    """

    manifest: FrameManifest

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it lies, as messages name it: a path, or a table of the database."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.manifest.rows

    @property
    def first(self) -> pd.Timestamp | None:
        """Time of the first row; None of an empty frame."""
        return self.manifest.first

    @property
    def last(self) -> pd.Timestamp | None:
        """Time of the last row; None of an empty frame."""
        return self.manifest.last

    @abstractmethod
    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows."""

    @abstractmethod
    def tail(self, rows: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the last `rows` rows, or all there are; the cost is that of the rows returned."""

    @abstractmethod
    def since(self, time: pd.Timestamp, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows at or after `time`; the cost is that of the rows returned."""

    def close(self) -> None:  # noqa: B027 - what holds nothing open has nothing to release
        """Release what it holds open; nothing can be read afterwards."""

    def selected(self, columns: Sequence[str] | None) -> list[str]:
        """Return the names of the columns asked for, all where None; raise StorageError for unknown ones."""
        if columns is None:
            return list(self.manifest.columns)
        unknown = [name for name in columns if name not in self.manifest.columns]
        if unknown:
            raise StorageError(
                f"{self.place} has no column {', '.join(unknown)}: it has {', '.join(self.manifest.columns)}"
            )
        return list(columns)
