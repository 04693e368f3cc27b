"""Standardised inputs of a model, and how much each of them moves its answer.

What is computed from the inputs belongs to the algorithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from itb_assets.domain.training.protocol import Floats

PROBE_ROWS = 100
"""Training rows, evenly spread, on which the importance of the features is looked at."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and standard deviation of each feature in the training rows; 0 and 1 where nothing is scaled."""

    mean: Floats
    scale: Floats

    def apply(self, x: Floats) -> Floats:
        """Return the rows standardised; the same bits as scikit-learn's StandardScaler."""
        scaled: Floats = (x - self.mean) / self.scale
        return scaled


def fit_scale(x: Floats, *, is_scale: bool) -> Scale:
    """Return the scale of these rows, or the one that changes nothing."""
    if not is_scale:
        return Scale(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    scaler = StandardScaler().fit(x)
    return Scale(scaler.mean_, scaler.scale_)


def moved_log_odds(log_odds: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Return how much one standard deviation of each feature moves the log-odds, the mean over some rows.

    A feature is moved half a deviation to either side of what it is; a constant feature moves nothing.
    """
    probe = x[np.linspace(0, len(x) - 1, min(PROBE_ROWS, len(x))).astype(np.int64)]
    moved = np.zeros(x.shape[1])
    for j, deviation in enumerate(x.std(axis=0)):
        low, high = probe.copy(), probe.copy()
        low[:, j] -= deviation / 2
        high[:, j] += deviation / 2
        moved[j] = np.abs(log_odds(high) - log_odds(low)).mean()
    return moved
