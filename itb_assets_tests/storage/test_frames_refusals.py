"""What the frame store refuses or recovers: frames that cannot be stored, files that others touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from frames_of import frame_of, record
from pandas.testing import assert_frame_equal

from itb_assets.errors import DataContractError, StorageError
from itb_assets.storage.files.frames import FrameStore

STORE = FrameStore()


@pytest.fixture(params=("csv", "parquet"))
def path(request, tmp_path) -> Path:
    return tmp_path / "BTCUSDT" / "5m" / f"data.{request.param}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[::-1], "out of order or repeated, the first at 2024-09-01 00:35"),
        (lambda f: pd.concat([f, f.tail(1)]), "1 rows are out of order"),
        (lambda f: f.assign(close=f["close"].astype("float32")), "'close' is float32"),
        (
            lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize(None)),
            "first column is not 'timestamp'",
        ),
        (lambda f: f.assign(timestamp=f["timestamp"] + pd.Timedelta("1ms")), "not whole seconds"),
        (lambda f: f.assign(timestamp=f["timestamp"].where(f.index != 2)), "1 rows have no timestamp"),
        (lambda f: f.assign(sample="two\nlines"), "several lines"),
        (lambda f: f.assign(sample=[1, *f["sample"][1:]]), "cannot be stored"),
        (lambda f: f[[*f.columns, "close"]], "appears twice"),
        (lambda f: f.rename(columns={"close": 'cl"ose'}), "one line of text"),
    ],
)
def test_what_cannot_be_stored_is_refused(path, change, message):
    """A frame that would not come back as it was is refused whole, and what was stored stays."""
    kept = STORE.write(path, frame_of(9), record=record())
    with pytest.raises(DataContractError, match=message):
        STORE.write(path, change(frame_of(9)), record=record())
    assert STORE.open(path).manifest == kept


def test_a_file_changed_outside_is_told(path):
    STORE.write(path, frame_of(30), record=record())
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="changed outside"):
        STORE.open(path)
    assert "changed outside" in STORE.verify(path)[0]
    STORE.write(path, frame_of(30), record=record())
    assert STORE.verify(path) == ()


def test_damage_that_keeps_size_and_time_is_found_by_verify(path):
    STORE.write(path, frame_of(30), record=record())
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(b"\xa5")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "damaged" in STORE.verify(path)[0]


def test_a_restored_copy_is_recognised_by_content(path):
    """Inode and times differ after a restore from backup; the bytes are what counts."""
    STORE.write(path, frame_of(30), record=record())
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)
    assert STORE.open(path).rows == 30
    assert not STORE.splice(path, frame_of(60).tail(30), record=record()).unchanged


def test_absent_and_foreign_files_are_told_apart(path):
    assert STORE.find(path) is None
    with pytest.raises(StorageError, match="materialize"):
        STORE.open(path)
    path.parent.mkdir(parents=True)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(StorageError, match="has no manifest"):
        STORE.open(path)
    with pytest.raises(StorageError, match=r"'\.txt'"):
        STORE.write(path.with_suffix(".txt"), frame_of(1), record=record())


def test_a_torn_manifest_is_told(path):
    STORE.write(path, frame_of(3), record=record())
    manifest = path.with_name(f".{path.name}.manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(StorageError, match="not a manifest of ours"):
        STORE.open(path)


def test_an_open_frame_outlives_its_replacement(path):
    frame = frame_of(300)
    STORE.write(path, frame, record=record())
    stored = STORE.open(path)
    STORE.write(path, frame_of(10, seed=3), record=record())
    assert_frame_equal(stored.read(), frame, check_exact=True)
    stored.close()


def test_what_comes_before_the_commit_may_stop_it(path):
    """The caller's transaction commits first; if it fails the file is as it was, with nothing left over."""
    kept = STORE.write(path, frame_of(9), record=record())

    def fail(manifest: object) -> None:
        raise ConnectionError("the database is gone")

    for attempt in (
        lambda: STORE.write(path, frame_of(20), record=record(), before_commit=fail),
        lambda: STORE.splice(path, frame_of(20).tail(11), record=record(), before_commit=fail),
    ):
        with pytest.raises(ConnectionError):
            attempt()
        assert STORE.open(path).manifest == kept
        assert sorted(p.name for p in path.parent.iterdir()) == [f".{path.name}.manifest.json", path.name]
    seen = []
    STORE.write(path, frame_of(9), record=record(), before_commit=seen.append)
    assert seen[0].unchanged
