"""Which fits one training makes: a fold for each walk-forward window, and the final fit for live use.

Cutting the windows belongs to `walk_forward`, running the fits to `fits`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb_assets.domain.training.fits import Job, scored_positions, thinned
from itb_assets.domain.training.results import TrainingSpec
from itb_assets.domain.training.table import Table, UsableRows, most_unknown
from itb_assets.domain.training.walk_forward import Window, purge_rows, train_limit, walk_forward_windows
from itb_assets.errors import DataContractError


@dataclass(frozen=True, eq=False)
class WalkForward:
    """The fits of one group of labels: the folds, oldest first, and the final one."""

    rows: UsableRows
    windows: tuple[Window, ...]
    folds: tuple[Job, ...]
    final: Job


def plan_walk_forward(table: Table, rows: UsableRows, spec: TrainingSpec) -> WalkForward:
    """Lay out the fits; DataContractError names the labels and the features that leave too few rows."""
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    try:
        windows = walk_forward_windows(
            len(rows.positions), spec.walk_forward, purge, train_length=spec.train_length
        )
    except DataContractError as error:
        unknown = most_unknown(table, spec.features)
        hint = f"; of {len(table.x)} rows in all, unknown in {unknown}" if unknown else ""
        raise DataContractError(f"labels {', '.join(rows.labels)}: {error}{hint}") from error
    folds = tuple(
        Job(
            f"fold {window.fold}",
            rows,
            thinned(np.arange(window.train_start, window.train_end, dtype=np.int64), spec),
            scored_positions(table, rows, window.score_start, window.score_end),
        )
        for window in windows
    )
    return WalkForward(rows, windows, folds, final_job(table, rows, spec))


def final_job(table: Table, rows: UsableRows, spec: TrainingSpec) -> Job:
    """Return the fit for live use: the newest rows whose labels cannot change any more, none scored."""
    purge = purge_rows(spec.label_horizon, spec.label_horizon_rows)
    end = int(np.searchsorted(rows.positions, len(table.x) - (purge - 1)))
    limit = train_limit(spec.walk_forward, spec.train_length)
    start = max(0, end - limit) if limit else 0
    train = thinned(np.arange(start, end, dtype=np.int64), spec)
    return Job("final fit", rows, train, np.empty(0, dtype=np.int64))
