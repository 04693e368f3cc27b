"""`kill -9` before any step leaves every frame readable or restorable, and the next call tidies up."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import archive_writers as writers
import pytest
from archive_writers import DAY, FRAMES, MARKET, below, write
from dying import in_forks
from frames_of import NOW, frame_of
from pandas.testing import assert_frame_equal

from itb_assets.storage.files.archive import (
    archive_frame,
    archived,
    check_archived,
    damaged_archives,
    prune_archives,
    restore_frame,
)
from itb_assets.storage.layout import Layout


@pytest.fixture(scope="module")
def dying() -> Iterator[Callable[..., int]]:
    """Return a call of `die_at` in a process of its own, which returns how that one ended."""
    with in_forks(
        writers.die_at, preload=["itb_assets.storage.files.archive", "itb_assets.storage.files.frames"]
    ) as call:
        yield call


def kill_everywhere(
    dying: Callable[..., int], folder: Path, action: str, prepare: Callable[[Path], None]
) -> Iterator[Path]:
    """Yield the data root after a kill before the first step, the second, and so on to the end."""
    step, ended = 0, False
    while not ended:
        root = folder / str(step)
        root.mkdir()
        prepare(root)
        code = dying(action, root, step)
        assert code in {0, -signal.SIGKILL}
        ended = code == 0
        yield root
        shutil.rmtree(root)
        step += 1
    assert step >= 6


def is_frame(path: Path, seed: int) -> bool:
    """Return whether the frame made of `seed` lies there; whatever else lies there is no sound frame."""
    stored = FRAMES.find(path)
    if stored is None:
        return False
    assert FRAMES.verify(path) == ()
    assert_frame_equal(stored.read(), frame_of(writers.ROWS, seed=seed), check_exact=True)
    return True


def restored(layout: Layout, folder: Path) -> int:
    """Restore every copy elsewhere, check it, and return how many there are."""
    copies = archived(layout)
    for number, copy in enumerate(copies):
        path = restore_frame(layout, copy, to=folder / f"restored {number}")
        assert is_frame(path, copy.manifest.version % 10)
    return len(copies)


def one_frame(root: Path) -> None:
    write(Layout(root).data(MARKET), seed=0, written_at=NOW)


def one_archived(root: Path) -> None:
    one_frame(root)
    archive_frame(Layout(root), Layout(root).data(MARKET), now=NOW)


NAME = "BTCUSDT/5m/processed/data"


@pytest.mark.parametrize("later", [0, 1])
def test_archiving(dying, folder, later):
    """The frame is where it was or in the archive, and archiving again ends with one copy of that day."""
    for root in kill_everywhere(dying, folder, "archive", one_frame):
        layout, path = Layout(root), Layout(root).data(MARKET)
        assert is_frame(path, 0) or restored(layout, root / "first") == 1
        killed_whole = len(archived(layout))
        copy = archive_frame(layout, path, now=NOW + later * DAY)
        check_archived(copy)
        assert copy == archived(layout)[-1]
        assert len(archived(layout)) in {1, 1 + killed_whole * later}
        assert damaged_archives(layout) == ()
        assert below(root / MARKET.symbol) == set()
        days = {f"2025-03-01/{NAME}.csv.zst", f"2025-03-01/{NAME}.csv.zst.json"}
        if not later:
            assert below(layout.archive_dir) == days
        assert restored(layout, root / "second") == len(archived(layout))
        prune_archives(layout, keep_days=0, now=NOW + 3 * DAY)
        assert list(layout.archive_dir.iterdir()) == []


def test_archiving_a_second_frame_of_the_day(dying, folder):
    """The first copy of the day is not touched by a killed second one."""

    def prepare(root: Path) -> None:
        one_archived(root)
        write(Layout(root).data(MARKET), seed=1, written_at=NOW.replace(second=1))

    for root in kill_everywhere(dying, folder, "archive", prepare):
        layout, path = Layout(root), Layout(root).data(MARKET)
        assert restored(layout, root / "first") == 2 - (not archived(layout)[1:])
        assert is_frame(path, 1) or len(archived(layout)) == 2
        archive_frame(layout, path, now=NOW)
        assert restored(layout, root / "second") == 2
        assert damaged_archives(layout) == ()
        assert below(layout.archive_dir) == {
            f"2025-03-01/{NAME}{number}.csv.zst{suffix}" for number in ("", ".2") for suffix in ("", ".json")
        }


def test_restoring(dying, folder):
    """The frame is there as a whole or not at all, and restoring again puts it there."""
    for root in kill_everywhere(dying, folder, "restore", one_archived):
        layout, path = Layout(root), Layout(root).data(MARKET)
        was_there = is_frame(path, 0)
        assert restored(layout, root / "first") == 1
        inode = path.stat().st_ino if was_there else None
        writers.restore(root)
        assert is_frame(path, 0)
        assert inode in (None, path.stat().st_ino)
        assert {entry.name for entry in path.parent.iterdir()} == {path.name, f".{path.name}.manifest.json"}


def test_restoring_over_another(dying, folder):
    """One of both is there at every moment, described by its manifest."""

    def prepare(root: Path) -> None:
        one_archived(root)
        write(Layout(root).data(MARKET), seed=1, written_at=NOW.replace(second=1))

    seen = []
    for root in kill_everywhere(dying, folder, "replace", prepare):
        path = Layout(root).data(MARKET)
        stored = FRAMES.open(path)
        seen.append(stored.manifest.version % 10)
        assert is_frame(path, seen[-1])
        writers.replace(root)
        assert is_frame(path, 0)
        assert {entry.name for entry in path.parent.iterdir()} == {path.name, f".{path.name}.manifest.json"}
    assert (seen[0], seen[-1]) == (1, 0)
    assert sorted(seen, reverse=True) == seen


def test_pruning(dying, folder):
    """What is young stays whole, and pruning again removes all of what is old."""

    def prepare(root: Path) -> None:
        layout = Layout(root)
        for days, seed in ((30, 0), (8, 1), (6, 2)):
            at = NOW - days * DAY
            write(layout.data(MARKET), seed=seed, written_at=at.replace(second=seed))
            archive_frame(layout, layout.data(MARKET), now=at)

    for root in kill_everywhere(dying, folder, "prune", prepare):
        layout = Layout(root)
        left = restored(layout, root / "first")
        assert 1 <= left <= 3
        writers.prune(root)
        assert damaged_archives(layout) == ()
        assert restored(layout, root / "second") == 1
        assert [entry.name for entry in layout.archive_dir.iterdir()] == ["2025-02-23"]


def test_what_killed_calls_leave_is_not_taken_for_an_archive(folder):
    """A sidecar without its file is told and gives nothing to restore."""
    one_archived(folder)
    (copy,) = archived(Layout(folder))
    os.unlink(copy.file)  # noqa: PTH108 - as the kill tests count it
    assert archived(Layout(folder)) == ()
    (told,) = damaged_archives(Layout(folder))
    assert "data.csv.zst.json has no data.csv.zst beside it" in told
