"""Reads what Dagster recorded since the last look and writes what it says into our database.

The cursor moves in the transaction that writes the occurrences: whatever is killed in between, nothing is
lost and nothing is told twice. What an event says belongs to `events` and `ticks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from itb_assets.domain.alerts import Occurrence
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.orchestration.alerts.carried import carried_runs
from itb_assets.orchestration.alerts.causes import cause_of_info
from itb_assets.orchestration.alerts.cursor import WINDOW, Read
from itb_assets.orchestration.alerts.events import EVENTS as KINDS
from itb_assets.orchestration.alerts.events import Told, occurrences_of
from itb_assets.orchestration.alerts.records import (
    EVENTS,
    FAILED,
    TICKS,
    DagsterRecords,
    Row,
    dagster_errors,
    dagster_records,
    entry_of,
    runs_of,
)
from itb_assets.orchestration.alerts.subjects import WILL_RETRY, RunFacts, Subjects
from itb_assets.orchestration.alerts.ticks import DaemonLook, daemon_occurrences, tick_occurrences
from itb_assets.orchestration.alerts.words import unreadable
from itb_assets.orchestration.alerts.writer import AlertWriter, Writing

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import TickData  # no public name

FIRST_LOOK = timedelta(minutes=10)
"""How far back the very first look begins: old failures are history, not news."""

BATCH = 200
"""Events of one transaction."""

LONGEST_S = 8.0
"""A look does not begin another batch after this: the next one goes on."""

NOTED_WITHIN_S = 5.0
"""Dagster notes a moment after a run's failure whether it starts it again; waited for no longer than this."""

HEARTBEAT = "dagster_events"
"""Name under which a look that proves daemon and code server alive says that it looked."""


@dataclass
class Look:
    """What one look found."""

    events: int = 0
    ticks: int = 0
    told: int = 0
    unreadable: int = 0
    busy: bool = False
    """Whether another process was reading, so that this one left it alone."""

    def __str__(self) -> str:
        """Say it in a line."""
        if self.busy:
            return "another process is reading the events"
        return f"{self.events} events and {self.ticks} ticks read, {self.told} occurrences told" + (
            f", {self.unreadable} passed over as unreadable" if self.unreadable else ""
        )


@dataclass(frozen=True)
class AlertReader:
    """Looks at the records of an instance, again and again; several processes may, one at a time does.

    Without `subjects` events wait, and ticks and daemons are told alone: they name no asset. `beats` is for
    the reader whose look proves that daemon and code server are alive.
    """

    writer: AlertWriter
    subjects: Subjects | None
    ui_url: str = ""
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    longest_s: float = LONGEST_S
    beats: bool = True

    def look(self, instance: dg.DagsterInstance) -> Look:
        """Read what is new and tell it; raise DatabaseUnavailable, and move nothing, while ours is away."""
        found = Look()
        deadline = time.monotonic() + self.longest_s
        with dagster_records(instance) as records:
            if self.subjects is not None:
                while self._events(instance, records, self.subjects, found) and time.monotonic() < deadline:
                    self._beat(found)
            if not found.busy:
                self._ticks(instance, records, found)
        self._beat(found)
        return found

    def _beat(self, found: Look) -> None:
        """Say that this one is alive, also when another reads, and in the middle of much that is new."""
        if self.beats:
            self.writer.beat(HEARTBEAT, self.clock(), {"events": found.events, "told": found.told})

    def _events(
        self, instance: dg.DagsterInstance, records: DagsterRecords, subjects: Subjects, found: Look
    ) -> bool:
        """Tell one batch; return whether there may be more."""
        with self.writer.writing(EVENTS, self.clock()) as writing:
            if writing is None:
                found.busy = True
                return False
            read = self._read(writing, records, EVENTS)
            rows = records.events(read, KINDS, BATCH)
            left: list[int] = []
            found.told += writing.tell(self._occurrences(instance, rows, subjects, found, left))
            writing.move(read.with_read({row.id for row in rows}.difference(left), left=left))
        found.events += len(rows) - len(left)
        return len(rows) == BATCH and not left

    def _occurrences(
        self,
        instance: dg.DagsterInstance,
        rows: Iterable[Row],
        subjects: Subjects,
        found: Look,
        left: list[int],
    ) -> Iterator[Occurrence]:
        """Yield what events say; of one that is not understood, once, that it was passed over.

        Those of which Dagster has yet to say something are put into `left`, for the next look.
        """
        entries: list[tuple[int, dg.EventLogEntry | Exception]] = []
        for row in rows:
            try:
                entries.append((row.id, entry_of(row)))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are told
                entries.append((row.id, error))
        named = {entry.run_id for _, entry in entries if not isinstance(entry, Exception) and entry.run_id}
        runs = runs_of(instance, named)
        for number, entry in entries:
            if self._is_open(instance, entry, runs):
                left.append(number)
                continue
            try:
                said = self._said(number, entry, runs, subjects)
            except Exception as error:  # noqa: BLE001
                found.unreadable += 1
                said = [unreadable("event", number, error, self.clock(), self._language)]
            yield from said

    def _is_open(
        self,
        instance: dg.DagsterInstance,
        entry: dg.EventLogEntry | Exception,
        runs: dict[str, dg.DagsterRun],
    ) -> bool:
        """Return whether a run has just failed of which Dagster is about to note if it starts it again."""
        if isinstance(entry, Exception) or entry.dagster_event_type is not dg.DagsterEventType.RUN_FAILURE:
            return False
        run, age_s = runs.get(entry.run_id), self.clock().timestamp() - entry.timestamp
        noted = run is None or WILL_RETRY in run.tags
        return not noted and instance.run_retries_enabled and 0 <= age_s < NOTED_WITHIN_S

    def _said(
        self,
        number: int,
        entry: dg.EventLogEntry | Exception,
        runs: dict[str, dg.DagsterRun],
        subjects: Subjects,
    ) -> list[Occurrence]:
        if isinstance(entry, Exception):
            raise entry
        run = runs.get(entry.run_id)
        facts = RunFacts(entry.run_id) if run is None else RunFacts.of(run, self.ui_url)
        at = datetime.fromtimestamp(entry.timestamp, UTC)
        return list(
            occurrences_of(Told(entry.get_dagster_event(), at, facts, subjects, number, self._language))
        )

    def _ticks(self, instance: dg.DagsterInstance, records: DagsterRecords, found: Look) -> None:
        """Tell ticks and daemons."""
        now = self.clock()
        with self.writer.writing(TICKS, now) as writing:
            if writing is None:
                found.busy = True
                return
            read = self._read(writing, records, TICKS)
            rows = records.ticks(read, BATCH)
            failed = any(row.kind == FAILED for row in rows)
            carried = carried_runs(instance, self._language) if failed else ""
            said = [each for row in rows for each in self._tick(row, found, carried)]
            found.told += writing.tell([*said, *self._daemons(instance, records, now)])
            writing.move(read.with_read(row.id for row in rows))
        found.ticks += len(rows)

    def _tick(self, row: Row, found: Look, carried: str) -> list[Occurrence]:
        try:
            return list(tick_occurrences(row.id, _tick_of(row), carried=carried, language=self._language))
        except Exception as error:  # noqa: BLE001 - as of events
            found.unreadable += 1
            return [unreadable("tick", row.id, error, self.clock(), self._language)]

    def _daemons(
        self, instance: dg.DagsterInstance, records: DagsterRecords, now: datetime
    ) -> Iterator[Occurrence]:
        with dagster_errors(instance):
            beats = instance.get_daemon_heartbeats()
        told: set[str] = set()
        if any(beat.errors for beat in beats.values()):  # a failed tick is an error of its daemon as well
            for row in records.failed_ticks(WINDOW):
                with suppress(Exception):  # one that is damaged was told as such
                    told.add(cause_of_info(_tick_of(row).error).words)
        required = instance.get_required_daemon_types()
        yield from daemon_occurrences(DaemonLook(beats, required, now, told, self._language))

    @property
    def _language(self) -> Language:
        return self.writer.config.language

    def _read(self, writing: Writing, records: DagsterRecords, table: str) -> Read:
        """Return how far it came; from ten minutes back where it never was or the records are others."""
        kept = writing.cursor()
        if kept is not None and records.fits(table, kept):
            return kept
        return records.start(table, self.clock() - FIRST_LOOK)


def _tick_of(row: Row) -> TickData:
    from dagster._core.scheduler.instigation import TickData  # noqa: PLC0415 - no public name

    return dg.deserialize_value(row.body, TickData)
