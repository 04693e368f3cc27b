"""What plots show, worked out as plain arrays: fewer points, runs of signals, bins of a calibration.

Drawing belongs to `plots`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Positions = NDArray[np.intp]

MAX_POINTS = 2_000
STRIP_CELLS = 400
_Z95 = 1.959964  # two-sided 95 % of the normal distribution


def keep_extremes(values: Floats, max_points: int = MAX_POINTS) -> Positions:
    """Return at most `max_points` positions: first, last, and the lowest and highest of each stretch.

    One position of a stretch that is wholly unknown is kept, so that a long gap stays a gap.
    """
    rows = len(values)
    if rows <= max_points:
        return np.arange(rows)
    width = -(-rows // (max_points // 2 - 1))
    unknown = np.isnan(values)
    kept = [np.array([0, rows - 1])]
    for filler, seek in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        filled = np.full(-(-rows // width) * width, filler)
        filled[:rows] = np.where(unknown, filler, values)
        kept.append(seek(filled.reshape(-1, width), axis=1) + np.arange(0, len(filled), width))
    return np.unique(np.concatenate(kept))


def run_starts(flags: Bools) -> Positions:
    """Return the first position of each run of True."""
    before = np.concatenate(([False], flags[:-1]))
    return np.flatnonzero(flags & ~before)


def lanes(flags: Bools, cells: int = STRIP_CELLS) -> tuple[Positions, Floats]:
    """Return a position in each cell of a strip that holds any True, and its share of the fullest cell."""
    positions = np.flatnonzero(flags)
    _, first, counts = np.unique(
        positions * min(cells, len(flags)) // len(flags), return_index=True, return_counts=True
    )
    return positions[first], counts / counts.max(initial=1)


@dataclass(frozen=True)
class Calibration:
    """Observed against predicted, in bins of equal count; bounds are Wilson's at 95 %."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]


def calibrate(scores: Floats, outcomes: Bools, bins: int) -> Calibration:
    """Sort by score and cut into at most `bins` groups of equal count; equal scores stay in one group."""
    order = np.argsort(scores, kind="stable")
    scores, hits = scores[order], outcomes[order].astype(np.float64)
    cuts = np.linspace(0, len(scores), min(bins, len(scores)) + 1).astype(np.intp)[:-1]
    starts = np.unique(np.searchsorted(scores, scores[cuts], side="left"))
    counts = np.diff(np.append(starts, len(scores)))
    predicted = np.add.reduceat(scores, starts) / counts
    observed = np.add.reduceat(hits, starts) / counts
    low, high = wilson(observed, counts)
    return Calibration(predicted, observed, low, high, counts)


def wilson(share: Floats, count: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the 95 % bounds of a share seen in `count` trials, after Wilson (1927).

    >>> [round(float(bound), 4) for bound in wilson(np.array(0.5), np.array(10))]
    [0.2366, 0.7634]
    """
    z2 = _Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return middle - half, middle + half
