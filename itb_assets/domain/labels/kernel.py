"""The first-crossing kernel: which of two lines around a price does the market touch first.

Only numbers here: what the lines mean and what a missing kline means belongs to `crossing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from itb_assets.domain.labels.group import Bools, Floats

_BLOCK_ROWS = 65_536  # five float64 blocks of this length stay in a 3 MB cache
_SPARSE_SHARE = 0.05  # below this share of undecided rows, gathering them beats sweeping all of them,
_SPARSE_STEPS = 8  # provided at least this many later rows remain to be looked at


@dataclass(frozen=True)
class Lines:
    """Two lines as factors of the reference price: the target, and the stop on its other side."""

    target: float
    stop: float

    @property
    def upwards(self) -> bool:
        """Whether the target lies above the reference price."""
        return self.target > 1.0


def first_touches(
    reference: Floats, ahead: Floats, behind: Floats, lines: Sequence[Lines], horizon: int
) -> tuple[Bools, Bools]:
    """Return (reached, tie), each of shape (lines, rows), for each row t over rows t+1 to t+horizon.

    `reached`: `ahead` goes strictly beyond `reference[t] * target` in a row before which `behind` never
    went strictly beyond `reference[t] * stop`. `tie`: both happened for the first time in that same row, so
    `reached` holds there too. The last `horizon` rows are False. NaN never touches anything.
    """
    # One array for all results: large enough for huge pages, where one page fault costs as little as any.
    reached, tie = np.zeros((2, len(lines), len(reference)), dtype=np.bool_)
    rows = max(len(reference) - horizon, 0)
    for start in range(0, rows, _BLOCK_ROWS):
        block = slice(start, min(start + _BLOCK_ROWS, rows))
        for number, pair in enumerate(lines):
            out = (reached[number, block], tie[number, block])
            _touch_block(reference, ahead, behind, pair, horizon, block, out)
    return reached, tie


def _touch_block(
    reference: Floats,
    ahead: Floats,
    behind: Floats,
    lines: Lines,
    horizon: int,
    block: slice,
    out: tuple[Bools, Bools],
) -> None:
    """Sweep the whole block one later row at a time; follow the last undecided rows one by one."""
    reached, tie = out
    target = reference[block] * lines.target
    stop = reference[block] * lines.stop
    beyond, against = (np.greater, np.less) if lines.upwards else (np.less, np.greater)
    undecided = np.ones(len(target), dtype=np.bool_)
    hit, stopped = np.empty_like(undecided), np.empty_like(undecided)
    sparse_rows = int(_SPARSE_SHARE * len(undecided))
    for step in range(1, horizon + 1):
        if horizon - step >= _SPARSE_STEPS and np.count_nonzero(undecided) < sparse_rows:
            rows = np.flatnonzero(undecided)
            _touch_rows(
                (ahead[block.start :], behind[block.start :]),
                (rows, target[rows], stop[rows]),
                range(step, horizon + 1),
                upwards=lines.upwards,
                out=out,
            )
            return
        beyond(ahead[block.start + step : block.stop + step], target, out=hit)
        against(behind[block.start + step : block.stop + step], stop, out=stopped)
        np.logical_and(hit, undecided, out=hit)
        np.greater(undecided, stopped, out=undecided)
        if np.count_nonzero(hit):
            np.logical_or(reached, hit, out=reached)
            np.logical_and(hit, stopped, out=stopped)
            np.logical_or(tie, stopped, out=tie)
            np.greater(undecided, hit, out=undecided)


def _touch_rows(
    prices: tuple[Floats, Floats],
    undecided: tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], Floats, Floats],
    steps: range,
    *,
    upwards: bool,
    out: tuple[Bools, Bools],
) -> None:
    """Follow the few rows still undecided, dropping each as it is decided."""
    ahead, behind = prices
    rows, target, stop = undecided
    reached, tie = out
    beyond, against = (np.greater, np.less) if upwards else (np.less, np.greater)
    for step in steps:
        later = rows + step
        hit, stopped = beyond(ahead[later], target), against(behind[later], stop)
        decided = hit | stopped
        if decided.any():
            reached[rows[hit]] = True
            tie[rows[hit & stopped]] = True
            rows, target, stop = rows[~decided], target[~decided], stop[~decided]
        if not len(rows):
            return
