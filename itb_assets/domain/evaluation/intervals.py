"""How far a share seen in a few trials may lie from the truth, after Wilson (1927), JASA 22:209.

What the trials are belongs to the caller; tests of luck belong to `luck`.
"""

from __future__ import annotations

import math
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
    return _bounds(wins, n, _z((1 + _checked(confidence)) / 2))


def wilson_upper(wins: int, n: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound: the true share is at most this, with that confidence.

    >>> round(wilson_upper(5, 10), 4)
    0.7307
    """
    return _bounds(wins, n, _z(_checked(confidence)))[1]


def wilson_bounds(
    wins: npt.NDArray[np.int64], n: npt.NDArray[np.int64], confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return `wilson` of many shares at once: the lower bounds and the upper bounds."""
    if ((wins < 0) | (wins > n)).any():
        raise DataContractError("some wins are below 0 or above their trials: expected 0 <= wins <= n")
    z2 = _z((1 + _checked(confidence)) / 2) ** 2
    middle = (wins + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (wins * (1 - wins / np.maximum(n, 1)) + z2 / 4)) / (n + z2)
    low: Floats = np.where(wins == 0, 0.0, middle - half)
    high: Floats = np.where(wins == n, 1.0, middle + half)
    return low, high


def _bounds(wins: int, n: int, z: float) -> tuple[float, float]:
    """Return the interval of `z` standard deviations; exact at its ends, where rounding would pass 0 or 1."""
    if not 0 <= wins <= n:
        raise DataContractError(f"{wins} wins of {n} trials: expected 0 <= wins <= n")
    z2 = z * z
    middle = (wins + z2 / 2) / (n + z2)
    half = abs(z) * math.sqrt((wins * (n - wins) / n if n else 0) + z2 / 4) / (n + z2)
    return (middle - half if wins else 0.0), (middle + half if wins < n else 1.0)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise DataContractError(f"confidence {confidence}: expected a share between 0 and 1, such as 0.95")
    return confidence


@lru_cache(maxsize=32)
def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
