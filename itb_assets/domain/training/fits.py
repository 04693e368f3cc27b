"""Fits side by side: which rows each trains on and scores, run on any number of threads with the same bits.

Which fits a training needs belongs to `train` and `cross_validation`; measuring them belongs to `judging`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.protocol import Estimator, FittedModel, Floats
from itb_assets.domain.training.results import TrainingSpec
from itb_assets.domain.training.table import Table, UsableRows, take
from itb_assets.domain.training.walk_forward import train_limit
from itb_assets.errors import DataContractError

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Job:
    """One fit for all labels of a group: packed rows to train on, table rows to score (final fit: none)."""

    name: str
    rows: UsableRows
    train: Positions
    score: Positions

    @property
    def n_train_rows(self) -> int:
        """Rows the fit gets."""
        return len(self.train)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model and its scores of the job's rows."""

    model: FittedModel
    scores: Floats


def thinned(rows: Positions, spec: TrainingSpec) -> Positions:
    """Apply the algorithm's own `every_nth_row`, then its `length`, to packed rows: the newest stay."""
    _, _, params = read_algorithm(spec.algorithm)
    chosen = rows[:: params["every_nth_row"]]
    return chosen[-params["length"] :] if params["length"] else chosen


def shortened(spec: TrainingSpec, n_rows: int) -> str | None:
    """Say that the algorithm's own default left rows out of a fit that could have had `n_rows`."""
    algo, _, params = read_algorithm(spec.algorithm)
    limit = train_limit(spec.walk_forward, spec.train_length)
    usable = -(-min(n_rows, limit or n_rows) // params["every_nth_row"])
    if "length" in spec.algorithm.params or not 0 < params["length"] < usable:
        return None
    return (
        f"{algo} is fitted on the newest {params['length']:,} of {usable:,} rows, as its time grows with the "
        "square of the rows: set params.length to choose, 0 for all"
    )


def scored_positions(table: Table, rows: UsableRows, start: int, end: int) -> Positions:
    """Return the table rows of packed rows [start, end) and between, with every feature known.

    The label of a row between them may be unknown, as beside a gap.
    """
    first = rows.positions[start]
    last = rows.positions[end] if end < len(rows.positions) else rows.positions[-1] + 1
    positions: Positions = first + np.flatnonzero(table.complete[first:last])
    return positions


def run_jobs(
    estimator: Estimator, table: Table, jobs: Sequence[Job], *, seed: int, threads: int
) -> dict[Job, list[Fit]]:
    """Run every job, the longest first, and return its fits, one a label.

    The maths libraries get one thread each meanwhile: their sums vary with the number of threads.
    """

    def run(job: Job) -> list[Fit]:
        x = take(job.rows.x, job.train)
        targets = [take(job.rows.y[label], job.train) for label in job.rows.labels]
        try:
            models = estimator.fit_many(x, targets, seed=seed)
        except DataContractError as error:
            raise DataContractError(f"labels {', '.join(job.rows.labels)}, {job.name}: {error}") from error
        scored = take(table.x, job.score)
        return [Fit(model, model.predict(scored)) for model in models]

    longest_first = sorted(jobs, key=lambda job: -job.n_train_rows)
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():  # once, outside the threads:
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # both are shared by all of them; notes tell people
        with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
            return dict(zip(longest_first, pool.map(run, longest_first), strict=True))
