"""Numbers about scored rows, computed only where the model never saw the row.

Fitting and choosing rows belong to `train`; profit, fees and drawdown belong to the trades.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.evaluation.scores import average_precision, log_losses, rank, roc_auc
from itb_assets.domain.samples import sample_problems
from itb_assets.domain.training.protocol import Bools, Floats
from itb_assets.errors import DataContractError

CALIBRATION_BINS = 10
MIN_SIGNALS = 30
"""A win rate over fewer signals is not reported."""

SIGNAL_QUANTILE = 0.95
"""A signal is a score in the top 5 % of what earlier folds scored."""


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Rows with score, true label and sample; rows a model trained on, and mixtures, cannot be built."""

    score: Floats
    label: Bools
    sample: npt.NDArray[np.object_]

    def __post_init__(self) -> None:
        """Raise DataContractError unless every row is out of sample, or every row is live."""
        problems = []
        lengths = {len(self.score), len(self.label), len(self.sample)}
        if len(lengths) != 1:
            problems.append(
                f"{len(self.score)} scores, {len(self.label)} labels and {len(self.sample)} samples: "
                "expected one of each a row"
            )
        problems += sample_problems(self.sample)
        if not np.isfinite(self.score).all():
            problems.append(
                f"{int((~np.isfinite(self.score)).sum())} scores are NaN or inf: drop those rows first"
            )
        if problems:
            raise DataContractError("rows cannot be measured: " + "; ".join(problems))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.score)

    @classmethod
    def of(cls, frame: pd.DataFrame, score: str, label: str) -> ScoredRows:
        """Take the rows of a frame with `sample` whose score and label are both known."""
        known = frame[score].notna() & frame[label].notna()
        rows = frame.loc[known]
        return cls(
            score=rows[score].to_numpy(np.float64),
            label=rows[label].to_numpy(np.bool_),
            sample=rows["sample"].to_numpy(object),
        )


def sample_of(rows: npt.NDArray[np.int64], *, trained_until: int) -> npt.NDArray[np.object_]:
    """Name each row's sample from the first row after the model's training rows, never by assumption."""
    return np.where(rows < trained_until, "in_sample", "out_of_sample").astype(object)


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar score: what was promised beside what came true."""

    rows: int
    low_score: float
    high_score: float
    mean_score: float
    positive_rate: float


@dataclass(frozen=True)
class Metrics:
    """What the scores of some rows are worth; None where the rows cannot tell.

    `auc` and `average_precision` need both classes. `threshold`, `precision` and `recall` speak of rows
    that have a threshold (see `measure`); `win_rate` is that precision, given from MIN_SIGNALS signals on.
    """

    rows: int
    positives: int
    base_rate: float | None
    auc: float | None
    average_precision: float | None
    log_loss: float | None
    brier: float | None
    threshold: float | None
    signals: int
    precision: float | None
    recall: float | None
    win_rate: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(vars(self))


def signal_threshold(earlier_scores: Floats, quantile: float = SIGNAL_QUANTILE) -> float | None:
    """Return the score that only the top 5 % of earlier scores reach; None without earlier scores."""
    return float(np.quantile(earlier_scores, quantile)) if len(earlier_scores) else None


def measure(rows: ScoredRows, thresholds: Floats | float | None = None) -> Metrics:
    """Measure the scores; `thresholds` is one for all rows or one a row, NaN where none is known yet.

    A threshold must have been chosen on earlier rows: the caller answers for that.
    """
    n, positive = len(rows), int(rows.label.sum())
    ranking = rank(rows.score, rows.label)
    limits = np.full(n, np.nan if thresholds is None else thresholds, dtype=np.float64)
    judged = np.isfinite(limits)
    signal = judged & (rows.score >= limits)
    hits, n_signals, wanted = int(rows.label[signal].sum()), int(signal.sum()), int(rows.label[judged].sum())
    precision = hits / n_signals if n_signals else None
    one = np.unique(limits[judged])
    return Metrics(
        rows=n,
        positives=positive,
        base_rate=positive / n if n else None,
        auc=roc_auc(ranking),
        average_precision=average_precision(ranking),
        log_loss=float(log_losses(rows.score, rows.label).mean()) if n else None,
        brier=float(np.mean((rows.score - rows.label) ** 2)) if n else None,
        threshold=float(one[0]) if len(one) == 1 else None,
        signals=n_signals,
        precision=precision,
        recall=hits / wanted if wanted else None,
        win_rate=precision if n_signals >= MIN_SIGNALS else None,
    )


def calibration(rows: ScoredRows, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """Cut the rows into bins of equal size by score, lowest first; fewer bins for fewer rows than `bins`."""
    order = np.argsort(rows.score, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(
        CalibrationBin(
            rows=len(part),
            low_score=float(rows.score[part[0]]),
            high_score=float(rows.score[part[-1]]),
            mean_score=float(rows.score[part].mean()),
            positive_rate=float(rows.label[part].mean()),
        )
        for part in parts
    )
