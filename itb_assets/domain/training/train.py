"""Walk-forward folds and the final fit for live use: parallel fits, the same on any number of threads.

What an algorithm does belongs to its own module; where the result is kept belongs to storage.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from itb_assets.domain.specs import AlgorithmSpec, WalkForwardSpec
from itb_assets.domain.training.estimators import make_estimator
from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.metrics import (
    Metrics,
    ScoredRows,
    calibration,
    measure,
    sample_of,
    signal_threshold,
)
from itb_assets.domain.training.protocol import Estimator, FittedModel, Floats
from itb_assets.domain.training.results import FoldResult, TrainedModel, TrainingSpec
from itb_assets.domain.training.table import Table, UsableRows, most_unknown, read_table, take, usable_rows
from itb_assets.domain.training.walk_forward import Window, purge_rows, walk_forward_windows
from itb_assets.errors import DataContractError

_Positions = npt.NDArray[np.int64]


def train_model(  # noqa: PLR0913 - one keyword for each thing a strategy states about training
    matrix: pd.DataFrame,
    *,
    features: Sequence[str],
    label: str,
    algorithm: AlgorithmSpec,
    walk_forward: WalkForwardSpec,
    label_horizon: int,
    label_horizon_rows: int,
    train_length: int | None = None,
    seed: int = 0,
    threads: int = 1,
) -> TrainedModel:
    """Train one label; the keywords are those of TrainingSpec, the rest is said at `train_models`."""
    spec = TrainingSpec(
        features=tuple(features),
        algorithm=algorithm,
        walk_forward=walk_forward,
        label_horizon=label_horizon,
        label_horizon_rows=label_horizon_rows,
        train_length=train_length,
        seed=seed,
    )
    return train_models(matrix, [label], spec, threads=threads)[label]


def train_models(
    matrix: pd.DataFrame, labels: Sequence[str], spec: TrainingSpec, *, threads: int = 1
) -> dict[str, TrainedModel]:
    """Evaluate by walk-forward and fit for live use, every label on the same features.

    `matrix` holds `timestamp`, the features (NaN for unknown) and the labels (boolean, NA for unknown), one
    row a kline. Rows with an unknown label or feature are not fitted. The final fit leaves out the last
    `label_horizon` rows even if their labels claim to be known: the legacy dialect calls them False.
    Labels known on the same rows share the binning of their features; every result equals that of a label
    trained alone, on any number of threads, bit for bit.

    Raises DataContractError on missing columns, too few usable rows or labels of one class, ConfigError on
    hyperparameters that do not exist.
    """
    estimator = make_estimator(spec.algorithm)
    table = read_table(matrix, spec.features, labels)
    plans = [_plan(table, rows, spec) for rows in usable_rows(table)]
    jobs = [job for plan in plans for job in plan.jobs]
    done = _run(estimator, table, jobs, seed=spec.seed, threads=threads)
    models = {}
    for plan in plans:
        for index, label in enumerate(plan.rows.labels):
            fits = [done[job][index] for job in plan.jobs]
            models[label] = _assemble(label, table, plan, fits, estimator, spec)
    return {label: models[label] for label in labels}


@dataclass(frozen=True, eq=False)
class _Job:
    """One fit for all labels of a group: packed rows to train on, table rows to score (final fit: none)."""

    name: str
    rows: UsableRows
    train: slice
    score: _Positions

    @property
    def n_train_rows(self) -> int:
        """Rows the fit gets."""
        return len(range(*self.train.indices(len(self.rows.positions))))


@dataclass(frozen=True, eq=False)
class _Fit:
    """A fitted model and its scores of the job's rows."""

    model: FittedModel
    scores: Floats


@dataclass(frozen=True, eq=False)
class _Plan:
    """The folds of one group of labels, oldest first, and the final fit as the last job."""

    rows: UsableRows
    windows: tuple[Window, ...]
    jobs: tuple[_Job, ...]


def _plan(table: Table, rows: UsableRows, spec: TrainingSpec) -> _Plan:
    """Lay out the fits of one group of labels."""
    n = len(rows.positions)
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    try:
        windows = walk_forward_windows(n, spec.walk_forward, purge, train_length=spec.train_length)
    except DataContractError as error:
        unknown = most_unknown(table, spec.features)
        hint = f"; of {len(table.x)} rows in all, unknown in {unknown}" if unknown else ""
        raise DataContractError(f"labels {', '.join(rows.labels)}: {error}{hint}") from error
    final_end = int(np.searchsorted(rows.positions, len(table.x) - (purge - 1)))
    final_start = max(0, final_end - spec.train_length) if spec.train_length else 0
    jobs = [
        _Job(
            f"fold {w.fold}",
            rows,
            _thinned(w.train_start, w.train_end, spec),
            _scored_positions(table, rows, w),
        )
        for w in windows
    ]
    nothing = np.empty(0, dtype=np.int64)
    jobs.append(_Job("final fit", rows, _thinned(final_start, final_end, spec), nothing))
    return _Plan(rows, windows, tuple(jobs))


def _thinned(start: int, end: int, spec: TrainingSpec) -> slice:
    """Apply the algorithm's own `every_nth_row`, then its `length`, to packed rows [start, end)."""
    _, _, params = read_algorithm(spec.algorithm)
    step, length = params["every_nth_row"], params["length"]
    count = len(range(start, end, step))
    skipped = max(0, count - length) if length else 0
    return slice(start + skipped * step, end, step)


def _scored_positions(table: Table, rows: UsableRows, window: Window) -> _Positions:
    """Return the rows of a window with every feature known; their label may be unknown, beside a gap."""
    first = rows.positions[window.score_start]
    after = window.score_end
    end = rows.positions[after] if after < len(rows.positions) else rows.positions[-1] + 1
    positions: _Positions = first + np.flatnonzero(table.complete[first:end])
    return positions


def _run(
    estimator: Estimator, table: Table, jobs: Sequence[_Job], *, seed: int, threads: int
) -> dict[_Job, list[_Fit]]:
    """Run every job, the longest first, and return its fits, one a label."""

    def run(job: _Job) -> list[_Fit]:
        x = job.rows.x[job.train]
        targets = [job.rows.y[label][job.train] for label in job.rows.labels]
        try:
            models = estimator.fit_many(x, targets, seed=seed)
        except DataContractError as error:
            raise DataContractError(f"labels {', '.join(job.rows.labels)}, {job.name}: {error}") from error
        scored = take(table.x, job.score)
        return [_Fit(model, model.predict(scored)) for model in models]

    longest_first = sorted(jobs, key=lambda job: -job.n_train_rows)
    with warnings.catch_warnings():  # one place, outside the threads: the filters are shared by all of them
        warnings.simplefilter("ignore", ConvergenceWarning)  # told to people through `notes`
        with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
            return dict(zip(longest_first, pool.map(run, longest_first), strict=True))


def _assemble(
    label: str, table: Table, plan: _Plan, fits: Sequence[_Fit], estimator: Estimator, spec: TrainingSpec
) -> TrainedModel:
    """Measure the folds and put everything about one label together."""
    *fold_fits, final = fits
    *fold_jobs, final_job = plan.jobs
    thresholds = _earlier_thresholds(fold_fits)
    fold_rows = [_scored_rows(label, table, job, fit) for job, fit in zip(fold_jobs, fold_fits, strict=True)]
    pooled = _pool(fold_rows)
    limits = np.repeat(
        [np.nan if limit is None else limit for limit in thresholds], [len(rows) for rows in fold_rows]
    )
    train_start, train_end = _span(table, final_job)
    notes = [(job.name, fit.model.note) for job, fit in zip(plan.jobs, fits, strict=True)]
    return TrainedModel(
        label=label,
        algorithm=spec.algorithm,
        features=tuple(spec.features),
        hyperparameters=estimator.hyperparameters(spec.seed),
        payload={**final.model.to_payload(), "features": list(spec.features)},
        train_start=train_start,
        train_end=train_end,
        n_train_rows=final_job.n_train_rows,
        n_positive=int(final_job.rows.y[label][final_job.train].sum()),
        purge_rows=plan.windows[0].purge_rows,
        window_rows_used=plan.windows[0].score_end - plan.windows[0].score_start,
        seed=spec.seed,
        folds=tuple(
            _fold(table, job, fold, measure(rows, threshold))
            for fold, (job, rows, threshold) in enumerate(zip(fold_jobs, fold_rows, thresholds, strict=True))
        ),
        metrics=measure(pooled, limits),
        signal_threshold=signal_threshold(np.concatenate([fit.scores for fit in fold_fits])),
        calibration=calibration(pooled),
        importance=_importance(spec.features, final.model),
        scores=_scores_frame(label, table, fold_jobs, fold_fits),
        notes=tuple(f"{name}: {note}" for name, note in notes if note),
    )


def _scored_rows(label: str, table: Table, job: _Job, fit: _Fit) -> ScoredRows:
    """Take the scored rows whose label is known; their sample follows from the rows the model trained on."""
    known = table.known[label][job.score]
    rows = job.score[known]
    trained_until = int(job.rows.positions[job.train][-1]) + 1
    return ScoredRows(
        score=fit.scores[known],
        label=table.outcomes[label][rows],
        sample=sample_of(rows, trained_until=trained_until),
    )


def _pool(folds: Sequence[ScoredRows]) -> ScoredRows:
    return ScoredRows(
        score=np.concatenate([rows.score for rows in folds]),
        label=np.concatenate([rows.label for rows in folds]),
        sample=np.concatenate([rows.sample for rows in folds]),
    )


def _earlier_thresholds(fits: Sequence[_Fit]) -> list[float | None]:
    """Choose each fold's threshold on the scores of the folds before it: the first has none."""
    empty = np.empty(0, dtype=np.float64)
    return [
        signal_threshold(np.concatenate([empty, *(fit.scores for fit in fits[:fold])]))
        for fold in range(len(fits))
    ]


def _span(table: Table, job: _Job) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the half-open time span of a job's training rows."""
    positions = job.rows.positions[job.train]
    return table.timestamps[positions[0]], table.timestamps[positions[-1]] + table.bar


def _fold(table: Table, job: _Job, fold: int, metrics: Metrics) -> FoldResult:
    train_start, train_end = _span(table, job)
    return FoldResult(
        fold=fold,
        train_start=train_start,
        train_end=train_end,
        score_start=table.timestamps[job.score[0]],
        score_end=table.timestamps[job.score[-1]] + table.bar,
        n_train_rows=job.n_train_rows,
        metrics=metrics,
    )


def _importance(features: Sequence[str], model: FittedModel) -> dict[str, float]:
    """Return the importance by feature, the greatest first."""
    values = model.feature_importance()
    order = np.argsort(-values, kind="stable")
    return {features[j]: float(values[j]) for j in order}


def _scores_frame(label: str, table: Table, jobs: Sequence[_Job], fits: Sequence[_Fit]) -> pd.DataFrame:
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
