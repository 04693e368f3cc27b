"""The manifest of a frame that is written to the database alone: what changed when, without a file.

Rows belong to `write`, the record in the database to `records`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from itb_assets.storage.files.dtypes import TIME, first_time, last_time, step_of
from itb_assets.storage.files.manifest import (
    EVERYTHING,
    FrameManifest,
    Identity,
    Record,
    next_version,
)
from itb_assets.storage.files.tails import joined_step

_NO_FILE = Identity(0, 0, 0)


@dataclass(frozen=True)
class Rewrite:
    """Rows that take the place of all at or after `start` (None: of all), and how many these were.

    `changed_from` is the earliest that differs, None where none does. `before` is the time of the last row
    that stays before `start`.
    """

    frame: pl.DataFrame
    dtypes: Mapping[str, str]
    start: pd.Timestamp | None
    changed_from: pd.Timestamp | None
    replaced: int
    before: pd.Timestamp | None = None


def is_unchanged(previous: FrameManifest, rewrite: Rewrite, record: Record) -> bool:
    """Tell whether a write found everything as it was, definition and columns included."""
    return rewrite.changed_from is None and previous.made_as(rewrite.dtypes, record)


def manifest_of(previous: FrameManifest | None, rewrite: Rewrite, record: Record) -> FrameManifest:
    """Return the manifest of the frame after a rewrite."""
    whole = rewrite.start is None or previous is None
    changed_from = EVERYTHING if whole or rewrite.changed_from is None else rewrite.changed_from
    ends = _whole_ends(rewrite.frame) if whole or previous is None else _joined_ends(previous, rewrite)
    rows, first, last, step_s = ends
    manifest = FrameManifest(
        asset=record.asset,
        symbol=record.symbol,
        freq=record.freq,
        rows=rows,
        first=first,
        last=last,
        step_s=step_s,
        columns=dict(rewrite.dtypes),
        identity=_NO_FILE,
        blocks=(_chained(previous, changed_from, rewrite.frame),),
        version=next_version(previous, record.written_at),
        digest=record.digest,
        sources=dict(record.sources),
        changes=(),
        run_id=record.run_id,
        written_at=record.written_at,
    )
    return manifest.with_change(previous, changed_from)


def _whole_ends(
    table: pl.DataFrame,
) -> tuple[int, pd.Timestamp | None, pd.Timestamp | None, int | None]:
    return table.height, first_time(table), last_time(table), step_of(table[TIME])


def _joined_ends(
    previous: FrameManifest, rewrite: Rewrite
) -> tuple[int, pd.Timestamp | None, pd.Timestamp | None, int | None]:
    """Return rows, first, last and step of what stays and the tail together."""
    tail = rewrite.frame
    rows = previous.rows - rewrite.replaced + tail.height
    if rows == tail.height:
        return _whole_ends(tail)
    first = previous.first
    last = last_time(tail) if tail.height else rewrite.before
    if previous.rows == 1 and tail.height and first is not None:  # two rows make the first step
        joined = pl.concat([pl.Series(TIME, [first], dtype=tail[TIME].dtype), tail[TIME]])
        return rows, first, last, step_of(joined)
    return rows, first, last, joined_step(previous.step_s, tail, (rows, first, last))


def _chained(previous: FrameManifest | None, changed_from: pd.Timestamp, table: pl.DataFrame) -> str:
    """Return the digest of what was there before and of the rows since."""
    digest = hashlib.sha256((previous.sha256 if previous else "").encode())
    digest.update(changed_from.isoformat().encode())
    first = int(np.searchsorted(table[TIME].to_physical().to_numpy(), changed_from.value))
    for column in table.slice(first):
        digest.update(f"\0{column.name}\0{column.dtype}\0".encode())
        if column.dtype == pl.String:
            runs = column.rle().struct
            digest.update(repr((runs.field("len").to_list(), runs.field("value").to_list())).encode())
            continue
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        values = column.to_physical().fill_null(0 if column.dtype != pl.Boolean else False)
        digest.update(np.ascontiguousarray(values.to_numpy()).data)
    return digest.hexdigest()
