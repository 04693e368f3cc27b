"""The gap catalogue on disk, one small JSON file a market.

What a gap is belongs to `domain.gaps`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from itb_assets.domain.gaps import Gap, gaps_from_json, gaps_to_json
from itb_assets.storage.disk.atomic import (
    ensure_folder,
    remove_stray_files,
    storage_errors,
    sync_folder,
    write_whole,
)


def read_gaps(path: Path) -> tuple[Gap, ...]:
    """Return the gaps recorded so far; raise DataContractError when they cannot be read."""
    return gaps_from_json(path.read_text("utf-8")) if path.exists() else ()


def write_gaps(path: Path, gaps: Iterable[Gap]) -> None:
    """Replace the catalogue in one step; raise StorageError or StorageFull.

    The caller holds the market's lock.
    """
    content = gaps_to_json(gaps).encode()
    with storage_errors(path, needed=len(content)):
        ensure_folder(path.parent)
        remove_stray_files(path)
        write_whole(path, content)
        sync_folder(path.parent)
