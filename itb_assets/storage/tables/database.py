"""The tables: a frame's rows replaced in one transaction with the record of what they are a copy of.

Which asset lies in which table belongs to `placing`, the schema to `migrations`, connections to `connection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import polars as pl

from itb_assets.domain.executed import match_fills
from itb_assets.domain.executed.matching import MATCHING_VERSION
from itb_assets.domain.markets import Market
from itb_assets.storage.database.connection import Connections, Cursor, server_version
from itb_assets.storage.database.timescale import Policies
from itb_assets.storage.files.dtypes import TIME, dtypes_of, to_polars
from itb_assets.storage.files.executed_trades import ExecutedFills
from itb_assets.storage.files.manifest import EVERYTHING, FrameManifest, Record
from itb_assets.storage.files.stored_frame import StoredFrame
from itb_assets.storage.files.tails import check_fits, start_of
from itb_assets.storage.tables.columns_catalogue import Column, catalogue, ensure_columns, redefine
from itb_assets.storage.tables.drift import DriftRow, write_drift
from itb_assets.storage.tables.executed import lock_executed, recorded_digest, replace_executed
from itb_assets.storage.tables.frame import TableFrame
from itb_assets.storage.tables.manifest import Rewrite, is_unchanged, manifest_of
from itb_assets.storage.tables.parts import changed_by_parts, written_elsewhere
from itb_assets.storage.tables.placing import DATA, Kept, is_kept, kept_in
from itb_assets.storage.tables.read import newest_time, select_statement, to_frame
from itb_assets.storage.tables.records import Recorded, lock_rows, missing_from, note, recorded
from itb_assets.storage.tables.rows import check_frame
from itb_assets.storage.tables.write import Written, write_frame

__all__ = ["SqlStore", "server_version"]

NO_DEFINITIONS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class SqlStore:
    """Tables in any PostgreSQL: queries through a small pool, rows as Arrow through binary COPY.

    Every method raises DatabaseUnavailable when the database cannot be reached or drops out, StorageFull when
    it has no space, StorageError for anything else; a failed write leaves rows and record as they were.
    """

    def __init__(
        self,
        url: str,
        *,
        definitions: Mapping[str, Mapping[str, str]] = NO_DEFINITIONS,
        policies: Policies | None = None,
    ) -> None:
        """Remember where the database is, or raise InputError; the first use connects and migrates.

        `definitions` says of `features` and `labels` what defines each name. Without it names are not
        compared with what the database knows, and the labels of a matrix are its columns of true and false.
        """
        self._definitions = definitions
        self._connections = Connections(url, policies=policies)

    def keeps(self, asset: str) -> bool:
        """Return whether the tables keep this asset."""
        return is_kept(asset)

    def recorded(self, asset: str, market: Market) -> FrameManifest | None:
        """Return the record of an asset's rows; None if none were written."""
        self._kept(asset, market)
        with self._connections.reading() as cursor:
            found = recorded(cursor, asset, market)
        return None if found is None else found.manifest

    def find(self, asset: str, market: Market) -> TableFrame | None:
        """Return a handle on the frame that an asset's rows make, or None where none were written."""
        manifest = self.recorded(asset, market)
        return None if manifest is None else TableFrame(self._connections, asset, market, manifest)

    def replace(
        self,
        asset: str,
        market: Market,
        frame: pd.DataFrame,
        *,
        manifest: FrameManifest,
        from_time: pd.Timestamp | None = None,
    ) -> bool:
        """Replace an asset's rows at or after `from_time` (None: all) by those of `frame`, with their record.

        Only rows that are new or differ are written, rows that are no longer there are deleted. Returns
        False, and does nothing, when the tables lack changes from before `from_time`: then `catch_up` with
        the file is due. Raises DataContractError for what a table cannot hold, StorageError for names in
        conflict.
        """
        kept = self._kept(asset, market)
        table, dtypes = self._checked(kept, frame)
        with self._connections.writing() as cursor:
            lock_rows(cursor, asset, market)
            known = recorded(cursor, asset, market)
            missing = missing_from(known.manifest if known else None, manifest)
            if known is not None and missing is None:
                if dict(known.manifest.sources) != dict(manifest.sources):
                    note(cursor, asset, market, manifest, None)
                return True
            if from_time is not None and (missing is None or missing < from_time):
                return False
            start = None if missing is None or missing <= EVERYTHING else missing
            if start is not None:
                table = table.filter(pl.col(TIME) >= start)
            self._write(cursor, kept, table, dtypes, start=start, known=known)
            note(cursor, asset, market, manifest, _present(kept, dtypes))
        return True

    def write(
        self,
        asset: str,
        market: Market,
        frame: pd.DataFrame,
        *,
        record: Record,
        from_time: pd.Timestamp | None = None,
        whole: bool | None = None,
    ) -> FrameManifest:
        """Replace the rows of a frame that has no file, whole or from a time on, as FrameStore does.

        `whole` None: whole where `from_time` is None. The same rows, columns and definition as stored are
        left as they are (`unchanged`). A tail without `from_time` replaces from its first row on; where
        nothing is stored it becomes the frame. Raises as `replace`, and as FrameStore for a
        tail that does not fit.
        """
        kept = self._kept(asset, market)
        table, dtypes = self._checked(kept, frame)
        whole = from_time is None if whole is None else whole
        start = None if whole else start_of(table, from_time, kept.place)
        with self._connections.writing() as cursor:
            lock_rows(cursor, asset, market)
            known = recorded(cursor, asset, market)
            previous = known.manifest if known else None
            if previous is None:
                start = None
            elif start is not None:
                check_fits(previous, dtypes, record, kept.place)
            written = self._write(cursor, kept, table, dtypes, start=start, known=known)
            changed = changed_by_parts(cursor, kept, previous, table, written, start)
            before = None
            if start is not None and not table.height:
                before = newest_time(cursor, kept, before=start)
            rewrite = Rewrite(table, dtypes, start, changed, written.replaced, before)
            return self._record_rewrite(cursor, kept, rewrite, record, previous)

    def catch_up(self, asset: str, market: Market, stored: StoredFrame) -> bool:
        """Bring an asset's rows to the state of a stored frame; return whether anything was missing."""
        self._kept(asset, market)
        with self._connections.reading() as cursor:
            known = recorded(cursor, asset, market)
        missing = missing_from(known.manifest if known else None, stored.manifest)
        if missing is None:
            return False
        whole = missing <= EVERYTHING
        frame = stored.read() if whole else stored.since(missing)
        self.replace(asset, market, frame, manifest=stored.manifest, from_time=None if whole else missing)
        return True

    def note(self, asset: str, market: Market, manifest: FrameManifest) -> None:
        """Record that the rows are those of a manifest; the caller knows that they are."""
        self._kept(asset, market)
        with self._connections.writing() as cursor:
            lock_rows(cursor, asset, market)
            note(cursor, asset, market, manifest, None)

    def columns(self) -> tuple[Column, ...]:
        """Return the catalogue: every column of features and labels, what it stands for and since when."""
        with self._connections.reading() as cursor:
            return tuple(catalogue(cursor).values())

    def redefine(self, name: str) -> tuple[Column, ...]:
        """Let today's definition of a name hold from now on; StorageError where there is none."""
        with self._connections.writing() as cursor:
            return redefine(cursor, name, self._definitions)

    def read(
        self,
        table: str,
        market: Market,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows of [start, end) in the order of their key; `time` is called `timestamp` as in files.

        Without `columns`, all but symbol and freq. NULL comes back as NaN, NA or None; JSON as its text,
        money as doubles and `exit_time` of trades as `exit_time_ms`.
        """
        statement = select_statement(table, market, start=start, end=end, columns=columns)
        with self._connections.reading() as cursor:
            cursor.execute(statement)
            found = pl.from_arrow(cursor.fetch_arrow_table())
        return to_frame(found if isinstance(found, pl.DataFrame) else found.to_frame())

    def catch_up_executed(self, stored: ExecutedFills) -> bool:
        """Make the executed trades those of the stored fills; return whether anything was missing.

        Rows and the record of the fills commit together, equal rows are left alone. Where no fills were ever
        stored nothing is done.
        """
        with self._connections.writing() as cursor:
            lock_executed(cursor)
            digest = f"{stored.sha256()}-{MATCHING_VERSION}"
            if not stored.exists() or recorded_digest(cursor) == digest:
                return False
            replace_executed(cursor, match_fills(stored.read()).trades, digest=digest)
        return True

    def append_drift(self, rows: Sequence[DriftRow]) -> int:
        """Add looks for drift, the same ones only once; return how many were new or said otherwise."""
        with self._connections.writing() as cursor:
            return write_drift(cursor, rows)

    def query(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """Run one statement with named parameters and return its rows."""
        return self._connections.query(statement, parameters)

    def close(self) -> None:
        """Close all connections; a later use opens them anew."""
        self._connections.close()

    def _kept(self, asset: str, market: Market) -> Kept:
        labels = self._definitions.get("labels")
        return kept_in(asset, market, None if labels is None else tuple(labels))

    def _checked(self, kept: Kept, frame: pd.DataFrame) -> tuple[pl.DataFrame, dict[str, str]]:
        """Return a frame as a polars table, once there is room for all of it; nothing was written before."""
        dtypes, table = dtypes_of(frame), to_polars(frame)
        check_frame(kept, dtypes, table)
        definitions = self._definitions.get(kept.table.name, {})
        wanted = kept.wanted(dtypes, definitions)
        if wanted:
            ensure_columns(self._connections.writing, kept.table.name, wanted)
        return table, dtypes

    def _write(
        self,
        cursor: Cursor,
        kept: Kept,
        table: pl.DataFrame,
        dtypes: Mapping[str, str],
        *,
        start: pd.Timestamp | None,
        known: Recorded | None,
    ) -> Written:
        """Write the columns that lie in the asset's own table."""
        if kept.asset == DATA:
            return written_elsewhere(known.manifest if known else None, start)
        own = {TIME: dtypes[TIME]} | {name: dtypes[name] for name in kept.own_columns(dtypes)}
        present = known.present if known else None
        return write_frame(cursor, kept, table.select(list(own)), own, start=start, present=present)

    def _record_rewrite(
        self,
        cursor: Cursor,
        kept: Kept,
        rewrite: Rewrite,
        told: Record,
        previous: FrameManifest | None,
    ) -> FrameManifest:
        if previous is not None and is_unchanged(previous, rewrite, told):
            confirmed = previous.with_record(told)
            if dict(previous.sources) != dict(confirmed.sources):
                note(cursor, kept.asset, kept.market, confirmed, None)
            return confirmed
        manifest = manifest_of(previous, rewrite, told)
        note(cursor, kept.asset, kept.market, manifest, _present(kept, rewrite.dtypes))
        return manifest


def _present(kept: Kept, dtypes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns of a frame that its rows fill, in the table they lie in."""
    return (TIME, *kept.own_columns(dtypes))
