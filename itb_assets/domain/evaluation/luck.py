"""How likely a result is luck: tests that shift signals or outcomes in a circle against the prices.

A circular shift keeps how scores and outcomes depend on their own past, which shuffling rows would destroy
and then call every result skill. Corrections for how much was tried belong to `deflated_sharpe`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from itb_assets.domain.evaluation.arrays import Bools, Counts, Floats, finite_floats, require_same_length
from itb_assets.domain.evaluation.scores import rank, roc_auc
from itb_assets.errors import DataContractError


@dataclass(frozen=True)
class ShiftTest:
    """An observed statistic beside those of shifted rows; `p_value` None where nothing was observed.

    `p_value` = (1 + shifts at least as good as observed) / (1 + shifts). `null_mean` and `null_high` are the
    mean and the 95 % quantile of the shifted rows: what luck alone brings.
    """

    observed: float | None
    p_value: float | None
    shifts: int
    null_mean: float | None
    null_high: float | None


def permutation_test(
    statistic: Callable[[int], float | None], n_rows: int, *, shifts: int, min_shift: int, seed: int
) -> ShiftTest:
    """Compare `statistic(0)` with `statistic(shift)` of random circular shifts; greater is better.

    `statistic(shift)` computes the result with signals shifted by that many rows against prices, as
    `np.roll` does. A shift is at least `min_shift` rows in either direction: longer than a label looks ahead
    and than scores remember. The same seed draws the same shifts, each once; where there are fewer than
    `shifts`, all are used. A shift without a result (None or NaN) counts as at least as good.
    """
    possible = _possible_shifts(n_rows, min_shift)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(possible, size=min(shifts, len(possible)), replace=False)
    observed = _number(statistic(0))
    return _against(observed, np.array([_number(statistic(int(shift))) for shift in drawn]))


def auc_test(score: Floats, label: Bools, *, min_shift: int) -> ShiftTest:
    """Compare the AUC with that of labels shifted in a circle by every number of rows from `min_shift` on.

    All shifts come from one correlation of ranks and labels, so nothing is drawn and no seed is needed.
    Rows must be in order of time. Nothing is observed in rows of one class.
    """
    require_same_length(scores=score, labels=label)
    values, n = finite_floats(score, "scores"), len(score)
    possible = _possible_shifts(n, min_shift)
    ranking = rank(values, label)
    positive, negative = int(ranking.positives.sum()), int(ranking.negatives.sum())
    observed = roc_auc(ranking)
    if observed is None:
        return _against(np.nan, np.full(len(possible), np.nan))
    sizes = ranking.positives + ranking.negatives
    centred = (np.cumsum(sizes) - (sizes - 1) / 2)[ranking.places()] - (n + 1) / 2
    rank_sums = fft.irfft(fft.rfft(centred) * np.conj(fft.rfft(label.astype(np.float64))), n)
    return _against(observed, 0.5 + rank_sums[possible] / (positive * negative))


def _possible_shifts(n_rows: int, min_shift: int) -> Counts:
    """Return every shift of at least `min_shift` rows in either direction; DataContractError of none."""
    if min_shift < 1 or n_rows < 2 * min_shift:
        raise DataContractError(
            f"{n_rows} rows cannot be shifted by {min_shift} or more in both directions: expected a shift of "
            f"at least 1 and {max(2, 2 * min_shift)} rows or more"
        )
    return np.arange(min_shift, n_rows - min_shift + 1, dtype=np.int64)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _against(observed: float, null: Floats) -> ShiftTest:
    """Count the shifted results that equal or pass the observed one, a hair of rounding given to them."""
    known = null[np.isfinite(null)]
    if not np.isfinite(observed):
        p_value = None
    else:
        worse = int((known < observed - 1e-9 * max(1.0, abs(observed))).sum())
        p_value = (1 + len(null) - worse) / (1 + len(null))
    return ShiftTest(
        observed=float(observed) if np.isfinite(observed) else None,
        p_value=p_value,
        shifts=len(null),
        null_mean=float(known.mean()) if len(known) else None,
        null_high=float(np.quantile(known, 0.95)) if len(known) else None,
    )
