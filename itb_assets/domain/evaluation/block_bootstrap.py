"""The spread of a mean of rows that depend on their neighbours: resampled in blocks, on a circle.

What the mean is of belongs to the caller; shifting rows against each other belongs to `luck`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft, stats

from itb_assets.domain.evaluation.arrays import Floats

REPLICATES = 1999
_QUIET_LAGS = 5
_MOST_BLOCKS = 2000
"""With so many blocks the spread is known to a fiftieth; longer series get longer blocks, and stay quick."""


def block_rows(values: Floats) -> int:
    """Return how long blocks must be to hold the dependence of `values`, one series.

    Twice what `shortest_blocks` gives: blocks of that length estimate a spread best on average and call it
    too small when rows remember long. At most a tenth of the rows.
    """
    return max(1, min(math.ceil(2 * shortest_blocks(values)), len(values) // 10))


def shortest_blocks(values: Floats) -> float:
    """Return the length that estimates the spread of the mean with the least squared error; at least 1.

    The rule of Politis and White (2004), Econometric Reviews 23:53, with the correction of Patton, Politis
    and White (2009), 28:372, for a circular bootstrap: the memory is taken to end where five lags in a row
    are insignificant.
    """
    n = len(values)
    lags = math.ceil(math.sqrt(n)) + _QUIET_LAGS
    if n <= 2 * lags or np.ptp(values) == 0:
        return 1.0
    covariance = _autocovariance(values, lags)
    limit = 2 * math.sqrt(math.log10(n) / n)
    quiet = np.abs(covariance[1:] / covariance[0]) < limit
    runs = np.flatnonzero(np.convolve(quiet, np.ones(_QUIET_LAGS), "valid") == _QUIET_LAGS)
    memory = int(runs[0]) if len(runs) else int(np.flatnonzero(~quiet)[-1]) + 1
    reach = min(2 * max(memory, 1), lags)
    k = np.arange(1, reach + 1)
    weights = np.clip(2 * (1 - k / reach), 0, 1)
    slope = 2 * float((weights * k * covariance[1 : reach + 1]).sum())
    spectrum = float(covariance[0] + 2 * (weights * covariance[1 : reach + 1]).sum())
    if spectrum <= 0:
        return 1.0
    return max(1.0, math.cbrt(1.5 * (slope / spectrum) ** 2 * n))


def mean_deviations(values: Floats, *, rows_a_block: int, seed: int) -> Floats:
    """Return how far means of resampled blocks lie from the mean: REPLICATES x columns of `values`.

    `values` is rows x columns, resampled together. Blocks start anywhere and run over the end into the
    beginning. Deviations are widened, as Student's t is, for the little that few blocks tell of their spread.
    """
    n = len(values)
    length = max(rows_a_block, math.ceil(n / _MOST_BLOCKS))
    count = math.ceil(n / length)
    starts = np.random.default_rng(seed).integers(0, n, size=(REPLICATES, count))
    centred = values - values.mean(axis=0)
    total = np.concatenate(
        [np.zeros((1, values.shape[1])), np.cumsum(np.vstack([centred, centred[:length]]), 0)]
    )
    sums = total[length : length + n] - total[:n]
    means = np.stack([column[starts].mean(axis=1) for column in sums.T], axis=1) / length
    freedom = max(count - 1, 1)
    student = float(stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95))
    widened: Floats = means * math.sqrt(count * length / n * count / freedom) * student
    return widened


def _autocovariance(values: Floats, lags: int) -> Floats:
    """Return the autocovariance at lag 0 to `lags`, over n."""
    n = len(values)
    size = fft.next_fast_len(n + lags, real=True)
    spectrum = fft.rfft(values - values.mean(), size)
    covariance: Floats = fft.irfft(np.abs(spectrum) ** 2, size)[: lags + 1] / n
    return covariance
