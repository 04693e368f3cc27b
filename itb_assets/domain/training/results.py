"""What a training is asked for and what it returns: frozen values, ready to be stored and shown.

Computing them belongs to `train`; where they are written belongs to storage.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from itb_assets.domain.specs import AlgorithmSpec, CrossValidationSpec, WalkForwardSpec
from itb_assets.domain.training.metrics import CalibrationBin, Metrics


@dataclass(frozen=True)
class TrainingSpec:
    """How to train one algorithm of a strategy.

    `label_horizon` is the strategy's own statement, `label_horizon_rows` what its labels really read, both in
    rows; `train_length` limits the rows of every fit, None or 0 for all; the order of `features` stays.
    `cross_validation` asks for k-fold evidence beside the walk-forward one.
    """

    features: tuple[str, ...]
    algorithm: AlgorithmSpec
    walk_forward: WalkForwardSpec
    label_horizon: int
    label_horizon_rows: int
    train_length: int | None = None
    seed: int = 0
    cross_validation: CrossValidationSpec | None = None


@dataclass(frozen=True)
class FoldResult:
    """One walk-forward window: trained on [train_start, train_end), scored on [score_start, score_end)."""

    fold: int
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    score_start: pd.Timestamp
    score_end: pd.Timestamp
    n_train_rows: int
    metrics: Metrics


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Evidence of purged, embargoed k-fold; a fold's `train_start` and `train_end` span both its sides.

    `metrics` pools all rows, each judged at the threshold of the other folds. `auc_spread` is the standard
    deviation of the folds' AUC. `scores` is laid out as TrainedModel's.
    """

    folds: tuple[FoldResult, ...]
    purge_rows: int
    embargo_rows: int
    metrics: Metrics
    auc_spread: float | None
    scores: pd.DataFrame
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything measured as plain JSON data; every number is out of sample."""
        return {
            "sample": "out_of_sample",
            "overall": self.metrics.as_dict(),
            "auc_spread": self.auc_spread,
            "folds": [_fold_document(fold) for fold in self.folds],
            "purge_rows": self.purge_rows,
            "embargo_rows": self.embargo_rows,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model for live use, with the walk-forward evidence of what it is worth.

    `payload` is plain data. `train_start` and `train_end` bound the final fit, half-open. `metrics` pools all
    out-of-sample rows. `signal_threshold` is the score the top 5 % of them reach. `scores` holds `timestamp`,
    `score`, `fold` and `outcome` (the label, NA where unknown): out-of-sample rows by construction. `notes`
    is what a person should know of the fits. `leaderboard` lists what the final fit's search tried, the best
    first: rank, trial, algo, params, metric, value, windows, state, seconds; None where nothing was searched.
    """

    label: str
    algorithm: AlgorithmSpec
    features: tuple[str, ...]
    hyperparameters: dict[str, Any]
    payload: dict[str, Any]
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    n_train_rows: int
    n_positive: int
    purge_rows: int
    window_rows_used: int
    seed: int
    folds: tuple[FoldResult, ...]
    metrics: Metrics
    signal_threshold: float | None
    calibration: tuple[CalibrationBin, ...]
    importance: dict[str, float]
    scores: pd.DataFrame
    notes: tuple[str, ...] = ()
    leaderboard: tuple[dict[str, Any], ...] | None = None
    cross_validation: CrossValidation | None = None

    @property
    def score_name(self) -> str:
        """Name the score column of this model in predictions and signals."""
        return f"{self.label}_{self.algorithm.name}"

    def metrics_json(self) -> dict[str, Any]:
        """Return everything measured as plain JSON data; every number is out of sample."""
        return {
            "sample": "out_of_sample",
            "overall": self.metrics.as_dict(),
            "folds": [_fold_document(fold) for fold in self.folds],
            "window_rows_used": self.window_rows_used,
            "purge_rows": self.purge_rows,
            "signal_threshold": self.signal_threshold,
            "calibration": [asdict(part) for part in self.calibration],
            "feature_importance": dict(self.importance),
            "notes": list(self.notes),
            "leaderboard": None if self.leaderboard is None else [dict(row) for row in self.leaderboard],
            "cross_validation": None if self.cross_validation is None else self.cross_validation.as_dict(),
        }


def _fold_document(fold: FoldResult) -> dict[str, Any]:
    times = ("train_start", "train_end", "score_start", "score_end")
    return {
        "fold": fold.fold,
        **{name: getattr(fold, name).isoformat() for name in times},
        "n_train_rows": fold.n_train_rows,
        **fold.metrics.as_dict(),
    }
