"""Where positions end and which of the possible ones are taken: arithmetic on rows.

What a row, a fill or a fee means belongs to `paper`; only numbers here.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from itb_assets.domain.trading.trades import Floats, Ints

_BLOCK_ROWS = 32_768  # with the levels of a short time limit, a block stays in the cache


def first_hits(
    ahead: Floats, behind: Floats, *, entries: Ints, targets: Floats, stops: Floats, limits: Ints
) -> Ints:
    """Return the first row in [entry, limit) with `ahead` > target or `behind` <= stop, else the limit.

    `entries` ascend, `limits` lie above them and at most one row after the last. A missing row is -inf in
    `ahead` and inf in `behind`: it never hits. Each search halves its window: maxima of 2**k rows tell
    whether any of them hits, so the cost grows with the logarithm of the window.

    >>> ahead, behind = np.array([1.0, 1.0, 5.0, 1.0]), np.array([1.0, 1.0, 1.0, -5.0])
    >>> one = dict(entries=np.array([0]), stops=np.array([0.0]), limits=np.array([4]))
    >>> [int(first_hits(ahead, behind, targets=np.array([to]), **one)[0]) for to in (2.0, 9.0)]
    [2, 3]
    """
    hits = limits.copy()
    if not len(entries):
        return hits
    levels = int((limits - entries).max()).bit_length()
    for start in range(0, len(ahead), _BLOCK_ROWS):
        low, high = np.searchsorted(entries, (start, start + _BLOCK_ROWS))
        if low == high:
            continue
        block = slice(start, start + _BLOCK_ROWS + 2**levels)
        highest = _running(ahead[block], levels, np.maximum, -np.inf)
        lowest = _running(behind[block], levels, np.minimum, np.inf)
        rows = entries[low:high] - start
        target, stop = targets[low:high], stops[low:high]
        for level in range(levels - 1, -1, -1):
            clear = ~((highest[level][rows] > target) | (lowest[level][rows] <= stop))
            rows += clear.astype(np.int64) << level
        hits[low:high] = np.minimum(rows + start, limits[low:high])
    return hits


def _running(values: Floats, levels: int, extreme: np.ufunc, nothing: float) -> list[Floats]:
    """Return for each level k the extreme of rows i to i + 2**k - 1, beyond the end `nothing`."""
    width = _BLOCK_ROWS + 2**levels
    first = np.full(width, nothing)
    first[: len(values)] = values
    tables = [first]
    for level in range(1, levels):
        half = 1 << (level - 1)
        table = tables[-1].copy()
        extreme(table[: width - half], tables[-1][half:], out=table[: width - half])
        tables.append(table)
    return tables


def take_in_turn(entries: Ints, free: Ints, *, places: int, busy: Sequence[int] = ()) -> Ints:
    """Return the positions taken when each takes one of `places` from its entry until its `free` row.

    `entries` ascend strictly and are taken first come, first served; `busy` are the free rows of positions
    that were taken before all of these.

    >>> take_in_turn(np.array([0, 1, 2, 3]), np.array([2, 9, 3, 9]), places=1).tolist()
    [0, 2, 3]
    """
    if places == 1:
        return _one_at_a_time(entries, free, max(busy, default=0))
    held = sorted(busy)
    taken = []
    for number, (entry, until) in enumerate(zip(entries.tolist(), free.tolist(), strict=True)):
        while held and held[0] <= entry:
            heapq.heappop(held)
        if len(held) < places:
            heapq.heappush(held, until)
            taken.append(number)
    return np.array(taken, dtype=np.int64)


def _one_at_a_time(entries: Ints, free: Ints, busy_until: int) -> Ints:
    """Follow each position to the first entry after it."""
    following = np.searchsorted(entries, free).tolist()
    number, count = int(np.searchsorted(entries, busy_until)), len(entries)
    taken = []
    while number < count:
        taken.append(number)
        number = following[number]
    return np.array(taken, dtype=np.int64)
