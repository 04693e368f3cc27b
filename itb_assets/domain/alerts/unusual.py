"""How unusual a market is now against the same time of earlier days, by figures that outliers do not move.

Which klines are compared belongs to the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

NORMAL = 1.4826
"""What makes the median absolute deviation of normal values their standard deviation."""

SMALLEST_SCALE = 0.05
"""In natural logarithms, 5 %: days that were all alike would make every other one infinitely unusual."""

LARGEST_Z = 99.0


def robust_z(now: float, earlier: Sequence[float]) -> float:
    """Return by how many robust deviations the logarithm of `now` lies off the median of earlier ones.

    Volumes and volatilities spread by factors: twice and half as much are equally far. None at all is as far
    below as can be said, -99. Earlier values must be above zero; of none, or of NaN, the answer is NaN.

    >>> days = [90, 95, 100, 105, 110]
    >>> [round(robust_z(value, days), 1) for value in (100, 200, 50)]
    [0.0, 9.1, -9.1]
    >>> robust_z(0, days)
    -99.0
    """
    if not earlier or math.isnan(now):
        return math.nan
    logs = [math.log(value) for value in earlier]
    middle = median(logs)
    if now <= 0:
        return -LARGEST_Z
    scale = max(NORMAL * median(abs(value - middle) for value in logs), SMALLEST_SCALE)
    return max(-LARGEST_Z, min(LARGEST_Z, (math.log(now) - middle) / scale))


def parkinson(log_ranges_squared: float, klines: int) -> float:
    """Return the volatility of one kline out of the sum of squared ln(high / low), after Parkinson (1980).

    >>> round(parkinson(12 * math.log(1.01) ** 2, 12), 5)
    0.00598
    """
    return math.sqrt(log_ranges_squared / (4 * math.log(2) * klines)) if klines else math.nan
