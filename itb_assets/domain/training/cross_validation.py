"""Purged, embargoed k-fold over the rows the final fit is trained on: a second opinion beside walk-forward.

Which rows train and which are scored belongs to `kfold`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from itb_assets.domain.specs import CrossValidationSpec
from itb_assets.domain.training.estimators import make_estimator
from itb_assets.domain.training.fits import Fit, Job, run_jobs, scored_positions
from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.judging import judge, notes_of, others_thresholds, sample_beside_training
from itb_assets.domain.training.kfold import purged_kfold_windows
from itb_assets.domain.training.plan import final_job
from itb_assets.domain.training.protocol import FitContext
from itb_assets.domain.training.results import CrossValidation, TrainingSpec
from itb_assets.domain.training.table import Table, UsableRows, read_table, usable_rows
from itb_assets.domain.training.walk_forward import purge_rows
from itb_assets.errors import DataContractError


def cross_validate(
    matrix: pd.DataFrame,
    label: str,
    spec: TrainingSpec,
    folds: int,
    embargo_rows: int,
    *,
    threads: int = 1,
) -> CrossValidation:
    """Judge one label by purged, embargoed k-fold; the matrix and the errors are those of `train_models`.

    Only rows that the final fit would train on take part: its length limits hold here too.
    """
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    estimator = make_estimator(spec.algorithm, FitContext(purge, folds))
    table = read_table(matrix, spec.features, [label])
    rows = next(usable_rows(table))
    cross_validation = CrossValidationSpec(folds, embargo_rows)
    jobs = kfold_jobs(table, rows, spec, cross_validation)
    done = run_jobs(estimator, table, jobs, seed=spec.seed, threads=threads)
    return judge_folds(label, table, jobs, [done[job][0] for job in jobs], cross_validation, purge)


def kfold_jobs(
    table: Table, rows: UsableRows, spec: TrainingSpec, cross_validation: CrossValidationSpec
) -> tuple[Job, ...]:
    """Lay out one fit a fold over the span of the final fit's rows."""
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    last_fit = final_job(table, rows, spec).train
    first = int(last_fit[0]) if len(last_fit) else 0
    count = int(last_fit[-1]) + 1 - first if len(last_fit) else 0
    try:
        windows = purged_kfold_windows(count, cross_validation.folds, purge, cross_validation.embargo_rows)
    except DataContractError as error:
        raise DataContractError(f"labels {', '.join(rows.labels)}, cross-validation: {error}") from error
    _, _, params = read_algorithm(spec.algorithm)
    return tuple(
        Job(
            f"cross-validation fold {window.fold}",
            rows,
            first + window.train[:: params["every_nth_row"]],
            scored_positions(table, rows, first + window.score_start, first + window.score_end),
        )
        for window in windows
    )


def judge_folds(
    label: str,
    table: Table,
    jobs: Sequence[Job],
    fits: Sequence[Fit],
    cross_validation: CrossValidationSpec,
    purge: int,
) -> CrossValidation:
    """Measure the folds, each at the threshold of the others."""
    judged = judge(
        label, table, jobs, fits, thresholds=others_thresholds(fits), sample=sample_beside_training
    )
    aucs = [fold.metrics.auc for fold in judged.folds if fold.metrics.auc is not None]
    return CrossValidation(
        folds=judged.folds,
        purge_rows=purge,
        embargo_rows=cross_validation.embargo_rows,
        metrics=judged.metrics,
        auc_spread=float(np.std(aucs)) if aucs else None,
        scores=judged.scores,
        notes=notes_of(jobs, fits),
    )
