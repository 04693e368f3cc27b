"""How far a share seen in a few trials may lie from the truth, after Wilson (1927), JASA 22:209.

What the trials are belongs to the caller; tests of luck belong to `luck`.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from itb_assets.domain.evaluation.arrays import Floats
from itb_assets.errors import DataContractError


def wilson(wins: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return both bounds of the two-sided interval; of no trials (0, 1).

    Raises DataContractError unless 0 <= wins <= n and 0 < confidence < 1.

    >>> [round(bound, 4) for bound in wilson(5, 10)]
    [0.2366, 0.7634]
    """
    low, high = wilson_bounds(wins, n, confidence)
    return float(low), float(high)


def wilson_upper(wins: int, n: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound: the true share is at most this, with that confidence.

    >>> round(wilson_upper(5, 10), 4)
    0.7307
    """
    won, of = _counts(wins, n)
    return float(score_bounds(won, of, _z(_checked(confidence)))[1])


def wilson_bounds(wins: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Return `wilson` of many shares at once: the lower bounds and the upper bounds."""
    won, of = _counts(wins, n)
    return score_bounds(won, of, _z((1 + _checked(confidence)) / 2))


def score_bounds(wins: Floats, n: Floats, z: float) -> tuple[Floats, Floats]:
    """Return the bounds `z` standard deviations below and above, exact at the ends.

    Counts are taken as they are: 0 <= wins <= n is up to the caller. Of no trials the bounds are 0 and 1.
    """
    z2 = z * z
    middle = (wins + z2 / 2) / (n + z2)
    half = z * np.sqrt(wins * (n - wins) / np.maximum(n, 1) + z2 / 4) / (n + z2)
    low: Floats = np.where(wins == 0, 0.0, middle - half)
    high: Floats = np.where(wins == n, 1.0, middle + half)
    return low, high


def _counts(wins: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    won, of = np.asarray(wins, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if ((won < 0) | (won > of)).any():
        raise DataContractError(f"{wins!r} wins of {n!r} trials: expected 0 <= wins <= n")
    return won, of


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise DataContractError(f"confidence {confidence}: expected a share between 0 and 1, such as 0.95")
    return confidence


@lru_cache(maxsize=32)
def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
