"""Which fits one training makes: walk-forward folds and the final one, as row slices and plain arrays.

Fitting itself is measured in the three ways; nothing here is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import inputs
import numpy as np
import pandas as pd
from measure import Job

from itb_assets.domain.training.estimators import make_estimator
from itb_assets.domain.training.walk_forward import purge_rows, walk_forward_windows

SEED = 7


@dataclass(frozen=True)
class Fit:
    """Rows to train on and rows to score afterwards; the final fit scores none."""

    train: slice
    score: slice


@dataclass(frozen=True)
class FitPlan:
    """Usable rows as arrays, and the fits that every label gets."""

    x: np.ndarray[Any, np.dtype[np.float64]]
    outcomes: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]
    fits: tuple[Fit, ...]


def training_matrix(job: Job) -> pd.DataFrame:
    """Return the newest rows of the matrix, as many as the strategy's training reads."""
    chosen = inputs.strategy()
    evaluated = chosen.walk_forward.folds * chosen.walk_forward.window_rows
    purge = chosen.label_horizon + inputs.label_plan().horizon_rows
    rows = (chosen.train_length or job.rows) + evaluated + 2 * purge
    columns = ["timestamp", *chosen.train_features, *chosen.labels]
    return inputs.load(job, "matrix")[columns].tail(rows).reset_index(drop=True)


def fit_plan(job: Job) -> FitPlan:
    """Lay out the same windows that our training cuts."""
    chosen, matrix = inputs.strategy(), training_matrix(job)
    usable = matrix.dropna()
    purge = purge_rows(chosen.label_horizon, inputs.label_plan().horizon_rows)
    length = chosen.train_length
    windows = walk_forward_windows(len(usable), chosen.walk_forward, purge, train_length=length)
    fits = [
        Fit(slice(window.train_start, window.train_end), slice(window.score_start, window.score_end))
        for window in windows
    ]
    end = int(np.searchsorted(usable.index, len(matrix) - (purge - 1)))
    fits.append(Fit(slice(max(0, end - length) if length else 0, end), slice(0, 0)))
    return FitPlan(
        x=np.ascontiguousarray(usable[list(chosen.train_features)].to_numpy(dtype=np.float64)),
        outcomes={label: usable[label].to_numpy(dtype=np.float32) for label in chosen.labels},
        fits=tuple(fits),
    )


def native_parameters() -> dict[str, Any]:
    """Return LightGBM's own parameters as the strategy's algorithm sets them."""
    estimator = make_estimator(inputs.strategy().algorithms[0])
    return dict(estimator.hyperparameters(SEED))
