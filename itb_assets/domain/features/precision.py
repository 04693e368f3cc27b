"""How exactly features are kept: to 30 bits after the leading one, nine significant digits.

Prices have fewer, so the bits below are noise of the arithmetic; without them a compressed table needs half
the space. Which features are rounded belongs to the plan.
"""

from __future__ import annotations

import numpy as np

from itb_assets.domain.features.steps import Array

KEPT_BITS = 30
_DROPPED_BITS = 52 - KEPT_BITS
_HALF = np.int64(1 << (_DROPPED_BITS - 1))
_KEPT = np.int64(-1 << _DROPPED_BITS)
_BLOCK_ROWS = 16_384  # 128 KB stay in a core's cache between the two passes


def round_in_place(values: Array) -> None:
    """Round to the nearest of the doubles kept; no finite value changes by more than 2^-31 of itself.

    NaN and infinities stay as they are, and so does what was rounded before.

    >>> values = np.array([0.1, np.nan, -np.inf, 99_500.123_456_789])
    >>> round_in_place(values)
    >>> [float(value) for value in values]
    [0.09999999997671694, nan, -inf, 99500.1234741211]
    """
    bits = values.view(np.int64)
    for start in range(0, len(bits), _BLOCK_ROWS):
        block = bits[start : start + _BLOCK_ROWS]
        block += _HALF
        block &= _KEPT
