"""Old runs on a real PostgreSQL: which go, with what, and which never do."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from pipeline_making import open_pipeline
from retention_making import FRAME, NOW, QUIET, SIGHT, TABLES, age, invented, left, prune, ran, rows, sql

from itb_assets.errors import InputError, TransientError
from itb_assets.orchestration.retention import RetentionRule
from itb_assets.orchestration.run_records import run_records


@pytest.fixture
def instance(kept_instance) -> dg.DagsterInstance:
    """Return an instance on PostgreSQL without a record."""
    return kept_instance


@pytest.fixture
def engine(dagster_engine) -> sa.Engine:
    """Return a way into its database past Dagster."""
    return dagster_engine


def test_an_old_run_goes_with_all_its_records_and_the_newest_stays(instance, engine, dagster_home):
    old = ran(instance, engine, 40)
    newest = ran(instance, engine, 35)
    assert set(rows(engine, old)) == {"runs", "run_tags", "event_logs", "asset_check_executions"}
    logs = dagster_home / "storage" / old
    assert logs.is_dir()
    done = prune(instance)
    assert left(instance) == {newest}
    assert (done.looked_at, done.deleted, done.kept_newest, done.unfinished) == (2, 1, 1, False)
    assert rows(engine, old) == {}
    assert not logs.exists()
    assert (dagster_home / "storage" / newest).is_dir()
    tags = "SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"
    assert sql(engine, tags).scalar_one() == 0
    assert instance.get_materialized_partitions(FRAME) == {"a"}
    event = instance.get_latest_materialization_event(FRAME)
    assert event.asset_materialization.metadata["run"].value == newest
    assert prune(instance).deleted == 0


def test_what_was_freed_is_what_the_tables_lost(instance, engine):
    def count() -> dict[str, int]:
        every = {table: f"SELECT count(*) FROM {table}" for table in TABLES}  # noqa: S608 - our own names
        return {table: sql(engine, statement).scalar_one() for table, statement in every.items()}

    for days in (44, 43, 42):
        ran(instance, engine, days)
    before = count()
    done = prune(instance)
    lost = {table: before[table] - now for table, now in count().items()}
    assert {table: done.freed[table].rows for table in TABLES} == lost
    assert min(lost.values()) > 0
    assert done.total.rows == sum(lost.values())
    assert done.freed["event_logs"].bytes > 10_000
    assert f"| event_logs | {lost['event_logs']:,} |" in done.markdown()


def test_each_partition_keeps_its_newest(instance, engine):
    """The same asset: what supersedes one partition says nothing of the other."""
    only = ran(instance, engine, 200, partition="b")
    ran(instance, engine, 100)
    newest = ran(instance, engine, 50)
    prune(instance)
    assert left(instance) == {only, newest}
    assert instance.get_materialized_partitions(FRAME) == {"a", "b"}


def test_a_run_with_the_newest_check_result_stays_though_a_later_one_made_the_asset(instance, engine):
    checked = ran(instance, engine, 60)
    ran(instance, engine, 55, job="make_alone")
    newest = ran(instance, engine, 50, job="make_alone")
    prune(instance)
    assert left(instance) == {checked, newest}
    later = ran(instance, engine, 45, job="look", partition=None, **{"dagster/partition": "a"})
    prune(instance)
    assert left(instance) == {newest, later}


def test_a_run_with_the_newest_observation_stays(instance, engine):
    old = ran(instance, engine, 60, job="see", partition=None)
    seen = ran(instance, engine, 50, job="see", partition=None)
    prune(instance)
    assert left(instance) == {seen}
    assert old not in left(instance)
    assert instance.fetch_observations(SIGHT, limit=9).records[0].run_id == seen


@pytest.mark.parametrize(
    ("days", "status", "goes"),
    [
        (29, "SUCCESS", False),
        (31, "SUCCESS", True),
        (31, "CANCELED", True),
        (31, "FAILURE", False),
        (89, "FAILURE", False),
        (91, "FAILURE", True),
        *((400, status, False) for status in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")),
    ],
)
def test_age_and_end_of_a_run_decide(instance, engine, days, status, goes):
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("itb_assets"), "__repository__")
    origin = RemoteJobOrigin(repository, "make")
    run = dg.DagsterRun(job_name="make", status=dg.DagsterRunStatus[status], remote_job_origin=origin)
    instance.add_run(run)
    age(engine, run.run_id, days)
    prune(instance)
    assert (run.run_id not in left(instance)) is goes


def test_failures_are_kept_as_long_as_successes_where_those_are_kept_longer(instance, engine):
    failed = ran(instance, engine, 150, fail="yes")
    prune(instance, days=180)
    assert left(instance) == {failed}
    prune(instance, days=120)
    assert left(instance) == set()


def test_a_dry_run_says_what_the_real_one_then_does(instance, engine):
    for days in (40, 39, 38, 37):
        ran(instance, engine, days)
    before = left(instance)
    said = prune(instance, dry_run=True)
    assert left(instance) == before
    assert said.deleted == 3
    done = prune(instance)
    assert (said.deleted, said.kept_newest) == (done.deleted, done.kept_newest)
    assert {table: said.freed[table] for table in TABLES} == {table: done.freed[table] for table in TABLES}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_runs_hold_the_newest_of_everything_stays(instance, engine, seed):
    """More runs than fit one batch, against the plain rule applied to each."""
    stay = invented(engine, instance, 150, seed)
    done = prune(instance)
    assert left(instance) == stay
    assert done.deleted == 150 - len(stay) > 30
    prune(instance)
    assert left(instance) == stay


def test_time_that_is_up_ends_it_and_the_next_one_goes_on(instance, engine):
    stay = invented(engine, instance, 150, 9)
    ticking = iter(range(100))
    first = prune(instance, longest_s=1.5, clock=lambda: next(ticking))
    assert first.unfinished
    assert 0 < first.deleted <= 100
    second = prune(instance)
    assert not second.unfinished
    assert left(instance) == stay
    assert first.deleted + second.deleted == 150 - len(stay)


def test_two_at_a_time_are_refused_but_a_dry_run_is_not(instance):
    with run_records(instance, alone=True):
        with pytest.raises(TransientError, match="another process is deleting"):
            prune(instance)
        assert prune(instance, dry_run=True).deleted == 0
    assert prune(instance).deleted == 0


def test_an_instance_elsewhere_is_refused():
    with dg.DagsterInstance.ephemeral() as quick, pytest.raises(InputError, match="expected PostgreSQL"):
        prune(quick)


@pytest.mark.parametrize("days", [0, -1])
def test_an_age_of_no_days_is_refused(days):
    with pytest.raises(InputError, match="expected 1 or more"):
        RetentionRule(days, NOW)


def output_of(pipeline: Any) -> dict[str, Any]:
    result = pipeline.defs.resolve_job_def("dagster_retention").execute_in_process(
        instance=pipeline.instance, run_config=QUIET
    )
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


def test_the_job_shows_what_went(instance, engine, tmp_path):
    for days in (45, 40):
        ran(instance, engine, days)
    with open_pipeline(tmp_path / "data", instance=instance, run_retention_days=42) as pipeline:
        shown = output_of(pipeline)
        assert (shown["runs_looked_at"], shown["runs_deleted"], shown["runs_kept_because_newest"]) == (
            1,
            1,
            0,
        )
        assert shown["rows_freed"] > 10
        assert "| event_logs |" in shown["freed"]
    with open_pipeline(tmp_path / "data", instance=instance, run_retention_days=0) as pipeline:
        assert "kept for ever" in output_of(pipeline)["result"]


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, "RUNNING"), ({"schedules": "stopped"}, "STOPPED"), ({"run_retention_days": 0}, "STOPPED")],
)
def test_it_is_scheduled_every_night_when_no_candle_closes(tmp_path, settings, status):
    with open_pipeline(tmp_path / "data", **settings) as pipeline:
        schedule = pipeline.defs.resolve_schedule_def("nightly_retention")
    assert schedule.job_name == "dagster_retention"
    assert schedule.default_status.value == status
    minute, hour, *rest = str(schedule.cron_schedule).split()
    assert rest == ["*", "*", "*"]
    assert int(minute) % 5
    assert int(hour) < 24
