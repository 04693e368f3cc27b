"""Our way to a table and back: `SqlStore.replace` beside a file, `SqlStore.write` alone, `TableFrame.read`.

The file itself is written before the clock starts: what it costs is a stage of `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import inputs
import pandas as pd
import sqlalchemy as sa
import table_inputs
import tables
from measure import Case
from table_inputs import TableJob

from itb_assets.storage.files.frames import FrameManifest, FrameStore, Record
from itb_assets.storage.tables.database import SqlStore

WARM_UP_ROWS = 100


@dataclass(frozen=True)
class _Stored:
    """A table in a database of its own, and the file that it is a copy of."""

    job: TableJob

    @cached_property
    def engine(self) -> sa.Engine:
        return sa.create_engine(self.job.database(self.job.path))

    @cached_property
    def store(self) -> SqlStore:
        definitions = {"features": table_inputs.plan().definitions}
        return SqlStore(self.job.database(self.job.path), definitions=definitions)

    def put(self, frame: pd.DataFrame) -> Callable[[], object]:
        """Return the call that brings the table to the state of a frame."""
        if self.job.path == "write":
            return lambda: self.store.write(
                self.job.asset, inputs.MARKET, frame, record=self._record, whole=True
            )
        manifest = self._file(frame)
        return lambda: self.store.replace(self.job.asset, inputs.MARKET, frame, manifest=manifest)

    def _file(self, frame: pd.DataFrame) -> FrameManifest:
        path = self.job.output / f"{self.job.table}.parquet"
        return FrameStore().write(path, frame, record=self._record)

    @property
    def _record(self) -> Record:
        return Record(
            asset=self.job.asset,
            symbol=inputs.MARKET.symbol,
            freq=inputs.MARKET.freq,
            run_id="benchmark",
            written_at=inputs.written_at(),
            digest="benchmark",
        )

    def forget_record(self) -> None:
        """Remove the record of the rows: then nothing but the rows tells what they are."""
        tables.empty(self.engine, "manifests")

    def empty(self) -> None:
        """Empty the table; its columns stay."""
        tables.empty(self.engine, self.job.table, "manifests")


def new(job: TableJob) -> Case:
    """Write rows into an empty table."""
    return _writing(job, lambda frame: (None, frame))


def half_new(job: TableJob) -> Case:
    """Write rows of which half are stored already: those of every second day."""
    return _writing(job, lambda frame: (table_inputs.every_second_day(frame), frame))


def all_changed(job: TableJob) -> Case:
    """Write rows that are all stored with other values."""
    return _writing(job, lambda frame: (table_inputs.changed(frame, 1.0), frame))


def few_changed(job: TableJob) -> Case:
    """Write rows that are all stored, one in a hundred with other values."""
    return _writing(job, lambda frame: (table_inputs.changed(frame, table_inputs.CHANGED_SHARE), frame))


def same(job: TableJob) -> Case:
    """Write the rows that are stored, once more."""
    return _writing(job, lambda frame: (frame, frame))


def same_unrecorded(job: TableJob) -> Case:
    """Do so where no record tells that they are the same: every row has to be compared."""
    return _writing(job, lambda frame: (frame, frame), unrecorded=True)


def _writing(
    job: TableJob,
    states: Callable[[pd.DataFrame], tuple[pd.DataFrame | None, pd.DataFrame]],
    *,
    unrecorded: bool = False,
) -> Case:
    """Return the case that takes a table from the first of two states to the second."""
    stored = _Stored(job)
    first, second = states(table_inputs.load(job))
    stored.put(second.head(WARM_UP_ROWS))()  # connects, and makes table and columns
    first_put = stored.put(first) if first is not None else None
    put = stored.put(second)
    started = [0]

    def before() -> None:
        stored.empty()
        if first_put is not None:
            first_put()
        if unrecorded:
            stored.forget_record()
        started[0] = tables.settle(stored.engine, job.table)

    def facts(_: object) -> Mapping[str, float]:
        return {
            **tables.row_count(stored.engine, job.table),
            "written": tables.written_since(stored.engine, job.table, started[0]),
            "content": tables.content(stored.engine, job.table),
        }

    return Case(put, before, facts)


def read(job: TableJob) -> Case:
    """Read the whole frame from its table."""
    stored, frame = _Stored(job), table_inputs.load(job)
    stored.put(frame.head(WARM_UP_ROWS))()
    stored.empty()
    stored.put(frame)()
    tables.settle(stored.engine, job.table)

    def run() -> pd.DataFrame:
        found = stored.store.find(job.asset, inputs.MARKET)
        if found is None:
            raise ValueError(f"{job.asset} is not in the database: expected it to be written before")
        return found.read()

    return Case(run, facts=lambda found: {"rows": len(found), "differs": float(not found.equals(frame))})
