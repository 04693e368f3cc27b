"""What cannot be archived or restored is refused by name, and nothing is lost by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import archive_writers as writers
import pytest
from archive_writers import DAY, FRAMES, MARKET, below, flipped, write
from frames_of import NOW, frame_of
from pandas.testing import assert_frame_equal
from small_disks import largest_file, small_disk

from itb_assets.errors import InputError, StorageError, StorageFull
from itb_assets.storage.disk import compressed
from itb_assets.storage.files import archive
from itb_assets.storage.files.archive import (
    archive_frame,
    archived,
    prune_archives,
    restore_frame,
)
from itb_assets.storage.layout import Layout


def test_links_out_of_the_root_are_not_followed(layout, copy, tmp_path):
    """Neither where a frame would be restored to, nor where the archive is read, nor where it is made."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = layout.data(MARKET).parent
    folder.rmdir()
    folder.symlink_to(outside)
    with pytest.raises(StorageError, match="leads out of"):
        restore_frame(layout, copy)
    with pytest.raises(StorageError, match="leads out of"):
        archive_frame(layout, folder / "data.csv", now=NOW)
    folder.unlink()
    (layout.archive_dir / "2025-03-01").rename(outside / "day")
    (layout.archive_dir / "2025-03-01").symlink_to(outside / "day")
    assert archived(layout) == ()
    write(layout.data(MARKET), seed=1)
    with pytest.raises(StorageError, match="leads out of"):
        archive_frame(layout, layout.data(MARKET), now=NOW)
    assert FRAMES.verify(layout.data(MARKET)) == ()
    prune_archives(layout, keep_days=0, now=NOW + 99 * DAY)
    assert len(below(outside / "day")) == 2


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT/5m/processed/../../../../data.csv",
        "BTCUSDT/5m/processed/data.json",
        "BTCUSDT/5m/processed/.data.csv",
        "BTCUSDT/5m/data.csv",
        "btc/5m/processed/data.csv",
        ".itb/archive/processed/data.csv",
        "executed/fills.parquet",
    ],
)
def test_what_is_not_a_frame_is_not_archived(layout, name):
    for path in (layout.root / name, Path("/etc") / name):
        with pytest.raises(StorageError, match="is not the file of a frame"):
            archive_frame(layout, path, now=NOW)


def test_a_frame_that_is_not_there(layout):
    with pytest.raises(StorageError, match="does not exist and is not in the archive"):
        archive_frame(layout, layout.data(MARKET), now=NOW)
    assert not layout.root.exists()


def test_a_frame_that_somebody_deleted_is_not_taken_for_archived(layout, copy):
    """A manifest alone is of the frame that was deleted, not of the older one in the archive."""
    write(layout.data(MARKET), seed=1)
    layout.data(MARKET).unlink()
    with pytest.raises(StorageError, match="does not exist and is not in the archive"):
        archive_frame(layout, layout.data(MARKET), now=NOW)
    assert archived(layout) == (copy,)


def test_a_damaged_or_foreign_frame_is_not_archived(layout):
    """What nobody could restore is told while it can still be made again."""
    path = layout.data(MARKET)
    write(path)
    status = path.stat()
    path.write_bytes(flipped(path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(StorageError, match=r"data\.csv is damaged"):
        archive_frame(layout, path, now=NOW)
    path.write_bytes(b"timestamp\n")
    with pytest.raises(StorageError, match="was changed outside"):
        archive_frame(layout, path, now=NOW)
    path.with_name(f".{path.name}.manifest.json").unlink()
    with pytest.raises(StorageError, match="has no manifest"):
        archive_frame(layout, path, now=NOW)
    assert path.read_bytes() == b"timestamp\n"
    assert below(layout.archive_dir) == set()


def in_place(path: Path) -> None:
    path.write_bytes(b"new")


def by_renaming(path: Path) -> None:
    path.with_name("new").write_bytes(b"new")
    path.with_name("new").rename(path)


@pytest.mark.parametrize("change", [in_place, by_renaming])
def test_a_frame_changed_meanwhile_stays(layout, monkeypatch, change):
    """Somebody who knows no locks writes it while it is read; what it held before is in the archive."""
    path, compress = layout.data(MARKET), compressed.compress
    write(path)

    def meanwhile(source: int, target: Path) -> compressed.Content:
        content = compress(source, target)
        change(path)
        return content

    monkeypatch.setattr(archive, "compress", meanwhile)
    with pytest.raises(StorageError, match="was changed outside while it was archived"):
        archive_frame(layout, path, now=NOW)
    assert path.read_bytes() == b"new"
    restored = restore_frame(layout, *archived(layout), to=layout.root / "to")
    assert_frame_equal(FRAMES.open(restored).read(), frame_of(writers.ROWS), check_exact=True)


def test_a_copy_that_does_not_read_back_removes_nothing(layout, monkeypatch):
    """A disk that loses bytes is found out before the frame is removed."""
    path, compress = layout.data(MARKET), compressed.compress
    write(path)

    def lossy(source: int, target: Path) -> compressed.Content:
        content = compress(source, target)
        target.write_bytes(flipped(target.read_bytes()))
        return content

    monkeypatch.setattr(archive, "compress", lossy)
    with pytest.raises(StorageError):
        archive_frame(layout, path, now=NOW)
    assert FRAMES.verify(path) == ()
    assert below(layout.archive_dir) == set()


def test_another_frame_is_not_overwritten(layout, copy):
    """Unless that is asked for; the same one is left as it lies."""
    path = layout.data(MARKET)
    write(path, seed=1)
    with pytest.raises(InputError, match="is there already and is not what was archived"):
        restore_frame(layout, copy)
    assert_frame_equal(FRAMES.open(path).read(), frame_of(writers.ROWS, seed=1), check_exact=True)
    restore_frame(layout, copy, replace=True)
    assert_frame_equal(FRAMES.open(path).read(), frame_of(writers.ROWS), check_exact=True)
    inode = path.stat().st_ino
    assert restore_frame(layout, copy) == path
    assert path.stat().st_ino == inode


def test_a_foreign_file_is_not_overwritten(layout, copy):
    path = layout.data(MARKET)
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match="is there already"):
        restore_frame(layout, copy)
    assert path.read_bytes() == b"mine"
    restore_frame(layout, copy, replace=True)
    assert FRAMES.verify(path) == ()


def test_a_full_disk_leaves_the_frame(layout):
    """Told as such, with nothing left behind; the same for what is restored."""
    path = layout.data(MARKET)
    write(path, rows=40_000)
    with largest_file(100_000), pytest.raises(StorageFull, match=r"data\.csv\.zst: [\d,]+ bytes needed"):
        archive_frame(layout, path, now=NOW)
    assert FRAMES.verify(path) == ()
    assert below(layout.archive_dir) == set()
    copy = archive_frame(layout, path, now=NOW)
    with largest_file(100_000), pytest.raises(StorageFull, match=r"data\.csv: [\d,]+ bytes needed"):
        restore_frame(layout, copy)
    assert below(layout.root / MARKET.symbol) == set()
    restore_frame(layout, copy)
    assert FRAMES.verify(path) == ()


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a disk of its own, far too small for a second frame."""
    with small_disk(tmp_path, "1800k") as folder:
        yield folder


def test_a_small_disk_leaves_the_frame(disk):
    layout = Layout(disk)
    write(layout.data(MARKET), rows=24_000)
    before = below(disk)
    with pytest.raises(StorageFull, match="bytes free"):
        archive_frame(layout, layout.data(MARKET), now=NOW)
    assert FRAMES.verify(layout.data(MARKET)) == ()
    assert below(disk) == before
