"""Tables after writers that were killed more than once: none calls itself a copy that it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from databases import on_one_engine
from frames_of import START, record, times
from pandas.testing import assert_frame_equal

from itb_assets.domain.markets import Market
from itb_assets.storage.files.frames import FrameManifest, FrameStore
from itb_assets.storage.tables.database import SqlStore

ASSET, BTC, FRAMES = "signals/aggressive", Market("BTCUSDT", "5m"), FrameStore()


class Killed(BaseException):
    """Stands for the end of the process."""


def signals(first: int, stop: int) -> pd.DataFrame:
    rows = stop - first
    start = START + first * BTC.freq_delta
    return pd.DataFrame(
        {"timestamp": times(rows, start=start), "close": float(first), "sample": "live", "buy": True}
    )


def splice(database: SqlStore, path: Path, tail: pd.DataFrame, *, killed_after: bool = False) -> None:
    """Write a tail to table and file; `killed_after` dies between the two."""

    def commit_rows(manifest: FrameManifest) -> None:
        database.replace(ASSET, BTC, tail, manifest=manifest, from_time=tail["timestamp"][0])
        if killed_after:
            raise Killed

    FRAMES.splice(path, tail, record=record(asset=ASSET), before_commit=commit_rows)


@contextmanager
def killed() -> Iterator[None]:
    with pytest.raises(Killed):
        yield


@pytest.fixture
def path(tmp_path, database) -> Path:
    """Return a file of 100 rows whose table committed ten more before its writer was killed."""
    path = tmp_path / "aggressive.csv"
    FRAMES.write(path, signals(0, 100), record=record(asset=ASSET))
    database.catch_up(ASSET, BTC, FRAMES.open(path))
    with killed():
        splice(database, path, signals(100, 110), killed_after=True)
    assert (FRAMES.open(path).rows, len(database.read("signals", BTC))) == (100, 110)
    return path


def assert_table_is_the_file(database: SqlStore, path: Path) -> None:
    stored = FRAMES.open(path)
    columns = ["timestamp", "close", "sample"]
    assert_frame_equal(database.read("signals", BTC, columns=columns), stored.read(columns))
    assert database.recorded(ASSET, BTC).sha256 == stored.manifest.sha256


def test_a_writer_killed_twice_leaves_no_hole_in_the_table(database, path):
    """First between table and file, then between the file and its catching up: versions are the same."""
    splice(database, path, signals(100, 130))
    splice(database, path, signals(130, 140))
    database.catch_up(ASSET, BTC, FRAMES.open(path))
    assert_table_is_the_file(database, path)


def test_runs_without_a_database_after_a_kill_leave_no_hole_in_the_table(database, path):
    for first in (100, 130, 160):
        FRAMES.splice(path, signals(first, first + 30), record=record(asset=ASSET))
    database.catch_up(ASSET, BTC, FRAMES.open(path))
    assert_table_is_the_file(database, path)


@on_one_engine("postgres", because="the other has one session, so there is no second one to end")
def test_a_connection_that_died_between_two_transactions_is_made_anew(database):
    """The kept connection may be cut by a restart or an administrator; nobody notices."""
    assert database.recorded(ASSET, BTC) is None
    database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert database.recorded(ASSET, BTC) is None
