"""The four storage phases hold and give the same frames; a data root moves between them without a loss."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from databases import on_one_engine
from pipeline_making import NOW, WOLF, Pipeline, open_pipeline, pages

from itb_assets.errors import ConfigError, InputError, StorageError
from itb_assets.orchestration.storage_phase import (
    backfill,
    check_setting,
    differences,
    move,
    needs_comparing,
    planned,
)
from itb_assets.orchestration.verify import verify
from itb_assets.storage.files.archive import archived
from itb_assets.storage.phases import PHASES, Phase, record_phase

LATER = NOW + timedelta(minutes=40)
pytestmark = [
    on_one_engine("postgres", because="storage tests it on both; here it takes whole runs"),
    pytest.mark.usefixtures("blank_pictures"),
]


@pytest.fixture
def root(built_root, tmp_path):
    """Return a copy of a data root that was built in phase files."""
    shutil.copytree(built_root, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def pipeline(root, database_url) -> Iterator[Pipeline]:
    """Return it with a database that has nothing yet, in the phase that the root itself says."""
    with open_pipeline(root, storage_phase=None, database_url=database_url) as opened:
        yield opened


def frames(pipeline: Pipeline) -> dict[str, pd.DataFrame]:
    """Return every frame as the phase reads it."""
    platform = pipeline.platform
    stored = {asset: platform.stored(WOLF, asset) for asset in platform.frame_names()}
    return {asset: frame.read() for asset, frame in stored.items() if frame is not None}


def assert_same(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    """Compare frames bit for bit."""
    assert list(left) == list(right)
    for asset, frame in left.items():
        pd.testing.assert_frame_equal(right[asset], frame, check_exact=True, obj=asset)
        for name in frame.select_dtypes("float64"):
            same = right[asset][name].to_numpy().view("int64") == frame[name].to_numpy().view("int64")
            assert (same | frame[name].isna()).all(), (asset, name)


def problems(pipeline: Pipeline, *, repair: bool = False) -> dict[str, str]:
    """Return what is wrong, or how it was mended."""
    found = verify(pipeline.platform, repair=repair)
    return {finding.what: finding.mended or finding.problem for finding in found if finding.problem}


def go_on_in(pipeline: Pipeline, phase: Phase | None) -> Pipeline:
    """Return the pipeline as a process that is started now would have it."""
    settings = pipeline.platform.settings.model_copy(update={"storage_phase": phase})
    return replace(pipeline, platform=replace(pipeline.platform, settings=settings))


def test_every_phase_gives_the_same_frames_bit_for_bit(pipeline):
    """Read from a table a frame equals the file's in every value, dtype, column and row."""
    pipeline.run_well()
    expected = frames(pipeline)
    assert len(expected) == len(pipeline.platform.frame_names())
    assert problems(pipeline) == {}
    reading = go_on_in(pipeline, "db_read")
    with closing(reading.platform):
        assert_same(expected, frames(reading))


@pytest.mark.parametrize("phase", ["db_read", "db"])
def test_runs_that_read_tables_make_what_runs_that_read_files_make(pipeline, phase, root, tmp_path):
    """An update, a late kline, and training again give the same from tables as from files."""
    pipeline.run_well()
    shutil.copytree(root, tmp_path / "beside")
    with open_pipeline(tmp_path / "beside", storage_phase="files") as beside:
        list(move(pipeline.platform, phase))
        other = go_on_in(pipeline, None)
        with closing(other.platform):
            assert other.platform.phase == phase
            for each in (beside, other):
                each.at(LATER).run_well()
                each.run_well(retrain=True)
            assert_same(frames(beside), frames(other))
            assert problems(other) == {}
            assert all(page["rows_computed"] == 0 for page in pages(other.run_well()).values())


def test_a_round_through_all_phases_computes_nothing_and_loses_nothing(pipeline):
    """Into `db` the files go into the archive; out of it they are written again from the tables."""
    pipeline.run_well()
    expected = frames(pipeline)
    versions = {asset: pipeline.manifest(asset).version for asset in expected}
    for phase in ("db_read", "db", "db_read", "dual", "files", "dual"):
        target = go_on_in(pipeline, None)
        with closing(target.platform):
            if needs_comparing(target.platform.phase, phase):
                assert [finding for finding in differences(target.platform) if finding.problem] == []
            list(move(target.platform, phase))
        moved = go_on_in(pipeline, None)
        with closing(moved.platform):
            assert moved.platform.phase == phase
            assert_same(expected, frames(moved))
            assert {asset: moved.manifest(asset).version for asset in expected} == versions
            assert moved.platform.markets() == (WOLF,)
            assert all(page["rows_computed"] == 0 for page in pages(moved.run_well()).values())
            there = [asset for asset in expected if moved.platform.frame_path(WOLF, asset).exists()]
            assert there == ([] if phase == "db" else list(expected))
    assert len(archived(pipeline.platform.layout)) == len(expected)


def test_backfill_loads_what_tables_lack_and_nothing_twice(root, database_url):
    """Files made without a database are loaded; a second time finds every table complete."""
    with open_pipeline(root, storage_phase="dual", database_url=database_url) as pipeline:
        names = list(frames(pipeline))
        would = list(backfill(pipeline.platform, dry_run=True))
        assert [(step.what, step.action) for step in would] == [(name, "load") for name in names]
        assert set(problems(pipeline)) == set(names)
        assert {step.action for step in backfill(pipeline.platform)} == {"loaded"}
        assert problems(pipeline) == {}
        assert {step.action for step in backfill(pipeline.platform)} == {"was complete"}
    with open_pipeline(root, storage_phase="files") as alone, pytest.raises(StorageError, match="phase dual"):
        list(backfill(alone.platform))


def test_what_differs_is_named_before_a_move(pipeline):
    """A value altered by hand in the database is found by content, although the records agree."""
    pipeline.run_well()
    database = pipeline.platform.database
    assert database is not None
    database.query("UPDATE ohlcv SET volume = volume + 1 WHERE time = (SELECT max(time) FROM ohlcv)")
    found = {f.what: f.problem for f in differences(pipeline.platform) if f.problem}
    assert "raw/klines" in found
    assert "file and database differ from" in found["raw/klines"]


def test_the_better_side_mends_the_other(pipeline):
    """Rows lost in the database come back from files, lost and damaged files from the database."""
    pipeline.run_well()
    expected, platform = frames(pipeline), pipeline.platform
    assert platform.database is not None
    platform.database.query(
        "DELETE FROM features WHERE time > (SELECT max(time) - interval '1 hour' FROM features)"
    )
    platform.database.query("UPDATE predictions SET probability = 0.5")
    platform.frame_path(WOLF, "labeled/matrix").unlink()
    damaged = platform.frame_path(WOLF, "signals/brisk")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    mended = problems(pipeline, repair=True)
    assert "loaded again from the file" in mended["processed/features"]
    assert "loaded again from the file" in mended["predictions/brisk"]
    assert "file made again from the database" in mended["labeled/matrix"]
    assert "file made again from the database" in mended["signals/brisk"]
    assert problems(pipeline) == {}
    assert_same(expected, frames(pipeline))


def test_a_file_whose_writer_was_killed_after_the_commit_is_made_again_at_the_next_write(
    root, database_url, tmp_path
):
    """In phase db_read the tables are a run ahead: nothing that was committed is lost."""
    with open_pipeline(root, storage_phase="db_read", database_url=database_url) as pipeline:
        pipeline.run_well()
        shutil.copytree(root, tmp_path / "before")
        pipeline.at(LATER).run_well()
        ahead = frames(pipeline)
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "before", root)
        assert_same(ahead, frames(pipeline))
        pipeline.at(LATER + timedelta(minutes=5)).run_well()
        assert problems(pipeline) == {}
        assert len(pipeline.frame("raw/klines")) == len(ahead["raw/klines"]) + 1


def test_a_process_of_the_phase_before_refuses_to_write(pipeline):
    """A service that was not stopped before the move must not write files beside archived ones."""
    pipeline.run_well()
    list(move(pipeline.platform, "db"))
    result = pipeline.at(LATER).run()
    assert not result.success
    assert not pipeline.platform.frame_path(WOLF, "raw/klines").exists()


def test_a_setting_that_would_win_afterwards_is_named(root, database_url):
    with open_pipeline(root, storage_phase="dual", database_url=database_url) as pipeline:
        with pytest.raises(InputError, match="ITB_STORAGE_PHASE=dual is set and would win over db"):
            check_setting(pipeline.platform, "db")
        record_phase(pipeline.platform.layout, "db", now=NOW)
        with pytest.raises(ConfigError, match="itb storage phase dual"):
            go_on_in(pipeline, "dual").platform.stored(WOLF, "raw/klines")


def test_a_plan_names_every_frame_and_alters_nothing(pipeline):
    pipeline.run_well()
    names = list(frames(pipeline))
    assert [step.what for step in planned(pipeline.platform, "db")] == names
    assert all(list(planned(pipeline.platform, phase)) == [] for phase in PHASES if phase != "db")
    assert all(pipeline.platform.frame_path(WOLF, name).exists() for name in names)


def test_rows_that_a_policy_may_drop_are_neither_compared_nor_read(root, database_url):
    """With retention tables are a window on what files keep; a phase that reads them refuses the policy."""
    kept = {"retention_days": ("ohlcv=2", "features=2", "labels=2"), "database_url": database_url}
    with open_pipeline(root, storage_phase="dual", **kept) as pipeline:
        pipeline.run_well()
        database = pipeline.platform.database
        assert database is not None
        for table in ("ohlcv", "features", "labels"):
            old = f"time < (SELECT max(time) - interval '4 days' FROM {table})"  # noqa: S608 - our own names
            database.query(f"DELETE FROM {table} WHERE {old}")  # noqa: S608
        assert problems(pipeline) == {}
        database.query(
            "DELETE FROM features WHERE time > (SELECT max(time) - interval '1 hour' FROM features)"
        )
        assert set(problems(pipeline)) == {"processed/features", "labeled/matrix"}
    with (
        open_pipeline(root, storage_phase="db_read", **kept) as pipeline,
        pytest.raises(ConfigError, match="ITB_RETENTION_DAYS drops rows of ohlcv, features, labels"),
    ):
        pipeline.platform.stored(WOLF, "raw/klines")
