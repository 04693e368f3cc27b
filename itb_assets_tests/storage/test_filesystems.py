"""Filesystems that cannot do everything, and folders that somebody else may write to."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest
from frames_of import frame_of, record
from pandas.testing import assert_frame_equal

from itb_assets.errors import StorageError
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.files import csv_file
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.server.process import ServerUser, launch

STORE = FrameStore()


def refuse(code: int):
    def call(*_):
        raise OSError(code, os.strerror(code))

    return call


def absent(monkeypatch):
    monkeypatch.delattr(os, "copy_file_range")


def unsupported(monkeypatch):
    monkeypatch.setattr(os, "copy_file_range", refuse(errno.EOPNOTSUPP))


def idle(monkeypatch):
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)


@pytest.mark.parametrize("change", [absent, unsupported, idle])
def test_a_tail_is_replaced_where_the_kernel_copies_nothing(tmp_path, monkeypatch, change):
    """Other systems lack the call, network mounts refuse it, and some report success without copying."""
    change(monkeypatch)
    monkeypatch.setattr(csv_file, "_BUFFER_BYTES", 1000)
    path, frame = tmp_path / "data.csv", frame_of(400)
    STORE.write(path, frame.head(300), record=record())
    STORE.splice(path, frame.tail(110).reset_index(drop=True), record=record())
    assert_frame_equal(STORE.open(path).read(), frame, check_exact=True)
    assert STORE.verify(path) == ()


def test_a_file_that_ends_too_soon_is_told_and_not_copied_for_ever(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 10)
    with (
        source.open("rb") as read,
        target.open("wb") as written,
        pytest.raises(OSError, match="ends after 10"),
    ):
        csv_file._copy(read.fileno(), written.fileno(), 11)


def test_a_filesystem_without_locks_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    with (
        pytest.raises(StorageError, match=r"cannot lock files.*ITB_DATA_ROOT"),
        market_lock(tmp_path / "BTCUSDT_5m.lock"),
    ):
        pytest.fail("the lock was not taken")


def test_the_servers_log_is_no_way_to_another_file(tmp_path):
    """Root writes it in a folder of the server's user, who must not gain a file of root's by a link."""
    other = tmp_path / "of root"
    other.write_text("kept")
    log = tmp_path / "server.log"
    log.symlink_to(other)
    owner = other.stat().st_uid
    with pytest.raises(StorageError, match="ordinary file"):
        launch(ServerUser(65534, 65534), log, "postgres", "--version")
    assert (other.read_text(), other.stat().st_uid) == ("kept", owner)
