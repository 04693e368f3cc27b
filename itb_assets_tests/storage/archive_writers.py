"""Frames for the tests of the archive, and what its killed processes do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from dying import Counted, die_before
from frames_of import NOW, frame_of, record

from itb_assets.domain.markets import Market
from itb_assets.storage.disk import compressed
from itb_assets.storage.files.archive import Archived, archive_frame, archived, prune_archives, restore_frame
from itb_assets.storage.files.frames import FrameManifest, FrameStore
from itb_assets.storage.layout import Layout

FRAMES = FrameStore()
MARKET = Market("BTCUSDT", "5m")
DAY = timedelta(days=1)
ROWS = 120


def write(path: Path, *, seed: int = 0, rows: int = ROWS, **changes: object) -> FrameManifest:
    """Write a frame of its own."""
    return FRAMES.write(path, frame_of(rows, seed=seed), record=record(**changes))


def below(folder: Path) -> set[str]:
    """Return the names of all files in a folder and those in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def flipped(content: bytes) -> bytes:
    """Return the same bytes but for one bit in their middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def archive_now(root: Path) -> None:
    """Archive the frame."""
    archive_frame(Layout(root), Layout(root).data(MARKET), now=NOW)


def newest(root: Path) -> Archived:
    """Return the newest copy of the frame."""
    copies = [copy for copy in archived(Layout(root)) if copy.original.name == "data.csv"]
    return copies[-1]


def restore(root: Path) -> None:
    """Put the frame back."""
    restore_frame(Layout(root), newest(root))


def replace(root: Path) -> None:
    """Put the frame back over another."""
    restore_frame(Layout(root), newest(root), replace=True)


def prune(root: Path) -> None:
    """Remove what is older than a week."""
    prune_archives(Layout(root), keep_days=7, now=NOW)


ACTIONS: Mapping[str, Callable[[Path], None]] = {
    "archive": archive_now,
    "restore": restore,
    "replace": replace,
    "prune": prune,
}


def die_at(action: str, root: Path, step: int) -> None:
    """Do it once and be killed just before the `step`th change that a disk would see."""
    counted = die_before(step)
    copy = compressed._copy
    compressed._copy = lambda read, write, **options: copy(read, torn(counted, write), **options)
    ACTIONS[action](root)


def torn(counted: Counted, write: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a write in two halves, before and between which one may be killed."""

    def in_halves(block: bytes) -> None:
        half = len(block) // 2
        counted(write)(block[:half])
        counted(write)(block[half:])

    return in_halves
