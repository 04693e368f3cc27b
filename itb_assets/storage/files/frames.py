"""Frames on disk, whole or not at all: written, spliced, opened and verified, each with its manifest.

Writers of one frame hold their market's lock; readers need none. What a frame means belongs to the domain.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl

from itb_assets.errors import StorageError
from itb_assets.storage.disk.atomic import ensure_folder, storage_errors, temporary_file
from itb_assets.storage.disk.digest import BLOCK_BYTES, hash_blocks
from itb_assets.storage.files.commit import commit, confirm, open_described, recover
from itb_assets.storage.files.dtypes import (
    TIME,
    dtypes_of,
    first_difference,
    first_time,
    last_time,
    step_of,
    to_polars,
)
from itb_assets.storage.files.file_frame import FileFrame, format_of
from itb_assets.storage.files.manifest import (
    EVERYTHING,
    FrameManifest,
    Identity,
    Record,
    next_version,
)
from itb_assets.storage.files.stored_frame import StoredFrame
from itb_assets.storage.files.tails import check_fits, joined_step, start_of

BeforeCommit = Callable[[FrameManifest], None]

__all__ = ["EVERYTHING", "FrameManifest", "FrameStore", "Record", "StoredFrame"]


class FrameStore:
    """Writes and opens frames; the format is the file's suffix, `.csv` or `.parquet`."""

    def find(self, path: Path) -> FileFrame | None:
        """Open a frame, or return None where none was made; raise StorageError if it was changed outside."""
        found = open_described(path)
        return FileFrame(path, *found) if found else None

    def open(self, path: Path) -> FileFrame:
        """Open a frame; raise StorageError where none was made or it was changed outside."""
        stored = self.find(path)
        if stored is None:
            raise StorageError(f"{path} does not exist: materialize the asset that makes it first")
        return stored

    def write(
        self, path: Path, frame: pd.DataFrame, *, record: Record, before_commit: BeforeCommit | None = None
    ) -> FrameManifest:
        """Replace a frame; the same content and definition as stored is left as it lies (`unchanged`).

        `before_commit` is called with the manifest once the bytes are on disk and before they take the
        frame's name, also for an unchanged frame; what it raises leaves the frame as it was.

        Raises DataContractError for a frame that cannot be stored, StorageFull and StorageError; after any of
        them the frame that was there before is still there.
        """
        file_format = format_of(path)
        dtypes = dtypes_of(frame)
        table = to_polars(frame)
        with storage_errors(path, needed=int(table.estimated_size())), temporary_file(path) as temporary:
            ensure_folder(path.parent)
            previous = recover(path)
            file_format.write(table, temporary)
            blocks = hash_blocks(temporary)
            same = previous and previous.blocks == blocks and previous.made_as(dtypes, record)
            if previous and same and self._lies_there(path, previous):
                return _confirm(path, previous, record, before_commit)
            manifest = FrameManifest(
                asset=record.asset,
                symbol=record.symbol,
                freq=record.freq,
                rows=table.height,
                first=first_time(table),
                last=last_time(table),
                step_s=step_of(table[TIME]),
                columns=dtypes,
                identity=Identity.of(temporary.stat()),
                blocks=blocks,
                version=next_version(previous, record.written_at),
                digest=record.digest,
                sources=dict(record.sources),
                changes=(),
                run_id=record.run_id,
                written_at=record.written_at,
            )
            return _finish(path, temporary, manifest.with_change(previous, EVERYTHING), before_commit)

    def splice(
        self,
        path: Path,
        tail: pd.DataFrame,
        *,
        record: Record,
        from_time: pd.Timestamp | None = None,
        before_commit: BeforeCommit | None = None,
    ) -> FrameManifest:
        """Replace all rows at or after `from_time` (None: the tail's first) by `tail`, leaving those before.

        Costs the new rows and a copy of the bytes before them inside the kernel (parquet: a rewrite). Rows of
        the tail that equal what is stored do not count as changed; nothing changed writes nothing. Where no
        frame exists the tail becomes it. `before_commit` as in `write`. Raises as `write` does, and
        StorageError when columns, dtypes or definition are not those stored.
        """
        file_format = format_of(path)
        dtypes = dtypes_of(tail)
        table = to_polars(tail)
        start = start_of(table, from_time, path)
        with storage_errors(path), temporary_file(path) as temporary:
            ensure_folder(path.parent)
            recover(path)
            stored = self.find(path)
            if stored is None:
                return self.write(path, tail, record=record, before_commit=before_commit)
            check_fits(stored.manifest, dtypes, record, path)
            replaced = stored.table_since(start)
            changed_from = first_difference(replaced, table)
            if changed_from is None:
                return _confirm(path, stored.manifest, record, before_commit)
            kept = replaced.filter(pl.col(TIME) < changed_from).height
            fresh = table.slice(kept)
            with storage_errors(path, needed=stored.manifest.bytes + int(fresh.estimated_size())):
                offset = file_format.splice(stored.descriptor, temporary, changed_from, fresh)
            rows = stored.rows - replaced.height + table.height
            manifest = _spliced(stored, temporary, offset, record)
            first, last = _ends(stored, temporary, rows, fresh, changed_from)
            step_s = joined_step(stored.manifest.step_s, fresh, (rows, first, last))
            manifest = replace(manifest, rows=rows, first=first, last=last, step_s=step_s)
            manifest = manifest.with_change(stored.manifest, changed_from)
            return _finish(path, temporary, manifest, before_commit)

    def verify(self, path: Path) -> tuple[str, ...]:
        """Hash a whole frame and count its rows; return what is wrong with it, nothing if all is well."""
        try:
            stored = self.open(path)
        except StorageError as error:
            return (str(error),)
        manifest = stored.manifest
        if hash_blocks(stored.descriptor) != manifest.blocks:
            return (f"{path} is damaged: its bytes are not those of sha256 {manifest.sha256}; make it again",)
        times = stored.read([TIME])[TIME]
        found = (len(times), times.min() if len(times) else None, times.max() if len(times) else None)
        expected = (manifest.rows, manifest.first, manifest.last)
        if found != expected:
            return (f"{path} holds (rows, first, last) {found}, its manifest says {expected}; make it again",)
        return ()

    def _lies_there(self, path: Path, manifest: FrameManifest) -> bool:
        with suppress(StorageError):
            stored = self.find(path)
            return stored is not None and stored.manifest == manifest
        return False


def _finish(
    path: Path, temporary: Path, manifest: FrameManifest, before_commit: BeforeCommit | None
) -> FrameManifest:
    if before_commit:
        before_commit(manifest)
    commit(path, temporary, manifest)
    return manifest


def _confirm(
    path: Path, manifest: FrameManifest, record: Record, before_commit: BeforeCommit | None
) -> FrameManifest:
    """Keep the file; note in the manifest that it stands for newer sources too."""
    confirmed = manifest.with_record(record)
    if before_commit:
        before_commit(confirmed)
    if dict(manifest.sources) == dict(confirmed.sources):
        return replace(manifest, unchanged=True)
    confirm(path, confirmed)
    return confirmed


def _spliced(stored: FileFrame, temporary: Path, offset: int, record: Record) -> FrameManifest:
    """Hash from the first block that the tail touches; those before were copied as they are."""
    intact = offset // BLOCK_BYTES
    return replace(
        stored.manifest,
        asset=record.asset,
        symbol=record.symbol,
        freq=record.freq,
        identity=Identity.of(temporary.stat()),
        blocks=stored.manifest.blocks[:intact] + hash_blocks(temporary, start=intact),
        version=next_version(stored.manifest, record.written_at),
        digest=record.digest,
        sources=dict(record.sources),
        run_id=record.run_id,
        written_at=record.written_at,
    )


def _ends(
    stored: FileFrame, temporary: Path, rows: int, fresh: pl.DataFrame, changed_from: pd.Timestamp
) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    if not rows:
        return None, None
    keeps_first = stored.first is not None and stored.first < changed_from
    first = stored.first if keeps_first else first_time(fresh)
    return first, last_time(fresh) if fresh.height else _last_row_time(stored, temporary)


def _last_row_time(stored: FileFrame, file: Path) -> pd.Timestamp | None:
    with file.open("rb") as opened:
        tail: pl.DataFrame = format_of(stored.path).tail(opened.fileno(), stored.manifest.columns, [TIME], 1)
    return last_time(tail)
