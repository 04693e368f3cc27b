"""What Dagster's tables in PostgreSQL hold of its runs: which are needed, what they weigh, what is left over.

SQL for what Dagster's own interface does not answer or not in one call; written for the schema of Dagster
1.13. Which records are old enough to go belongs to `retention`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa

from itb_assets.errors import InputError, TransientError

_LOCK = 0x17B_0001  # the same for every process that cleans up
_MADE = ["ASSET_MATERIALIZATION", "ASSET_OBSERVATION"]
_CHUNK = 5_000
_FAILED_BACKFILLS = ["FAILED", "COMPLETED_FAILED"]
_DONE_BACKFILLS = ["COMPLETED", "COMPLETED_SUCCESS", "CANCELED"]

_CHECKS = "asset_check_executions"

# One index lookup for each asset, kind and partition that the events at hand speak of. LATERAL with LIMIT
# keeps the planner from joining all events with all events.
_NEWEST_EVENTS = """
WITH mine AS (
    SELECT asset_key, dagster_event_type AS kind, partition, max(id) AS id FROM event_logs
    WHERE run_id = ANY(:runs) AND asset_key IS NOT NULL AND (:all_kinds OR dagster_event_type = ANY(:kinds))
    GROUP BY 1, 2, 3)
SELECT newest.id, newest.run_id FROM mine CROSS JOIN LATERAL (
    SELECT e.id, e.run_id FROM event_logs e
    WHERE e.asset_key = mine.asset_key AND e.dagster_event_type = mine.kind AND e.partition = mine.partition
    ORDER BY e.id DESC LIMIT 1) newest
WHERE newest.id = mine.id
UNION ALL
SELECT newest.id, newest.run_id FROM mine CROSS JOIN LATERAL (
    SELECT e.id, e.run_id FROM event_logs e
    WHERE e.asset_key = mine.asset_key AND e.dagster_event_type = mine.kind AND e.partition IS NULL
    ORDER BY e.id DESC LIMIT 1) newest
WHERE mine.partition IS NULL AND newest.id = mine.id
"""

_NEWEST_CHECKS = """
SELECT c.id, c.run_id, c.evaluation_event_storage_id AS event_id FROM asset_check_executions c
JOIN (SELECT max(id) AS id FROM asset_check_executions WHERE execution_status IN ('SUCCEEDED', 'FAILED')
      GROUP BY asset_key, check_name, partition) newest USING (id)
"""

_SIZES = """
SELECT 'runs', count(*), coalesce(sum(pg_column_size(run_body)), 0) FROM runs WHERE run_id = ANY(:runs)
UNION ALL
SELECT 'run_tags', count(*), coalesce(sum(pg_column_size(key) + pg_column_size(value)), 0)
FROM run_tags WHERE run_id = ANY(:runs)
UNION ALL
SELECT 'event_logs', count(*), coalesce(sum(pg_column_size(event)), 0)
FROM event_logs WHERE run_id = ANY(:runs)
UNION ALL
SELECT 'asset_event_tags', count(*), coalesce(sum(pg_column_size(t.key) + pg_column_size(t.value)), 0)
FROM event_logs e JOIN asset_event_tags t ON t.event_id = e.id WHERE e.run_id = ANY(:runs)
"""

# No index of the table begins with the run: the checks are few, and (asset, check, run) is indexed.
_OF_RUNS = """
WITH RECURSIVE known AS (
    (SELECT asset_key, check_name FROM asset_check_executions ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT following.* FROM known CROSS JOIN LATERAL (
        SELECT c.asset_key, c.check_name FROM asset_check_executions c
        WHERE (c.asset_key, c.check_name) > (known.asset_key, known.check_name)
        ORDER BY 1, 2 LIMIT 1) following)
"""
_CHECKS_OF_RUNS = f"""{_OF_RUNS}
SELECT count(*), coalesce(sum(pg_column_size(c.evaluation_event)), 0) FROM known
JOIN asset_check_executions c USING (asset_key, check_name) WHERE c.run_id = ANY(:runs)
"""  # noqa: S608 - constants only
_DELETE_CHECKS = f"""{_OF_RUNS}
DELETE FROM asset_check_executions c USING known
WHERE c.asset_key = known.asset_key AND c.check_name = known.check_name AND c.run_id = ANY(:runs)
"""  # noqa: S608 - constants only

# One step of the index for each run, not one for each event.
_RUNS_OF_EVENTS = """
WITH RECURSIVE named AS (
    (SELECT run_id FROM event_logs WHERE run_id > '' ORDER BY run_id LIMIT 1)
    UNION ALL
    SELECT following.run_id FROM named CROSS JOIN LATERAL (
        SELECT e.run_id FROM event_logs e WHERE e.run_id > named.run_id ORDER BY e.run_id LIMIT 1) following)
SELECT run_id FROM named WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = named.run_id)
"""
_ALL_BEFORE = (
    "SELECT run_id FROM event_logs WHERE run_id = ANY(:runs) GROUP BY 1 HAVING max(timestamp) < :before"
)

_STALE_CHECKS = """
WITH gone AS (DELETE FROM asset_check_executions WHERE id IN (
    SELECT c.id FROM asset_check_executions c
    WHERE c.evaluation_event_timestamp < :before AND c.id <> ALL(:kept)
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = c.run_id)
    LIMIT :chunk) RETURNING pg_column_size(evaluation_event) AS size)
SELECT count(*), coalesce(sum(size), 0) FROM gone
"""
_STALE_EVENTS = """
WITH gone AS (DELETE FROM event_logs WHERE id IN (
    SELECT id FROM event_logs WHERE run_id = '' AND timestamp < :before AND id <> ALL(:kept)
    ORDER BY id LIMIT :chunk) RETURNING id, pg_column_size(event) AS size),
tags AS (DELETE FROM asset_event_tags WHERE event_id IN (SELECT id FROM gone))
SELECT count(*), coalesce(sum(size), 0) FROM gone
"""
_NEWEST_OF_NO_ASSET = (
    "SELECT max(id) FROM event_logs WHERE run_id = '' AND asset_key IS NULL GROUP BY dagster_event_type"
)
_STALE_BACKFILLS = """
WITH gone AS (DELETE FROM bulk_actions b
    WHERE b.status = ANY(:states) AND b.timestamp < :before
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.backfill_id = b.key)
    RETURNING b.key, pg_column_size(b.body) AS size),
tags AS (DELETE FROM backfill_tags WHERE backfill_id IN (SELECT key FROM gone))
SELECT count(*), coalesce(sum(size), 0) FROM gone
"""


class Weight(NamedTuple):
    """Rows of a table, and bytes of their large columns as PostgreSQL stores them."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class NewestChecks:
    """The newest evaluation of every check of every partition: its rows, runs and events."""

    ids: tuple[int, ...]
    runs: frozenset[str]
    events: tuple[int, ...]


class RunRecords:
    """Dagster's tables over one connection, each statement a transaction of its own."""

    def __init__(self, connection: sa.Connection) -> None:
        """Use a connection that commits by itself."""
        self._connection = connection

    def newest_checks(self) -> NewestChecks:
        """Find the newest evaluation of every check of every partition, by one pass over the table."""
        rows = self._rows(_NEWEST_CHECKS)
        return NewestChecks(
            tuple(row.id for row in rows),
            frozenset(row.run_id for row in rows),
            tuple(row.event_id for row in rows if row.event_id is not None),
        )

    def newest_of_assets(self, runs: Collection[str]) -> frozenset[str]:
        """Return those of the runs that hold the newest materialization or observation of a partition."""
        rows = self._rows(_NEWEST_EVENTS, runs=list(runs), kinds=_MADE, all_kinds=False)
        return frozenset(row.run_id for row in rows)

    def weigh(self, runs: Collection[str]) -> dict[str, Weight]:
        """Return what the runs have in each table."""
        weights = {name: Weight(rows, size) for name, rows, size in self._rows(_SIZES, runs=list(runs))}
        return weights | {_CHECKS: self._weight(_CHECKS_OF_RUNS, runs=list(runs))}

    def delete_checks(self, runs: Collection[str]) -> None:
        """Delete the check evaluations of runs, which Dagster's own `delete_run` leaves."""
        self._connection.execute(sa.text(_DELETE_CHECKS), {"runs": list(runs)})

    def ownerless(self, before: datetime) -> Sequence[str]:
        """Return ids of runs that are gone while their events are there, all of them older than `before`.

        They come from a deletion that was cut off: Dagster deletes a run first and then its events.
        """
        named = [row.run_id for row in self._rows(_RUNS_OF_EVENTS)]
        return [row.run_id for row in self._rows(_ALL_BEFORE, runs=named, before=_naive(before))]

    def delete_stale_checks(self, before: datetime, newest: NewestChecks) -> Weight:
        """Delete evaluations whose run is gone or that never had one, but no newest."""
        return self._in_chunks(_STALE_CHECKS, before=_naive(before), kept=list(newest.ids))

    def delete_stale_events(self, before: datetime, newest: NewestChecks) -> Weight:
        """Delete events that no run wrote, but none that is the newest of its kind and partition."""
        rows = self._rows(_NEWEST_EVENTS, runs=[""], kinds=[], all_kinds=True)
        others = self._connection.execute(sa.text(_NEWEST_OF_NO_ASSET)).scalars()
        kept = [*(row.id for row in rows), *others, *newest.events]
        return self._in_chunks(_STALE_EVENTS, before=_naive(before), kept=kept)

    def delete_stale_backfills(self, before: datetime, failed_before: datetime) -> Weight:
        """Delete backfills that have ended and none of whose runs is left."""
        done = self._weight(_STALE_BACKFILLS, states=_DONE_BACKFILLS, before=_naive(before))
        failed = self._weight(_STALE_BACKFILLS, states=_FAILED_BACKFILLS, before=_naive(failed_before))
        return added(done, failed)

    def ticks(self) -> Weight:
        """Return what the ticks of schedules and sensors take."""
        return self._weight("SELECT count(*), coalesce(sum(pg_column_size(tick_body)), 0) FROM job_ticks")

    def _rows(self, statement: str, **values: object) -> Sequence[sa.Row[Any]]:
        return self._connection.execute(sa.text(statement), values).all()

    def _weight(self, statement: str, **values: object) -> Weight:
        rows, size = self._connection.execute(sa.text(statement), values).one()
        return Weight(int(rows), int(size))

    def _in_chunks(self, statement: str, **values: object) -> Weight:
        total = Weight(0, 0)
        while (deleted := self._weight(statement, chunk=_CHUNK, **values)).rows:
            total = added(total, deleted)
        return total


def added(one: Weight, other: Weight) -> Weight:
    """Return the sum of two weights."""
    return Weight(one.rows + other.rows, one.bytes + other.bytes)


@contextmanager
def run_records(instance: dg.DagsterInstance, *, alone: bool) -> Iterator[RunRecords]:
    """Open the tables of an instance; with `alone` no other process may clean them up meanwhile.

    Raises InputError for an instance that is not on PostgreSQL, TransientError while another cleans up.
    """
    storage = instance.event_log_storage
    url = getattr(storage, "postgres_url", None)
    if url is None:
        raise InputError(
            f"Dagster keeps its records in {type(storage).__name__}: expected PostgreSQL, as the "
            "dagster.yaml of this project has it; start Dagster by `itb ui`, or point DAGSTER_HOME at it"
        )
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            if alone and not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
                raise TransientError(
                    "another process is deleting old records of Dagster already: let it finish, or look for "
                    "the job dagster_retention and for `itb runs prune`"
                )
            yield RunRecords(connection)
    finally:
        engine.dispose()


def _naive(moment: datetime) -> datetime:
    """Return a moment as Dagster's columns hold it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
