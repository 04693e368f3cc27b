"""Dagster's own records: finished runs, their events and logs, deleted when they are old.

Never a run that holds the newest materialization, observation or check evaluation of a partition: the UI
would call the partition missing. What the tables hold of a run belongs to `run_records`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from itb_assets.errors import InputError
from itb_assets.observability.logs import get_logger
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.kept_connections import kept_connections
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.run_records import NewestChecks, RunRecords, Weight, added, run_records

RETENTION = "dagster_retention"
FAILED_DAYS = 90
"""Days that failures are kept at the least, as those of ticks are."""

NIGHTLY_S = 300.0
"""Longest time a night's deletion takes one of the places of runs; the next night goes on."""

_BATCH = 100
_DONE = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]
_FAILED = [dg.DagsterRunStatus.FAILURE]


@dataclass(frozen=True)
class RetentionRule:
    """How old a run must be to go: `days` when it went well or was cancelled, longer when it failed."""

    days: int
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        """Refuse less than a day: 0 means for ever, and is for the caller to notice."""
        if self.days < 1:
            raise InputError(
                f"{self.days} days is not an age that runs can be deleted at: expected 1 or more"
            )

    @property
    def failed_days(self) -> int:
        """Days that failures are kept."""
        return max(self.days, FAILED_DAYS)

    @property
    def before(self) -> datetime:
        """End of the time whose successes go."""
        return self.now - timedelta(days=self.days)

    @property
    def failed_before(self) -> datetime:
        """End of the time whose failures go."""
        return self.now - timedelta(days=self.failed_days)


@dataclass
class Pruned:
    """What was deleted, or in a dry run would be."""

    looked_at: int = 0
    deleted: int = 0
    kept_newest: int = 0
    unfinished: bool = False
    """Whether the time was up before every old run had been looked at."""
    freed: dict[str, Weight] = field(default_factory=dict)

    def add(self, table: str, weight: Weight) -> None:
        """Count what a table lost."""
        self.freed[table] = added(self.freed.get(table, Weight(0, 0)), weight)

    @property
    def total(self) -> Weight:
        """What all tables lost together."""
        lost = self.freed.values()
        return Weight(sum(item.rows for item in lost), sum(item.bytes for item in lost))

    def markdown(self) -> str:
        """Return what each table lost as a table for the UI."""
        rows = [*sorted(self.freed.items()), ("together", self.total)]
        lines = [f"| {name} | {item.rows:,} | {item.bytes / 1e6:,.1f} |" for name, item in rows]
        return "\n".join(["| table | rows | MB |", "|---|---:|---:|", *lines])


def prune_runs(
    instance: dg.DagsterInstance,
    rule: RetentionRule,
    *,
    dry_run: bool = False,
    longest_s: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Delete old finished runs with all that hangs on them, and what earlier deletions left behind.

    A dry run looks at runs only. Killed at any moment, the next call finishes what the killed one began.
    Raises InputError for an instance that is not on PostgreSQL, TransientError while another process deletes.
    """
    with (
        run_records(instance, alone=not dry_run) as records,
        dg.DagsterInstance.from_ref(instance.get_ref()) as own,
        kept_connections(own),
    ):
        pruning = _Pruning(own, records, records.newest_checks(), dry_run=dry_run)
        if not dry_run:
            pruning.leftovers(rule)
        until = clock() + longest_s
        for statuses, before in ((_DONE, rule.before), (_FAILED, rule.failed_before)):
            pruning.runs(statuses, before, in_time=lambda: clock() < until)
    return pruning.done


class _Pruning:
    """One deletion under way."""

    def __init__(
        self, instance: dg.DagsterInstance, records: RunRecords, newest: NewestChecks, *, dry_run: bool
    ) -> None:
        self.done = Pruned()
        self._instance = instance
        self._records = records
        self._newest = newest
        self._dry_run = dry_run

    def runs(
        self, statuses: Sequence[dg.DagsterRunStatus], before: datetime, *, in_time: Callable[[], bool]
    ) -> None:
        """Delete the runs of some statuses that were last touched before a moment, the oldest first."""
        wanted = dg.RunsFilter(statuses=statuses, updated_before=before)
        cursor = None
        while page := self._instance.get_run_records(wanted, limit=_BATCH, ascending=True, cursor=cursor):
            if not in_time():
                self.done.unfinished = True
                return
            found = [record.dagster_run.run_id for record in page]
            needed = self._needed(found)
            self._delete([run_id for run_id in found if run_id not in needed])
            self.done.looked_at += len(found)
            self.done.kept_newest += len(needed)
            # Dagster finds nothing behind a run that is gone: go on behind the last that stays
            cursor = next((item for item in reversed(found) if self._dry_run or item in needed), cursor)

    def leftovers(self, rule: RetentionRule) -> None:
        """Delete events without their run, evaluations without either, ended backfills and old ticks.

        A run's leftovers do not say whether it had failed, so all are kept as long as failures.
        """
        before = rule.failed_before
        ownerless = self._records.ownerless(before)
        needed = self._needed(ownerless)
        self._delete([run_id for run_id in ownerless if run_id not in needed])
        checks = self._records.delete_stale_checks(before, self._newest)
        events = self._records.delete_stale_events(before, self._newest)
        backfills = self._records.delete_stale_backfills(rule.before, before)
        ticks = self._purge_ticks(rule.now)
        tables = ("asset_check_executions", "event_logs", "bulk_actions", "job_ticks")
        for table, weight in zip(tables, (checks, events, backfills, ticks), strict=True):
            self.done.add(table, weight)

    def _needed(self, runs: Sequence[str]) -> frozenset[str]:
        return self._newest.runs.intersection(runs) | self._records.newest_of_assets(runs)

    def _delete(self, runs: Sequence[str]) -> None:
        for table, weight in self._records.weigh(runs).items():
            self.done.add(table, weight)
        self.done.deleted += len(runs)
        if self._dry_run:
            return
        # the run itself last but for its events: what a kill leaves is found again by either
        self._records.delete_checks(runs)
        for run_id in runs:
            self._instance.compute_log_manager.delete_logs(prefix=[run_id])
            self._instance.delete_run(run_id)

    def _purge_ticks(self, now: datetime) -> Weight:
        """Purge the ticks of schedules and sensors as dagster.yaml says, those also that are no more.

        The daemon does so only for one that still ticks.
        """
        before = self._records.ticks()
        for state in self._instance.all_instigator_state():
            for status, days in self._instance.get_tick_retention_settings(state.instigator_type).items():
                if days > 0:
                    self._instance.purge_ticks(
                        state.instigator_origin_id,
                        state.selector_id,
                        (now - timedelta(days=days)).timestamp(),
                        [status],
                    )
        after = self._records.ticks()
        return Weight(max(before.rows - after.rows, 0), max(before.bytes - after.bytes, 0))


def retention_job(platform: Platform) -> dg.JobDefinition:
    """Return the job that deletes old records, by the setting ITB_RUN_RETENTION_DAYS."""
    days = platform.settings.run_retention_days

    @dg.op(out=dg.Out(dg.Nothing), description="Delete old runs; its output's metadata says what went.")
    def delete_old_records(context: dg.OpExecutionContext) -> None:
        if days == 0:
            context.add_output_metadata({"result": "ITB_RUN_RETENTION_DAYS is 0: runs are kept for ever"})
            return
        with as_failures():
            done = prune_runs(context.instance, RetentionRule(days), longest_s=NIGHTLY_S)
        context.add_output_metadata(_metadata(done))
        get_logger().info("deleted {} old runs, {:,} rows", done.deleted, done.total.rows)

    @dg.job(
        name=RETENTION,
        description="Delete old runs of Dagster with their events and logs; never the newest of a partition.",
    )
    def dagster_retention() -> None:
        delete_old_records()

    return dagster_retention


def _metadata(done: Pruned) -> dict[str, dg.MetadataValue]:
    return {
        "runs_looked_at": dg.MetadataValue.int(done.looked_at),
        "runs_deleted": dg.MetadataValue.int(done.deleted),
        "runs_kept_because_newest": dg.MetadataValue.int(done.kept_newest),
        "unfinished": dg.MetadataValue.bool(done.unfinished),
        "rows_freed": dg.MetadataValue.int(done.total.rows),
        "bytes_freed": dg.MetadataValue.int(done.total.bytes),
        "freed": dg.MetadataValue.md(done.markdown()),
    }


def retention_schedule(platform: Platform) -> dg.ScheduleDefinition:
    """Return the schedule of the job: every night, at a minute when no candle closes."""
    settings = platform.settings
    running = settings.schedules == "running" and settings.run_retention_days > 0
    return dg.ScheduleDefinition(
        name="nightly_retention",
        cron_schedule="37 1 * * *",
        job_name=RETENTION,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Delete old runs of Dagster every night at 01:37 UTC.",
    )
