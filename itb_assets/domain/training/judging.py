"""From the fits of the folds to evidence: thresholds no fold chose for itself, metrics, folds, scores.

Running the fits belongs to `fits`; the metrics themselves belong to `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.training.fits import Fit, Job, Positions
from itb_assets.domain.training.metrics import Metrics, ScoredRows, measure, sample_of, signal_threshold
from itb_assets.domain.training.results import FoldResult
from itb_assets.domain.training.table import Table

SampleNames = npt.NDArray[np.object_]
SampleOf = Callable[[Job, Positions], SampleNames]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the folds of one label are worth, each alone and all together, and every scored row."""

    folds: tuple[FoldResult, ...]
    metrics: Metrics
    pooled: ScoredRows
    scores: pd.DataFrame


def judge(
    label: str,
    table: Table,
    jobs: Sequence[Job],
    fits: Sequence[Fit],
    *,
    thresholds: Sequence[float | None],
    sample: SampleOf,
) -> Judged:
    """Measure every fold at its threshold and all folds together; `sample` tells what a job's rows are."""
    rows = [_scored_rows(label, table, job, fit, sample) for job, fit in zip(jobs, fits, strict=True)]
    pooled = ScoredRows(
        score=np.concatenate([part.score for part in rows]),
        label=np.concatenate([part.label for part in rows]),
        sample=np.concatenate([part.sample for part in rows]),
    )
    limits = np.repeat(
        [np.nan if limit is None else limit for limit in thresholds], [len(part) for part in rows]
    )
    return Judged(
        folds=tuple(
            _fold(table, job, fold, measure(part, threshold))
            for fold, (job, part, threshold) in enumerate(zip(jobs, rows, thresholds, strict=True))
        ),
        metrics=measure(pooled, limits),
        pooled=pooled,
        scores=_scores_frame(label, table, jobs, fits),
    )


def earlier_thresholds(fits: Sequence[Fit]) -> list[float | None]:
    """Choose each fold's threshold on the scores of the folds before it: the first has none."""
    return [_threshold(fits[:fold]) for fold in range(len(fits))]


def others_thresholds(fits: Sequence[Fit]) -> list[float | None]:
    """Choose each fold's threshold on the scores of all other folds."""
    return [_threshold([*fits[:fold], *fits[fold + 1 :]]) for fold in range(len(fits))]


def sample_after_training(job: Job, rows: Positions) -> SampleNames:
    """Call every row up to the last one trained on in-sample, whether it was trained on or not."""
    return sample_of(rows, trained_until=int(job.rows.positions[job.train[-1]]) + 1)


def sample_beside_training(job: Job, rows: Positions) -> SampleNames:
    """Call exactly the rows trained on in-sample."""
    trained = np.isin(rows, job.rows.positions[job.train])
    return np.where(trained, "in_sample", "out_of_sample").astype(object)


def span(table: Table, job: Job) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the half-open time span of a job's training rows."""
    positions = job.rows.positions[job.train]
    return table.timestamps[positions[0]], table.timestamps[positions[-1]] + table.bar


def notes_of(jobs: Sequence[Job], fits: Sequence[Fit]) -> tuple[str, ...]:
    """Return what the fitted models have to say, each under the name of its job."""
    notes = [(job.name, fit.model.note) for job, fit in zip(jobs, fits, strict=True)]
    return tuple(f"{name}: {note}" for name, note in notes if note)


def _threshold(fits: Sequence[Fit]) -> float | None:
    return signal_threshold(np.concatenate([np.empty(0), *(fit.scores for fit in fits)]))


def _scored_rows(label: str, table: Table, job: Job, fit: Fit, sample: SampleOf) -> ScoredRows:
    """Take the scored rows whose label is known; their sample follows from the rows the model trained on."""
    known = table.known[label][job.score]
    rows = job.score[known]
    return ScoredRows(score=fit.scores[known], label=table.outcomes[label][rows], sample=sample(job, rows))


def _fold(table: Table, job: Job, fold: int, metrics: Metrics) -> FoldResult:
    train_start, train_end = span(table, job)
    return FoldResult(
        fold=fold,
        train_start=train_start,
        train_end=train_end,
        score_start=table.timestamps[job.score[0]],
        score_end=table.timestamps[job.score[-1]] + table.bar,
        n_train_rows=job.n_train_rows,
        metrics=metrics,
    )


def _scores_frame(label: str, table: Table, jobs: Sequence[Job], fits: Sequence[Fit]) -> pd.DataFrame:
    positions = np.concatenate([job.score for job in jobs])
    frame = pd.DataFrame(
        {
            "timestamp": table.timestamps[positions],
            "score": np.concatenate([fit.scores for fit in fits]),
            "fold": np.repeat(np.arange(len(jobs)), [len(job.score) for job in jobs]),
            "outcome": pd.array(table.outcomes[label][positions], dtype="boolean"),
        }
    )
    frame.loc[~table.known[label][positions], "outcome"] = pd.NA
    return frame
