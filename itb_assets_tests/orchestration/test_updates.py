"""How much has to be computed again: the earliest change of any source since it was last read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from itb_assets.domain.markets import Market
from itb_assets.orchestration.updates import Work, pending_work, rows_before, versions
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.files.manifest import CHANGES_KEPT

START = pd.Timestamp("2024-09-01", tz="UTC")
EVERYTHING, NOTHING = Work(), Work(nothing=True)


class Shelf:
    """Three frames in a folder: two sources and what is made of them."""

    def __init__(self, folder):
        """Make all three, the last from the others."""
        self.folder, self.store = folder, FrameStore()
        self.put("one")
        self.put("other")
        self.put("made", digest="d", sources=self.versions())

    def put(self, name, *, digest="", sources=None, change_at=None):
        frame = pd.DataFrame({"timestamp": pd.date_range(START, periods=50, freq="5min").as_unit("ns")})
        frame["value"] = float(self.get(name).manifest.version if change_at is not None else 0)
        record = Record(
            "asset", "BTCUSDT", "5m", "run", datetime(2025, 3, 1, tzinfo=UTC), digest, sources or {}
        )
        path = self.folder / f"{name}.parquet"
        if change_at is None:
            self.store.write(path, frame, record=record)
        else:
            self.store.splice(path, frame.iloc[change_at:], record=record)

    def get(self, name):
        return self.store.open(self.folder / f"{name}.parquet")

    def versions(self):
        return versions({name: self.get(name) for name in ("one", "other")})

    def work(self, digest="d", names=("one", "other")):
        return pending_work(self.get("made"), digest=digest, sources={name: self.get(name) for name in names})


def at(row: int) -> Work:
    return Work(from_time=START + row * timedelta(minutes=5))


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def test_what_was_never_made_is_made_whole(shelf):
    assert pending_work(None, digest="d", sources={"one": shelf.get("one")}) == EVERYTHING


def test_the_same_versions_leave_nothing_to_do(shelf):
    assert shelf.work() == NOTHING


def test_another_definition_makes_it_whole_again(shelf):
    assert shelf.work(digest="other") == EVERYTHING


def test_a_source_that_was_not_read_before_makes_it_whole_again(shelf):
    shelf.put("third")
    assert shelf.work(names=("one", "other", "third")) == EVERYTHING


def test_work_begins_at_the_earliest_change_of_any_source(shelf):
    shelf.put("one", change_at=40)
    assert shelf.work() == at(40)
    shelf.put("other", change_at=30)
    assert shelf.work() == at(30)
    shelf.put("one", change_at=45)
    assert shelf.work() == at(30), "a later change does not hide an earlier one"
    shelf.put("one", change_at=20)
    assert shelf.work() == at(20)
    shelf.put("made", digest="d", sources=shelf.versions())
    assert shelf.work() == NOTHING


def test_a_source_that_was_replaced_makes_it_whole_again(shelf):
    shelf.put("one", change_at=40)
    (shelf.folder / "other.parquet").unlink()
    (shelf.folder / ".other.parquet.manifest.json").unlink()
    assert shelf.work(names=("one",)) == at(40)
    shelf.store.write(
        shelf.folder / "other.parquet",
        shelf.get("one").read(),
        record=Record("asset", "BTCUSDT", "5m", "run", datetime(2025, 3, 2, tzinfo=UTC)),
    )
    assert shelf.work() == EVERYTHING


def test_more_changes_than_are_remembered_make_it_whole_again(shelf):
    for _ in range(CHANGES_KEPT):
        shelf.put("one", change_at=40)
    assert shelf.work() == at(40)
    shelf.put("one", change_at=40)
    assert shelf.work() == EVERYTHING


def test_rows_before_are_counted_on_the_grid():
    assert rows_before(Market("BTCUSDT", "1h"), START, 3) == START - timedelta(hours=3)
