"""Frames that are made of the rows of others: klines on their grid, and the matrix.

They have no rows of their own, or only some columns; which belong to whom is said in `placing`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import polars as pl

from itb_assets.domain.klines import NS_PER_MS
from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.files.dtypes import POLARS_DTYPES, TIME, TIME_DTYPE, from_ns, last_time
from itb_assets.storage.files.manifest import EVERYTHING, FrameManifest
from itb_assets.storage.tables.placing import DATA, FEATURES, MATRIX, OHLCV, RAW, Kept
from itb_assets.storage.tables.read import Window, frame_rows
from itb_assets.storage.tables.records import recorded
from itb_assets.storage.tables.write import Written

MADE_OF: Mapping[str, tuple[str, ...]] = {DATA: (RAW,), MATRIX: (DATA, FEATURES)}
"""Frames that are stored by what they are made of, and these."""


def check_part(cursor: Cursor, manifest: FrameManifest, market: Market, part: str) -> FrameManifest:
    """Return the record of what a frame is made of; raise StorageError unless its rows are still those."""
    found = recorded(cursor, part, market)
    if found is None:
        raise StorageError(
            f"{manifest.asset} of {market} is made of {part}, which the database lacks: materialize {part}"
        )
    consumed = manifest.sources.get(part)
    changed = None if consumed is None else found.manifest.changed_since(consumed)
    if changed is not None and (manifest.last is None or changed <= manifest.last):
        behind = consumed is not None and consumed > found.manifest.version
        raise StorageError(
            f"{manifest.asset} of {market} was made of version {consumed} of {part}, the database holds "
            f"version {found.manifest.version}: materialize {part if behind else manifest.asset}"
        )
    return found.manifest


def grid_rows(
    cursor: Cursor, market: Market, manifest: FrameManifest, dtypes: Mapping[str, str], window: Window
) -> pl.DataFrame:
    """Return klines on their grid in a window, which lies in that of the manifest; missing ones unknown.

    Raises StorageError where the klines do not reach from its first time to its last.
    """
    if window.start is None or window.last is None or manifest.first is None:
        raise StorageError(f"{manifest.asset} of {market} has no times: materialize it again")
    asked = {name: dtype for name, dtype in dtypes.items() if name != TIME}
    raw = {name: OHLCV.dtypes[name] for name in asked}
    klines = frame_rows(cursor, Kept(RAW, market, OHLCV), raw, window)
    klines = klines.cast({name: POLARS_DTYPES[dtype] for name, dtype in asked.items()})
    step = market.freq_ms * NS_PER_MS
    before = -(-(window.start.value - manifest.first.value) // step)
    first_ns = manifest.first.value + before * step
    # counted in whole numbers: from 104 days on np.arange loses the last row to the doubles it counts with
    times = first_ns + step * np.arange((window.last.value - first_ns) // step + 1, dtype=np.int64)
    found = klines[TIME].to_physical().to_numpy()
    expected_ends = {window.last.value} | ({manifest.first.value} if not before else set())
    if not expected_ends <= {int(value) for value in (*found[:1], *found[-1:])}:
        raise StorageError(
            f"{manifest.asset} of {market} goes from {manifest.first} to {window.last}, where {RAW} lacks "
            f"klines: materialize {RAW} and {manifest.asset} again"
        )
    if len(found) == len(times):
        return klines
    grid = pl.DataFrame({TIME: pl.Series(times).cast(POLARS_DTYPES[TIME_DTYPE])})
    return grid.join(klines, on=TIME, how="left", maintain_order="left")


def rows_since(manifest: FrameManifest, time: pd.Timestamp) -> int | None:
    """Return how many rows lie at or after a time, where their step tells it."""
    first, last = manifest.first, manifest.last
    if first is None or last is None or time > last:
        return 0
    if time <= first:
        return manifest.rows
    return (
        None if manifest.step_s is None else int((last - time) // pd.Timedelta(seconds=manifest.step_s)) + 1
    )


def written_elsewhere(previous: FrameManifest | None, start: pd.Timestamp | None) -> Written:
    """Return what the write of a frame without rows of its own does: nothing, in the place of so many."""
    if previous is None:
        return Written(None, 0)
    replaced = previous.rows if start is None else rows_since(previous, start)
    if replaced is None:
        raise StorageError(f"{previous.asset} is not on a grid: write the frame whole")
    return Written(None, replaced)


def changed_by_parts(
    cursor: Cursor,
    kept: Kept,
    previous: FrameManifest | None,
    table: pl.DataFrame,
    own: Written,
    start: pd.Timestamp | None,
) -> pd.Timestamp | None:
    """Return from when on a rewritten frame differs: in its own rows, or in those it is made of."""
    found = [own.changed_from]
    if previous is not None and kept.asset in MADE_OF:
        found += [_part_changed(cursor, previous, kept.market, part) for part in MADE_OF[kept.asset]]
        found.append(_moved_end(previous.last, last_time(table), kept.market, start))
    known = [time for time in found if time is not None]
    if not known:
        return None
    return min(known) if start is None else max(min(known), start)


def _part_changed(cursor: Cursor, previous: FrameManifest, market: Market, part: str) -> pd.Timestamp | None:
    found, consumed = recorded(cursor, part, market), previous.sources.get(part)
    return EVERYTHING if found is None or consumed is None else found.manifest.changed_since(consumed)


def _moved_end(
    before: pd.Timestamp | None, now: pd.Timestamp | None, market: Market, start: pd.Timestamp | None
) -> pd.Timestamp | None:
    """Return the first time that only the longer of two grids has."""
    if before == now:
        return None
    if before is None or now is None:
        return start or EVERYTHING
    return from_ns(min(before, now).value + market.freq_ms * NS_PER_MS)
