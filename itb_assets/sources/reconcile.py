"""Klines of the archive and of REST for the same times: REST wins, and every difference is named.

Deciding which times to ask for twice belongs to `history`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from itb_assets.domain.klines import KLINE_COLUMNS, merge_klines
from itb_assets.sources.rows import clip, open_times_ms, show_time

MAX_NAMED = 50
"""Differences spelt out one by one; the rest are counted."""


def reconcile(
    archived: pd.DataFrame, rest: pd.DataFrame, *, asked_from_ms: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return both together and a sentence for each kline on which they disagree.

    REST was asked for everything from `asked_from_ms` to its own last row. A kline that only one of them
    has is kept and named. Neither input is changed.
    """
    if not len(rest):
        return archived, []
    until_ms = int(open_times_ms(rest)[-1]) + 1
    both_from_archive = clip(archived, asked_from_ms, until_ms)
    merged = merge_klines(archived, rest).frame
    if not len(both_from_archive):
        return merged, []
    first, last = (int(open_times_ms(both_from_archive)[at]) for at in (0, -1))
    said = _differences(both_from_archive, clip(rest, first, last + 1))
    extra = len(said) - MAX_NAMED
    return merged, [*said[:MAX_NAMED], *([f"and {extra} more"] if extra > 0 else [])]


def _differences(archived: pd.DataFrame, rest: pd.DataFrame) -> list[str]:
    ours, theirs = open_times_ms(archived), open_times_ms(rest)
    said = [f"{show_time(int(at))}: in the archive, not in REST" for at in np.setdiff1d(ours, theirs)]
    said += [f"{show_time(int(at))}: in REST, not in the archive" for at in np.setdiff1d(theirs, ours)]
    common, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    for name in KLINE_COLUMNS[1:]:
        old, new = archived[name].to_numpy()[left], rest[name].to_numpy()[right]
        said += [
            f"{show_time(int(common[at]))}: {name} {old[at]} in the archive, {new[at]} in REST"
            for at in np.flatnonzero(old != new)
        ]
    return sorted(said)
