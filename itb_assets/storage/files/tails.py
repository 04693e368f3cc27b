"""What a write of rows from a time on means for a stored frame, wherever that lies.

Writing files belongs to `frames`, writing tables to `database`; what a record holds to `manifest`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import polars as pl

from itb_assets.errors import DataContractError, StorageError
from itb_assets.storage.files.dtypes import TIME, first_time, step_of
from itb_assets.storage.files.manifest import FrameManifest, Record


def start_of(table: pl.DataFrame, from_time: pd.Timestamp | None, place: object) -> pd.Timestamp:
    """Return from when on a tail replaces rows; raise DataContractError where that cannot be told."""
    first = first_time(table)
    if from_time is None:
        if first is None:
            raise DataContractError(
                f"an empty tail does not say from when on it replaces {place}: pass from_time"
            )
        return first
    if first is not None and first < from_time:
        raise DataContractError(
            f"the tail of {place} begins at {first}, before {from_time}: it would hide rows"
        )
    return from_time


def check_fits(manifest: FrameManifest, dtypes: Mapping[str, str], record: Record, place: object) -> None:
    """Raise StorageError for a tail whose columns, dtypes or definition are not those stored."""
    if list(manifest.columns.items()) != list(dtypes.items()):
        raise StorageError(
            f"a tail with columns {dict(dtypes)} does not fit {place}, which has {dict(manifest.columns)}: "
            "write the frame whole"
        )
    if manifest.digest != record.digest:
        raise StorageError(
            f"{place} was made by definition {manifest.digest!r}, the tail by definition "
            f"{record.digest!r}: write the frame whole"
        )


def joined_step(
    step: int | None, tail: pl.DataFrame, ends: tuple[int, pd.Timestamp | None, pd.Timestamp | None]
) -> int | None:
    """Return the step of the rows kept and the tail together, if it is one and the same.

    `step` is that of the rows stored, `ends` are the number of rows, the first and the last time afterwards.
    """
    rows, first, last = ends
    if step is None or rows < 2 or first is None or last is None:  # noqa: PLR2004 - one row has no step
        return None
    if tail.height > 1 and step_of(tail[TIME]) != step:
        return None
    return step if first + pd.Timedelta(seconds=(rows - 1) * step) == last else None
