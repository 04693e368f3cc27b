"""Bounds on a win rate and on what its trades can tell: Wilson's bound, sample size, averaged evidence.

Everything works on arrays of counts as on one count; nothing here decides.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from itb_assets.domain.drift.rows import Floats
from itb_assets.domain.evaluation.intervals import score_bounds
from itb_assets.errors import InputError


def wilson_upper(wins: npt.ArrayLike, trades: npt.ArrayLike, confidence: float = 0.95) -> Floats:
    """Return the one-sided upper bound of the win rate (Wilson 1927); 1 of no trades.

    >>> round(float(wilson_upper(8, 10)), 4)
    0.9314
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence = {confidence}: expected between 0 and 1, such as 0.95")
    won, n = np.asarray(wins, dtype=np.float64), np.asarray(trades, dtype=np.float64)
    if ((won < 0) | (won > n)).any():
        raise InputError("wins below 0 or above the number of trades: expected 0 <= wins <= trades")
    return score_bounds(won, n, float(ndtri(confidence)))[1]


def trades_needed(p0: float, drop: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return how many trades show a fall from p0 by `drop`, in one look, one-sided, with this power.

    >>> [trades_needed(0.58, drop) for drop in (0.05, 0.07, 0.10)]
    [608, 311, 152]
    """
    if not (0 < drop < p0 <= 1 and 0 < power < 1 and 0 < alpha < 1):
        raise InputError(
            f"p0 = {p0}, drop = {drop}, power = {power}, alpha = {alpha}: "
            "expected 0 < drop < p0 <= 1, power and alpha between 0 and 1"
        )
    p1 = p0 - drop
    spread = float(ndtri(1 - alpha)) * math.sqrt(p0 * (1 - p0)) + float(ndtri(power)) * math.sqrt(
        p1 * (1 - p1)
    )
    return math.ceil((spread / drop) ** 2)


def averaged_evidence(
    wins: npt.ArrayLike,
    trades: npt.ArrayLike,
    reference_wins: npt.ArrayLike,
    reference_trades: npt.ArrayLike,
    *,
    drop: float,
) -> Floats:
    """Return the log-likelihood ratio, in nats, of a fall by `drop` against none, p0 itself being uncertain.

    Averaged over the win rates that the reference's own trades allow, in the normal approximation:
    (drop x d - drop^2 / 2) / (v / reference_trades + v / trades), where d is the observed fall and v the
    variance of one trade at the pooled win rate. A reference of few trades therefore never yields much
    evidence, however sure its win rate looks. 0 where either side has no trades.

    >>> [round(float(averaged_evidence(144, 300, 58 * n, 100 * n, drop=0.05)), 2) for n in (1, 10, 1000)]
    [1.13, 3.51, 4.6]
    """
    won, n, won0, n0 = (
        np.asarray(count, dtype=np.float64) for count in (wins, trades, reference_wins, reference_trades)
    )
    some, some0 = np.maximum(n, 1.0), np.maximum(n0, 1.0)
    pooled = (won + won0 + 0.5) / (n + n0 + 1)
    variance = pooled * (1 - pooled) * (1 / some + 1 / some0)
    evidence = (drop * (won0 / some0 - won / some) - drop**2 / 2) / variance
    return np.asarray(np.where((n > 0) & (n0 > 0), evidence, 0.0), dtype=np.float64)
