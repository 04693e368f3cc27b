"""What deletions, outsiders and schedules leave in Dagster's tables, and what a kill leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from retention_making import FRAME, NOW, age, invented, left, prune, ran, rows, sql


@pytest.fixture
def instance(kept_instance) -> dg.DagsterInstance:
    """Return an instance on PostgreSQL without a record."""
    return kept_instance


@pytest.fixture
def engine(dagster_engine) -> sa.Engine:
    """Return a way into its database past Dagster."""
    return dagster_engine


PRUNE = """
import sys
from datetime import datetime
import dagster as dg
from itb_assets.orchestration.retention import RetentionRule, prune_runs
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    print("ready", flush=True)
    prune_runs(instance, RetentionRule(30, datetime.fromisoformat(sys.argv[2])))
"""


def test_killed_at_some_moment_the_next_one_ends_where_an_undisturbed_one_would(
    instance, engine, dagster_home
):
    stay = invented(engine, instance, 160, 3)
    started = len(left(instance))
    child = subprocess.Popen(
        [sys.executable, "-c", PRUNE, str(dagster_home), NOW.isoformat()], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    while child.poll() is None and instance.get_runs_count() > started - 10:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert stay <= left(instance)
    assert len(stay) < len(left(instance)) < started, "the test must kill it half way"
    prune(instance)
    assert left(instance) == stay
    gone = sql(engine, OWNERLESS, at=(NOW - timedelta(days=90)).replace(tzinfo=None)).all()
    assert gone == [], "what the killed ones left half deleted and is old must be gone"


OWNERLESS = """
SELECT run_id FROM event_logs
GROUP BY 1 HAVING max(timestamp) < :at AND run_id NOT IN (SELECT run_id FROM runs)
UNION ALL
SELECT run_id FROM asset_check_executions
WHERE evaluation_event_timestamp < :at AND run_id NOT IN (SELECT run_id FROM runs)
"""


def test_a_deletion_cut_off_between_run_and_events_is_finished(instance, engine):
    """Dagster deletes a run first, then its events; a run deleted in the UI leaves its check results."""
    half, whole_run, newest = (
        ran(instance, engine, 120),
        ran(instance, engine, 110),
        ran(instance, engine, 100),
    )
    instance.run_storage.delete_run(half)
    instance.delete_run(whole_run)
    assert rows(engine, half).keys() == {"event_logs", "asset_check_executions"}
    assert rows(engine, whole_run).keys() == {"asset_check_executions"}
    prune(instance)
    assert rows(engine, half) == rows(engine, whole_run) == {}
    assert left(instance) == {newest}


def test_events_of_a_run_that_is_gone_stay_while_they_are_the_newest(instance, engine):
    lost = ran(instance, engine, 120)
    instance.run_storage.delete_run(lost)
    prune(instance)
    assert instance.get_materialized_partitions(FRAME) == {"a"}
    ran(instance, engine, 100)
    prune(instance)
    assert rows(engine, lost) == {}


def test_events_without_a_run_go_when_later_ones_are_there(instance, engine):
    """As somebody reports from outside Dagster."""
    for _ in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization(FRAME, partition="a"))
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(passed=True, asset_key=FRAME, check_name="whole", metadata={})
        )
    instance.report_runless_asset_event(dg.AssetMaterialization(FRAME, partition="b"))
    age(engine, "", 120)
    done = prune(instance)
    assert instance.get_materialized_partitions(FRAME) == {"a", "b"}
    kinds = sql(engine, "SELECT dagster_event_type, count(*) FROM event_logs GROUP BY 1").all()
    assert dict(map(tuple, kinds)) == {"ASSET_MATERIALIZATION": 2, "ASSET_CHECK_EVALUATION": 1}
    assert done.freed["event_logs"].rows == 4
    assert done.freed["asset_check_executions"].rows == 2
    assert prune(instance).total.rows == 0


def test_ended_backfills_go_after_their_runs_and_others_stay(instance, engine):
    def backfill(
        name: str, days: float, status: BulkActionStatus = BulkActionStatus.COMPLETED_SUCCESS
    ) -> None:
        at = (NOW - timedelta(days=days)).timestamp()
        instance.add_backfill(
            PartitionBackfill(
                backfill_id=name, status=status, from_failure=False, tags={"k": "v"}, backfill_timestamp=at
            )
        )

    backfill("old", 40)
    backfill("young", 20)
    backfill("under way", 400, BulkActionStatus.REQUESTED)
    backfill("failed", 40, BulkActionStatus.COMPLETED_FAILED)
    backfill("failed long ago", 100, BulkActionStatus.FAILED)
    backfill("whose run is kept", 40)
    ran(instance, engine, 40, **{"dagster/backfill": "whose run is kept"})
    done = prune(instance)
    names = {found.backfill_id for found in instance.get_backfills()}
    assert names == {"young", "under way", "failed", "whose run is kept"}
    assert done.freed["bulk_actions"].rows == 2
    tagged = set(sql(engine, "SELECT backfill_id FROM backfill_tags").scalars())
    assert tagged == names


def test_ticks_of_a_schedule_that_is_no_more_go_as_dagster_yaml_says(instance, engine):
    """The daemon purges only what still ticks."""
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("gone"), "__repository__"), "after_close"
    )
    state = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("* * * * *", None)
    )
    instance.add_instigator_state(state)
    for status, days in (("SKIPPED", 8), ("SKIPPED", 6), ("SUCCESS", 31), ("SUCCESS", 29)):
        tick = TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name="after_close",
            instigator_type=InstigatorType.SCHEDULE,
            status=TickStatus[status],
            timestamp=(NOW - timedelta(days=days)).timestamp(),
            selector_id=state.selector_id,
            run_ids=[],
        )
        instance.create_tick(tick)
    done = prune(instance)
    ticks = instance.get_ticks(origin.get_id(), state.selector_id)
    assert sorted(
        (tick.status.value, round((NOW.timestamp() - tick.timestamp) / 86400)) for tick in ticks
    ) == [
        ("SKIPPED", 6),
        ("SUCCESS", 29),
    ]
    assert done.freed["job_ticks"].rows == 2
