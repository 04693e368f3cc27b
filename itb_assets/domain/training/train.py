"""Training as a whole: walk-forward folds, cross-validation where asked for, and the final fit for live use.

What an algorithm does belongs to its own module; where the result is kept belongs to storage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from itb_assets.domain.specs import AlgorithmSpec, CrossValidationSpec, WalkForwardSpec
from itb_assets.domain.training.cross_validation import judge_folds, kfold_jobs
from itb_assets.domain.training.estimators import make_estimator
from itb_assets.domain.training.fits import Fit, Job, run_jobs, shortened
from itb_assets.domain.training.judging import (
    earlier_thresholds,
    judge,
    notes_of,
    sample_after_training,
    span,
)
from itb_assets.domain.training.metrics import calibration, signal_threshold
from itb_assets.domain.training.plan import WalkForward, plan_walk_forward
from itb_assets.domain.training.protocol import Estimator, FitContext, FittedModel, SearchedModel
from itb_assets.domain.training.results import TrainedModel, TrainingSpec
from itb_assets.domain.training.table import Table, read_table, usable_rows
from itb_assets.domain.training.walk_forward import purge_rows


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
    cross_validation: CrossValidationSpec | None = None,
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
        cross_validation=cross_validation,
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
    checked = spec.cross_validation
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    n_fits = spec.walk_forward.folds + 1 + (checked.folds if checked else 0)
    estimator = make_estimator(spec.algorithm, FitContext(purge, n_fits))
    table = read_table(matrix, spec.features, labels)
    plans = [plan_walk_forward(table, rows, spec) for rows in usable_rows(table)]
    beside = [kfold_jobs(table, plan.rows, spec, checked) if checked else () for plan in plans]
    jobs = [job for plan, more in zip(plans, beside, strict=True) for job in (*plan.folds, plan.final, *more)]
    done = run_jobs(estimator, table, jobs, seed=spec.seed, threads=threads)
    models = {}
    for plan, more in zip(plans, beside, strict=True):
        for index, label in enumerate(plan.rows.labels):
            fits = {job: done[job][index] for job in (*plan.folds, plan.final, *more)}
            model = _assemble(label, table, plan, fits, estimator, spec)
            if checked:
                found = judge_folds(label, table, more, [fits[job] for job in more], checked, purge)
                model = replace(model, cross_validation=found)
            models[label] = model
    return {label: models[label] for label in labels}


def _assemble(
    label: str,
    table: Table,
    plan: WalkForward,
    fits: Mapping[Job, Fit],
    estimator: Estimator,
    spec: TrainingSpec,
) -> TrainedModel:
    """Measure the folds and put everything about one label together."""
    fold_fits, final = [fits[job] for job in plan.folds], fits[plan.final]
    judged = judge(
        label,
        table,
        plan.folds,
        fold_fits,
        thresholds=earlier_thresholds(fold_fits),
        sample=sample_after_training,
    )
    train_start, train_end = span(table, plan.final)
    shortening = shortened(spec, len(plan.rows.positions))
    return TrainedModel(
        label=label,
        algorithm=spec.algorithm,
        features=tuple(spec.features),
        hyperparameters=estimator.hyperparameters(spec.seed),
        payload={**final.model.to_payload(), "features": list(spec.features)},
        train_start=train_start,
        train_end=train_end,
        n_train_rows=plan.final.n_train_rows,
        n_positive=int(plan.rows.y[label][plan.final.train].sum()),
        purge_rows=plan.windows[0].purge_rows,
        window_rows_used=plan.windows[0].score_end - plan.windows[0].score_start,
        seed=spec.seed,
        folds=judged.folds,
        metrics=judged.metrics,
        signal_threshold=signal_threshold(np.concatenate([fit.scores for fit in fold_fits])),
        calibration=calibration(judged.pooled),
        importance=_importance(spec.features, final.model),
        scores=judged.scores,
        notes=(
            *([shortening] if shortening else []),
            *notes_of([*plan.folds, plan.final], [*fold_fits, final]),
        ),
        leaderboard=final.model.leaderboard if isinstance(final.model, SearchedModel) else None,
    )


def _importance(features: Sequence[str], model: FittedModel) -> dict[str, float]:
    """Return the importance by feature, the greatest first."""
    values = model.feature_importance()
    order = np.argsort(-values, kind="stable")
    return {features[j]: float(values[j]) for j in order}
