"""A full disk is told as such, and what was stored before is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from frames_of import frame_of, record
from pandas.testing import assert_frame_equal
from small_disks import largest_file, small_disk

from itb_assets.errors import StorageError, StorageFull
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.models.folder import ModelStore

FRAMES, MODELS = FrameStore(), ModelStore()
FREE = 600_000


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a disk of its own, far too small."""
    with small_disk(tmp_path, str(FREE)) as folder:
        yield folder


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("name", ["data.csv", "klines.parquet"])
def test_a_frame_that_does_not_fit(disk, name):
    path = disk / "BTCUSDT" / name
    kept = FRAMES.write(path, frame_of(2_000), record=record())
    names = names_in(path.parent)
    big = frame_of(80_000, seed=1)
    for attempt in (
        lambda: FRAMES.write(path, big, record=record()),
        lambda: FRAMES.splice(path, big, record=record()),
    ):
        with pytest.raises(
            StorageFull, match=rf"{name}: [\d,]+ bytes needed, [\d,]+ bytes free; .* unchanged"
        ):
            attempt()
        assert FRAMES.open(path).manifest == kept
        assert FRAMES.verify(path) == ()
        assert_frame_equal(FRAMES.open(path).read(), frame_of(2_000), check_exact=True)
        assert names_in(path.parent) == names


def test_a_model_that_does_not_fit(disk):
    folder = disk / "models" / "high_040_4"
    MODELS.save(folder, payload={"n": 1}, metadata={}, metrics={})
    with pytest.raises(StorageFull, match="bytes needed"):
        MODELS.save(folder, payload={"n": "2" * 2 * FREE}, metadata={}, metrics={})
    assert MODELS.load(folder).payload == {"n": 1}
    assert names_in(folder.parent) == ["high_040_4"]


@pytest.mark.parametrize("name", ["data.csv", "klines.parquet"])
def test_a_limit_on_file_sizes_is_a_full_disk_too(tmp_path, name):
    path = tmp_path / name
    kept = FRAMES.write(path, frame_of(500), record=record())
    with largest_file(100_000), pytest.raises(StorageFull):
        FRAMES.write(path, frame_of(40_000, seed=1), record=record())
    assert FRAMES.open(path).manifest == kept
    assert len(names_in(tmp_path)) == 2


def test_a_place_that_is_no_folder_is_told(tmp_path):
    (tmp_path / "BTCUSDT").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        FRAMES.write(tmp_path / "BTCUSDT" / "data.csv", frame_of(5), record=record())
