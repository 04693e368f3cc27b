"""Purged, embargoed k-fold: every row scored once, by a model fitted before and after it but not beside it.

Row numbers only; fitting and measuring belong to `cross_validation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from itb_assets.errors import ConfigError, DataContractError


@dataclass(frozen=True)
class KFoldWindow:
    """One fold: rows [score_start, score_end) are scored, [0, before) and [after, n_rows) fit the model.

    What lies between is purged and embargoed.
    """

    fold: int
    score_start: int
    score_end: int
    before: int
    after: int
    n_rows: int

    @property
    def train(self) -> npt.NDArray[np.int64]:
        """Rows that fit the model, oldest first."""
        return np.concatenate([np.arange(self.before), np.arange(self.after, self.n_rows)]).astype(np.int64)


def purged_kfold_windows(
    n_rows: int, folds: int, purge_rows: int, embargo_rows: int
) -> tuple[KFoldWindow, ...]:
    """Cut `n_rows` rows into `folds` blocks in order of time, sizes differing by one at most.

    Left out of training: the `purge_rows` rows before a block, whose labels look into it; the `purge_rows`
    rows after it, into which its labels look; and `embargo_rows` more, whose features still remember it.
    ConfigError on folds below 2 or negative rows, DataContractError if a fold is left without training rows.
    """
    problems = [f"folds is {folds}: expected at least 2"] if folds < 2 else []  # noqa: PLR2004 - train and score
    found = {"purge_rows": purge_rows, "embargo_rows": embargo_rows}
    problems += [f"{name} is {value}: expected 0 or more" for name, value in found.items() if value < 0]
    if problems:
        raise ConfigError(problems)
    edges = [0, *np.cumsum([n_rows // folds + (fold < n_rows % folds) for fold in range(folds)]).tolist()]
    windows = tuple(
        KFoldWindow(
            fold=fold,
            score_start=start,
            score_end=end,
            before=max(0, start - purge_rows),
            after=min(n_rows, end + purge_rows + embargo_rows),
            n_rows=n_rows,
        )
        for fold, (start, end) in enumerate(pairwise(edges))
    )
    if n_rows < folds or any(window.before == 0 and window.after == n_rows for window in windows):
        raise DataContractError(
            f"{n_rows} usable rows in {folds} folds, {purge_rows} purged and {embargo_rows} embargoed: a "
            "fold is left without rows to train on; load more history, or lower folds or embargo_rows"
        )
    return windows
