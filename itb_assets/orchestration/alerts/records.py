"""What the reader of alerts asks of Dagster's tables: new events and ticks, in the order of their numbers.

One statement for all kinds of events, and each row read apart, so that one that is damaged does not hide the
others; Dagster's own interface has neither. Written for the schema of Dagster 1.13.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa

from itb_assets.errors import DataContractError, InputError
from itb_assets.orchestration.alerts.cursor import Read
from itb_assets.storage.database.errors import database_address, database_errors

_EVENTS = """
SELECT id, event AS body, dagster_event_type AS kind FROM event_logs
WHERE id > :after AND id <> ALL(:seen) AND dagster_event_type = ANY(:kinds) ORDER BY id LIMIT :limit
"""
# the status of a tick changes in its row: one that was begun comes again when it is over
_TICKS = """
SELECT id, tick_body AS body, status AS kind FROM job_ticks
WHERE id > :after AND id <> ALL(:seen) AND status <> 'STARTED' ORDER BY id LIMIT :limit
"""
_FAILED_TICKS = """
SELECT id, tick_body AS body, status AS kind FROM job_ticks
WHERE id > (SELECT max(id) FROM job_ticks) - :newest AND status = 'FAILURE' ORDER BY id
"""
_BEFORE = {
    "event_logs": "SELECT id FROM event_logs WHERE timestamp < :time ORDER BY id DESC LIMIT 1",
    "job_ticks": "SELECT id FROM job_ticks WHERE timestamp < :time ORDER BY id DESC LIMIT 1",
}
_HIGHEST = {
    "event_logs": "SELECT max(id) FROM event_logs",
    "job_ticks": "SELECT max(id) FROM job_ticks",
}
EVENTS, TICKS = "event_logs", "job_ticks"
FAILED = "FAILURE"
"""Kind of a tick that failed."""


class Row(NamedTuple):
    """A record as it lies in its table."""

    id: int
    body: str
    kind: str


@dataclass(frozen=True)
class DagsterRecords:
    """Dagster's tables over one connection; what its database raises is told as of this one."""

    connection: sa.Connection
    url: sa.URL

    def start(self, table: str, since: datetime) -> Read:
        """Return a cursor that begins at the first row since a time."""
        naive = since.astimezone(UTC).replace(tzinfo=None)
        with database_errors(self.url):
            return Read(self.connection.scalar(sa.text(_BEFORE[table]), {"time": naive}) or 0)

    def fits(self, table: str, read: Read) -> bool:
        """Return whether a cursor is of these records, not of others that had come further."""
        with database_errors(self.url):
            highest = self.connection.scalar(sa.text(_HIGHEST[table]))
        return highest is None or max({read.after, *read.seen}) <= highest

    def events(self, read: Read, kinds: Sequence[dg.DagsterEventType], limit: int) -> list[Row]:
        """Return events of these kinds that were not read, lowest number first."""
        return self._rows(_EVENTS, read, limit, kinds=[kind.value for kind in kinds])

    def ticks(self, read: Read, limit: int) -> list[Row]:
        """Return ticks that are over and were not read, lowest number first."""
        return self._rows(_TICKS, read, limit)

    def failed_ticks(self, newest: int) -> list[Row]:
        """Return those of the newest ticks that failed."""
        return self._asked(_FAILED_TICKS, newest=newest)

    def _rows(self, statement: str, read: Read, limit: int, **values: Any) -> list[Row]:  # noqa: ANN401 - parameters
        return self._asked(statement, after=read.after, seen=sorted(read.seen), limit=limit, **values)

    def _asked(self, statement: str, **values: Any) -> list[Row]:  # noqa: ANN401 - parameters
        with database_errors(self.url):
            found = self.connection.execute(sa.text(statement), values)
            return [Row(row.id, row.body, row.kind) for row in found]


@contextmanager
def dagster_records(instance: dg.DagsterInstance) -> Iterator[DagsterRecords]:
    """Open the tables of an instance; raise InputError for one that is not on PostgreSQL."""
    url = _url_of(instance)
    with ExitStack() as opened:
        with database_errors(url):
            storage: Any = instance.event_log_storage
            connection = opened.enter_context(storage.index_connection())
        yield DagsterRecords(connection, url)


@contextmanager
def dagster_errors(instance: dg.DagsterInstance) -> Iterator[None]:
    """Turn what the database of an instance raises into errors of ours that name this one."""
    with database_errors(_url_of(instance)):
        yield


def _url_of(instance: dg.DagsterInstance) -> sa.URL:
    storage = instance.event_log_storage
    url: str | None = getattr(storage, "postgres_url", None)
    if url is None:
        raise InputError(
            f"Dagster keeps its records in {type(storage).__name__}: expected PostgreSQL, as the "
            "dagster.yaml of this project has it; alerts cannot be read from anything else"
        )
    return database_address(url)


def entry_of(row: Row) -> dg.EventLogEntry:
    """Read an event; raise whatever Dagster raises for one that is damaged.

    Raises DataContractError for one of another version, which Dagster takes for an event of no account.
    """
    entry = dg.deserialize_value(row.body, dg.EventLogEntry)
    if not entry.is_dagster_event or entry.get_dagster_event().event_type_value != row.kind:
        raise DataContractError(f"expected an event {row.kind} as this version of Dagster writes it")
    return entry


def runs_of(instance: dg.DagsterInstance, run_ids: Collection[str]) -> dict[str, dg.DagsterRun]:
    """Return runs by id; those that are gone or damaged are left out."""
    if not run_ids:
        return {}
    return {run.run_id: run for run in readable_runs(instance, dg.RunsFilter(run_ids=sorted(run_ids)))}


def readable_runs(
    instance: dg.DagsterInstance, filters: dg.RunsFilter, limit: int | None = None
) -> list[dg.DagsterRun]:
    """Return the runs that can be read: Dagster reads them all at once, and none where one is damaged."""
    with dagster_errors(instance):
        try:
            return [*instance.get_runs(filters=filters, limit=limit)]
        except sa.exc.SQLAlchemyError:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one
            named = instance.get_run_ids(filters=filters, limit=limit)
            return [run for run_id in named for run in _readable(instance, run_id)]


def _readable(instance: dg.DagsterInstance, run_id: str) -> Sequence[dg.DagsterRun]:
    try:
        return instance.get_runs(filters=dg.RunsFilter(run_ids=[run_id]))
    except sa.exc.SQLAlchemyError:
        raise
    except Exception:  # noqa: BLE001 - it is passed over
        return ()
