"""Runs of a small pipeline that look as old as a test wants, and what is stored of them."""

import random
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from itb_assets.orchestration.retention import Pruned, RetentionRule, prune_runs

NOW = datetime.now(UTC)
FRAME, SIGHT = dg.AssetKey(["raw", "frame"]), dg.AssetKey("sight")
TABLES = ("runs", "run_tags", "event_logs", "asset_event_tags", "asset_check_executions")
OTHERS = (
    "asset_keys",
    "bulk_actions",
    "backfill_tags",
    "job_ticks",
    "instigators",
    "jobs",
    "dynamic_partitions",
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(key=FRAME, partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def frame(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Fail when its run asks for it."""
    if context.run.tags.get("fail"):
        raise ValueError("asked to fail")
    return dg.MaterializeResult(metadata={"run": context.run.run_id})


@dg.asset(key=SIGHT)
def sight(context: dg.AssetExecutionContext) -> None:
    """Is observed, too."""
    context.log_event(dg.AssetObservation(SIGHT, metadata={"run": context.run.run_id}))


def _whole(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"run": context.run.run_id})


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)
    whole = dg.asset_check(asset=FRAME, name="whole", partitions_def=frame.partitions_def)(_whole)

DEFS = dg.Definitions(
    assets=[frame, sight],
    asset_checks=[whole],
    jobs=[
        dg.define_asset_job("make", dg.AssetSelection.assets(FRAME)),
        dg.define_asset_job("make_alone", dg.AssetSelection.assets(FRAME).without_checks()),
        dg.define_asset_job("look", dg.AssetSelection.checks(dg.AssetCheckKey(FRAME, "whole"))),
        dg.define_asset_job("see", dg.AssetSelection.assets(SIGHT)),
    ],
    executor=dg.in_process_executor,
)


def sql(engine: sa.Engine, statement: str, **values: object) -> sa.CursorResult[Any]:
    """Execute a statement, committed at once."""
    with engine.connect() as connection:
        return connection.execute(sa.text(statement), values)


def ran(
    instance: dg.DagsterInstance,
    engine: sa.Engine,
    days: float,
    job: str = "make",
    partition: str | None = "a",
    **tags: str,
) -> str:
    """Run a job and have its records look `days` old; return the run's id."""
    result = DEFS.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition,
        tags=tags,
        raise_on_error=False,
        run_config=QUIET,
    )
    failures = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert result.success is ("fail" not in tags), failures
    age(engine, result.run_id, days)
    return result.run_id


def empty(engine: sa.Engine) -> None:
    """Delete every record."""
    sql(engine, f"TRUNCATE {', '.join((*TABLES, *OTHERS))} CASCADE")


def age(engine: sa.Engine, run_id: str, days: float) -> None:
    """Have what is stored of a run look `days` old."""
    at = (NOW - timedelta(days=days)).replace(tzinfo=None)
    for table, column in (
        ("runs", "update_timestamp"),
        ("event_logs", "timestamp"),
        ("asset_check_executions", "evaluation_event_timestamp"),
    ):
        statement = f"UPDATE {table} SET {column} = :at WHERE run_id = :run"  # noqa: S608 - names from above
        sql(engine, statement, at=at, run=run_id)


def prune(instance: dg.DagsterInstance, days: int = 30, **options: Any) -> Pruned:
    """Delete what is old at the time of the tests."""
    return prune_runs(instance, RetentionRule(days, NOW), **options)


def left(instance: dg.DagsterInstance) -> set[str]:
    """Return the runs that are there."""
    return {run.run_id for run in instance.get_runs()}


def rows(engine: sa.Engine, run_id: str) -> dict[str, int]:
    """Count what is stored of a run, in each table that has any."""
    found = {}
    for table in ("runs", "run_tags", "event_logs", "asset_check_executions"):
        statement = f"SELECT count(*) FROM {table} WHERE run_id = :run"  # noqa: S608 - names from above
        found[table] = sql(engine, statement, run=run_id).scalar_one()
    return {table: count for table, count in found.items() if count}


EVENT = """
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key, partition)
VALUES (:run, '{}', :kind, :at, :asset, :part)
"""
CHECK = """
INSERT INTO asset_check_executions
    (asset_key, check_name, partition, run_id, execution_status, evaluation_event, evaluation_event_timestamp)
VALUES (:asset, 'c', :part, :run, :kind, '{}', :at)
"""
MADE = ["ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_MATERIALIZATION_PLANNED"]
CHECKED = ["SUCCEEDED", "FAILED", "PLANNED"]
STATUSES = ["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STARTED"]


def invented(engine: sa.Engine, instance: dg.DagsterInstance, count: int, seed: int) -> set[str]:
    """Store runs with random events and ages; return those that must stay, found by looking at each."""
    chance = random.Random(seed)  # noqa: S311 - a game, no secret
    newest: dict[tuple[str, ...], str] = {}
    stay = set()
    for _ in range(count):
        status = chance.choice(STATUSES)
        run = dg.DagsterRun(job_name="invented", status=dg.DagsterRunStatus[status])
        instance.add_run(run)
        days = chance.choice([5, 45, 120])
        if status == "STARTED" or days < {"SUCCESS": 30, "FAILURE": 90}[status]:
            stay.add(run.run_id)
        places = [(asset, part) for asset in "xy" for part in ("p", "q", None)]
        for statement, kinds, most in ((EVENT, MADE, 3), (CHECK, CHECKED, 2)):
            for asset, part in chance.sample(places, chance.randrange(most + 1)):
                kind = chance.choice(kinds)
                sql(engine, statement, run=run.run_id, kind=kind, asset=asset, part=part, at=NOW)
                if "PLANNED" not in kind:
                    newest[kind if statement == EVENT else "check", asset, str(part)] = run.run_id
        age(engine, run.run_id, days)
    return stay | set(newest.values())
