"""Choosing the score from which a signal is worth taking, on rows before those it will be judged on.

Nothing here takes a row to be judged: a threshold comes out, never a result to report.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from itb_assets.domain.evaluation.arrays import Counts, Floats, require_same_length
from itb_assets.errors import DataContractError

CANDIDATE_QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Where in the earlier scores thresholds are looked for when nobody names candidates."""

MIN_SIGNALS = 50
"""A threshold that fewer earlier rows reach is not chosen."""

_Z = NormalDist().inv_cdf(0.95)


@dataclass(frozen=True)
class Threshold:
    """A score and what it promised on the earlier rows it was chosen on, which is no result.

    `earlier_gain` is the mean gain a signal there, `earlier_low` its one-sided 95 % lower bound, by which the
    candidates were compared; below 0 the best candidate still lost.
    """

    value: float
    earlier_signals: int
    earlier_gain: float
    earlier_low: float


def choose_threshold(
    earlier_scores: Floats,
    earlier_gains: Floats,
    *,
    candidates: npt.ArrayLike | None = None,
    min_signals: int = MIN_SIGNALS,
) -> Threshold | None:
    """Return the candidate whose signals' mean gain has the highest lower bound, the higher of equals.

    `earlier_gains` is what a signal at that row brought: its pnl, or 1.0 for a true label and 0.0 for a
    false one. A signal is a score at or above the threshold. Rows with NaN in either are left out.
    `candidates` are scores; without them, CANDIDATE_QUANTILES of the earlier scores. None when no candidate
    has `min_signals` signals. The lower bound takes rows for independent: it ranks candidates, no more.
    """
    require_same_length(scores=earlier_scores, gains=earlier_gains)
    known = np.isfinite(earlier_scores) & np.isfinite(earlier_gains)
    scores, gains = earlier_scores[known], earlier_gains[known]
    if not len(scores):
        return None
    tried = np.quantile(scores, CANDIDATE_QUANTILES) if candidates is None else np.asarray(candidates)
    tried = np.unique(tried.astype(np.float64))
    order = np.argsort(scores)
    signals = len(scores) - np.searchsorted(scores[order], tried, side="left")
    means, lows = _mean_and_low(gains[order][::-1], signals)
    enough = signals >= max(2, min_signals)
    if not enough.any():
        return None
    best = int(np.flatnonzero(enough & (lows == lows[enough].max()))[-1])
    return Threshold(float(tried[best]), int(signals[best]), float(means[best]), float(lows[best]))


def thresholds_by_fold(
    scores: Floats,
    fold: Counts,
    gains: Floats,
    *,
    purge_rows: int,
    candidates: npt.ArrayLike | None = None,
    min_signals: int = MIN_SIGNALS,
) -> tuple[Threshold | None, ...]:
    """Choose each fold's threshold on the folds before it; the first fold has none.

    Rows are in order of time and `fold` counts from 0 without a hole (DataContractError). The last
    `purge_rows` rows before a fold are left out as well: their gains were only known inside it.
    """
    require_same_length(scores=scores, fold=fold, gains=gains)
    steps = np.diff(fold)
    if len(fold) and (fold[0] != 0 or not np.isin(steps, (0, 1)).all()):
        raise DataContractError("folds are not numbered 0, 1, 2... in order of time: sort the rows by time")
    if purge_rows < 0:
        raise DataContractError(f"purge_rows {purge_rows}: expected 0 or more")
    starts = np.concatenate([[0], 1 + np.flatnonzero(steps)]) if len(fold) else np.empty(0, dtype=np.int64)
    ends = np.maximum(starts - purge_rows, 0)
    return tuple(
        choose_threshold(scores[:end], gains[:end], candidates=candidates, min_signals=min_signals)
        for end in ends
    )


def _mean_and_low(gains: Floats, signals: Counts) -> tuple[Floats, Floats]:
    """Return mean and lower bound of the first `signals` gains, for each count; NaN of fewer than 2."""
    centre = gains.mean()  # taken off first: the squares of what is left lose no digits
    n = np.where(signals > 1, signals, np.nan)
    last = np.maximum(signals, 1) - 1
    mean = np.cumsum(gains - centre)[last] / n
    variance = np.maximum(np.cumsum((gains - centre) ** 2)[last] / n - mean**2, 0) * n / (n - 1)
    means: Floats = mean + centre
    lows: Floats = means - _Z * np.sqrt(variance) / np.sqrt(n)
    return means, lows
