"""Rows with the dependence that klines, scores and labels have, for the tests of this folder."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import expit, ndtr


def remembering(rng, n, memory):
    """Return a standard normal series whose correlation from row to row is `memory`."""
    return lfilter([1], [1, -memory], rng.normal(size=n + 300))[300:] * np.sqrt(1 - memory**2)


def scored_frame(score, outcome, *, sample="out_of_sample", start="2024-01-01"):
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(start, periods=len(score), freq="5min", tz="UTC"),
            "score": np.asarray(score, dtype=np.float64),
            "outcome": pd.array(np.asarray(outcome, dtype=np.bool_), dtype="boolean"),
            "sample": pd.Series([sample] * len(score), dtype=object),
        }
    )


def two_models(seed, n, *, noise=(0.4, 0.4), memory=0.9):
    """Return the frames of two models that see the same truth through noise of their own."""
    rng = np.random.default_rng(seed)
    truth = 0.8 * remembering(rng, n, memory) - 1.2
    outcome = ndtr(remembering(rng, n, memory)) < expit(truth)
    scores = [expit(truth + size * remembering(rng, n, memory)) for size in noise]
    return tuple(scored_frame(score, outcome) for score in scores)
