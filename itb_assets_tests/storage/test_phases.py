"""The storage phase in force, its record in the data root, and a file made anew from another place."""

from __future__ import annotations

from pathlib import Path

import pytest
from frames_of import NOW, frame_of, record
from pandas.testing import assert_frame_equal

from itb_assets.domain.markets import Market
from itb_assets.errors import ConfigError, StorageError
from itb_assets.storage.files.adoption import adopt
from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import PHASES, phase_of, record_phase, recorded_phase

STORE = FrameStore()


@pytest.fixture
def layout(tmp_path) -> Layout:
    """Return a data root with one market."""
    layout = Layout(tmp_path / "data")
    STORE.write(layout.klines(Market("BTCUSDT", "5m")), frame_of(3), record=record(asset="raw/klines"))
    return layout


def test_a_new_data_root_writes_both_and_reads_files(layout):
    assert phase_of(layout, None) == "dual"


@pytest.mark.parametrize("wanted", ["files", "dual", "db_read"])
@pytest.mark.parametrize("recorded", [None, "files", "dual", "db_read"])
def test_the_setting_wins_where_files_are_kept_either_way(layout, wanted, recorded):
    if recorded:
        record_phase(layout, recorded, now=NOW)
    assert phase_of(layout, wanted) == wanted
    assert phase_of(layout, None) == (recorded or "dual")


@pytest.mark.parametrize("wanted", ["files", "dual", "db_read"])
def test_nothing_leaves_phase_db_by_a_setting(layout, wanted):
    """Its files were archived: a process that reads files would begin from nothing."""
    record_phase(layout, "db", now=NOW)
    with pytest.raises(ConfigError, match=rf"ITB_STORAGE_PHASE is {wanted}.*itb storage phase {wanted}"):
        phase_of(layout, wanted)
    assert phase_of(layout, "db") == phase_of(layout, None) == "db"


def test_files_that_are_there_are_not_left_behind_by_a_setting(layout, tmp_path):
    """Into phase `db` leads the command that compares and archives; an empty data root has nothing to."""
    with pytest.raises(ConfigError, match="itb storage phase db"):
        phase_of(layout, "db")
    assert phase_of(Layout(tmp_path / "new"), "db") == "db"


@pytest.mark.parametrize("phase", PHASES)
def test_the_record_reads_back(layout, phase):
    assert recorded_phase(layout) is None
    record_phase(layout, phase, now=NOW)
    assert recorded_phase(layout) == phase


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phase": "nowhere"}', '{"since": 1}', "null"])
def test_a_damaged_record_is_refused(layout, content):
    record_phase(layout, "dual", now=NOW)
    layout.phase_file.write_text(content)
    with pytest.raises(StorageError, match="does not name a storage phase: expected one of files, dual"):
        phase_of(layout, None)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_adopted_file_is_the_same_version_and_can_be_gone_on_with(tmp_path, suffix):
    """Version, sources and changes are those of the frame it was made from; only its bytes may differ."""
    first, copy = tmp_path / f"a.{suffix}", tmp_path / "other" / f"a.{suffix}"
    frame = frame_of(40)
    STORE.write(first, frame.head(30), record=record())
    STORE.splice(first, frame.tail(15).reset_index(drop=True), record=record(sources={"raw/klines": 2}))
    stored, told = STORE.open(first), []
    manifest = adopt(copy, stored, before_commit=told.append)
    assert told == [manifest]
    assert STORE.verify(copy) == ()
    found = STORE.open(copy)
    assert_frame_equal(found.read(), frame, check_exact=True)
    assert (found.manifest.version, found.manifest.sources) == (stored.manifest.version, {"raw/klines": 2})
    assert found.manifest.changes[-1].sha256 == found.manifest.sha256
    extended = frame_of(50).tail(10).reset_index(drop=True)
    assert STORE.splice(copy, extended, record=record()).version == stored.manifest.version + 1


def test_what_is_refused_before_the_commit_leaves_the_old_file(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    STORE.write(first, frame_of(9), record=record())
    STORE.write(second, frame_of(5), record=record())

    def refuse(_manifest: object) -> None:
        raise StorageError("the database is away")

    with pytest.raises(StorageError, match="away"):
        adopt(second, STORE.open(first), before_commit=refuse)
    assert STORE.verify(second) == ()
    assert STORE.open(second).rows == 5
    assert [path.name for path in Path(tmp_path).iterdir() if "tmp" in path.name] == []
