"""Rolling windows handed to functions of blocks of windows, and those functions.

What windows a generator wants and what it names the results belongs to the generators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from itb_assets.domain.features.steps import Array

BlockFunction: TypeAlias = Callable[[Array], Array]
"""(windows, rows of a window) in, one value a window out; NaN in a window means not observed."""

BLOCK_VALUES = 1 << 17
"""Values of one block: 1 MB stays in the processor's cache."""


def roll(column: Array, window: int, function: BlockFunction, *, min_rows: int, partial: bool) -> Array:
    """Apply `function` to every window of `window` rows that ends at a row.

    A window with fewer than `min_rows` observed values is NaN; so is, unless `partial`, one that starts
    before the column. An infinity counts as not observed. Means of full windows are pandas' compensated
    running ones, whose cost does not grow with the window.
    """
    if function is mean and not partial:
        means = pd.Series(column).rolling(window, min_periods=min_rows).mean().to_numpy(copy=True)
        means[: window - 1] = np.nan
        return means
    column = np.where(np.isinf(column), np.nan, column)
    result = np.full(len(column), np.nan)
    if partial:
        for stop in range(1, min(window, len(column) + 1)):
            result[stop - 1 : stop] = function(column[None, :stop])
    if len(column) >= window:
        windows = sliding_window_view(column, window)
        step = max(1, BLOCK_VALUES // window)
        for start in range(0, len(windows), step):
            block = np.ascontiguousarray(windows[start : start + step])
            result[window - 1 + start : window - 1 + start + len(block)] = function(block)
    observed = np.cumsum(~np.isnan(column))
    observed[window:] -= observed[:-window].copy()
    result[observed < min_rows] = np.nan
    return result


def mean(block: Array) -> Array:
    """Mean of the observed values."""
    missing = np.isnan(block)
    if not missing.any():
        return np.mean(block, axis=1)  # type: ignore[no-any-return]
    return np.where(missing, 0.0, block).sum(axis=1) / (~missing).sum(axis=1)  # type: ignore[no-any-return]


def std(block: Array) -> Array:
    """Return the population standard deviation (ddof 0) of the observed values."""
    missing = np.isnan(block)
    count = (~missing).sum(axis=1)
    centred = block - mean(block)[:, None]
    centred[missing] = 0.0
    return np.sqrt((centred * centred).sum(axis=1) / count)  # type: ignore[no-any-return]


def area(block: Array) -> Array:
    """Area above the newest value less the area below it, over both: from -1 to 1, NaN where flat."""
    difference = block - block[:, -1:]
    difference[np.isnan(difference)] = 0.0
    signed, absolute = difference.sum(axis=1), np.abs(difference).sum(axis=1)
    return (absolute + signed) / 2 / absolute * 2 - 1  # type: ignore[no-any-return]


def slope(block: Array) -> Array:
    """Slope of the least-squares line through the observed values, per row."""
    missing = np.isnan(block)
    positions = np.broadcast_to(np.arange(block.shape[1], dtype=np.float64), block.shape)
    if missing.any():
        positions = np.where(missing, np.nan, positions)
    offset = positions - mean(positions)[:, None]
    centred = block - mean(block)[:, None]
    offset[missing], centred[missing] = 0.0, 0.0
    return (offset * centred).sum(axis=1) / (offset * offset).sum(axis=1)  # type: ignore[no-any-return]


def first_maximum(block: Array) -> Array:
    """Place of the first maximum as a fraction of the window, 0 at its start."""
    return np.argmax(block, axis=1) / block.shape[1]  # type: ignore[no-any-return]


def longest_below_mean(block: Array) -> Array:
    """Length in rows of the longest run of values below the mean of the window."""
    below = block < np.mean(block, axis=1)[:, None]
    run = np.zeros(len(block))
    longest = np.zeros(len(block))
    for column in below.T:
        run = (run + 1.0) * column
        np.maximum(longest, run, out=longest)
    return longest


def skew(block: Array, *, bias: bool) -> Array:
    """Skewness as scipy.stats.skew gives it: NaN where the window is flat to rounding."""
    count = block.shape[1]
    m2, cubes, flat = _central_moments(block, 3)
    result = np.where(flat, np.nan, cubes / m2**1.5)
    if bias or count <= 2:  # noqa: PLR2004 - the correction needs three values
        return result
    return np.sqrt((count - 1.0) * count) / (count - 2.0) * result  # type: ignore[no-any-return]


def pearson_kurtosis(block: Array, *, bias_flag: bool) -> Array:
    """Kurtosis as the legacy bot calls scipy's: its `bias` parameter lands on scipy's `fisher`.

    So the value is never bias-corrected, and 3 is subtracted only where `bias` is true. Kept in both
    dialects, because models were trained on it and it does not look ahead.
    """
    m2, fourths, flat = _central_moments(block, 4)
    result = np.where(flat, np.nan, fourths / m2**2.0)
    return result - 3.0 if bias_flag else result


def pandas_skew(block: Array) -> Array:
    """Skewness as pandas.Series.skew gives it: observed values only, 0 where flat, NaN below three."""
    centred, count = _observed(block)
    m2, m3 = _zeroed((centred**2).sum(axis=1)), _zeroed((centred**3).sum(axis=1))
    result = (count * (count - 1) ** 0.5 / (count - 2)) * (m3 / m2**1.5)
    result = np.where(m2 == 0, 0.0, result)
    return np.where(count < 3, np.nan, result)  # noqa: PLR2004 - undefined below three values


def pandas_kurtosis(block: Array) -> Array:
    """Excess kurtosis as pandas.Series.kurtosis gives it: 0 where flat, NaN below four observed values."""
    centred, count = _observed(block)
    m2, m4 = (centred**2).sum(axis=1), (centred**4).sum(axis=1)
    adjustment = 3 * (count - 1) ** 2 / ((count - 2) * (count - 3))
    numerator = _zeroed(count * (count + 1) * (count - 1) * m4)
    denominator = _zeroed((count - 2) * (count - 3) * m2**2)
    result = np.where(denominator == 0, 0.0, numerator / denominator - adjustment)
    return np.where(count < 4, np.nan, result)  # noqa: PLR2004 - undefined below four values


def _central_moments(block: Array, order: int) -> tuple[Array, Array, Array]:
    """Return the second and the `order`-th central moment, and where the first is rounding alone."""
    centre = np.mean(block, axis=1)
    centred = block - centre[:, None]
    squares = centred * centred
    m2 = np.mean(squares, axis=1)
    higher = np.mean(squares * (centred if order == 3 else squares), axis=1)  # noqa: PLR2004 - the order itself
    flat = m2 <= (np.finfo(np.float64).eps * centre) ** 2
    return m2, higher, flat


def _observed(block: Array) -> tuple[Array, Array]:
    """Return the deviations from the mean, 0 where not observed, and the number observed."""
    missing = np.isnan(block)
    centred = block - mean(block)[:, None]
    centred[missing] = 0.0
    return centred, (~missing).sum(axis=1).astype(np.float64)


def _zeroed(moment: Array) -> Array:
    """Moments below 1e-14 are rounding: pandas counts them as zero."""
    return np.where(np.abs(moment) < 1e-14, 0.0, moment)  # noqa: PLR2004 - pandas' own bound
