"""Several models beside each other on the rows all of them scored.

Deciding between two of them by a test belongs to `compare`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.arrays import Bools, Floats
from itb_assets.domain.evaluation.block_bootstrap import block_rows, mean_deviations
from itb_assets.domain.evaluation.compare import MIN_BLOCKS, MIN_OF_A_CLASS, MIN_ROWS, chance, known_rows
from itb_assets.domain.evaluation.scores import (
    Ranking,
    auc_influence,
    average_precision,
    log_losses,
    rank,
    roc_auc,
)
from itb_assets.domain.samples import require_one_sample
from itb_assets.errors import DataContractError

LEADERBOARD_COLUMNS = (
    "rank",
    "model",
    "sample",
    "rows",
    "positives",
    "base_rate",
    "auc",
    "auc_low",
    "auc_high",
    "behind_best",
    "p_behind",
    "average_precision",
    "log_loss",
    "log_loss_skill",
    "brier",
)


def compare_many(
    frames: Mapping[str, pd.DataFrame], *, min_rows: int = MIN_ROWS, seed: int = 0
) -> pd.DataFrame:
    """Return one row a model, LEADERBOARD_COLUMNS, the best first, all measured on their common timestamps.

    Frames are those of `compare_scores`, by the name of the model; each is held against its own outcomes, so
    models of different labels or symbols may stand together. They are ranked by AUC, which does not ask how
    often a label comes true. `auc_low` and `auc_high` bound it at 95 %, two-sided; `behind_best` is the AUC
    missing to the first, `p_behind` the chance of missing as much were both as good, uncorrected for how
    many are compared: both from a block bootstrap. `log_loss_skill` is what of the base rate's log loss the
    model spares, below 0 where it is worse than always saying the base rate.

    Where the common rows are too few for a verdict of `compare_scores`, ranks and bounds are NA and models
    stay in the order they came. Raises DataContractError as `compare_scores`, and without any model.
    """
    if not frames:
        raise DataContractError("no model to compare: expected scores of at least one")
    known = {name: known_rows(frame, name).set_index("timestamp") for name, frame in frames.items()}
    common = reduce(pd.Index.intersection, (rows.index for rows in known.values())).sort_values()
    if not len(common) and len(known) > 1:
        raise DataContractError(
            f"no timestamp was scored by all of {', '.join(known)}: expected common rows; name fewer models"
        )
    samples, scores, labels = [], [], []
    for name, rows in known.items():
        here = rows.loc[common]
        samples.append(_sample(here, name))
        scores.append(here["score"].to_numpy(np.float64))
        labels.append(here["outcome"].to_numpy(np.bool_))
    rankings = [rank(score, label) for score, label in zip(scores, labels, strict=True)]
    table = pd.DataFrame(
        [_numbers(*one) for one in zip(scores, labels, rankings, strict=True)],
        index=pd.RangeIndex(len(known)),
    ).assign(model=list(known), sample=samples)
    table = _ranked(table, rankings, labels, min_rows=min_rows, seed=seed)
    return table[list(LEADERBOARD_COLUMNS)]


def _sample(rows: pd.DataFrame, name: str) -> str:
    try:
        return require_one_sample(rows["sample"])
    except DataContractError as error:
        raise DataContractError(f"{name}: {error}") from error


def _numbers(score: Floats, label: Bools, ranking: Ranking) -> dict[str, float]:
    """Return what is told of one model alone; NaN where its rows cannot tell."""
    n, positives = len(label), int(label.sum())
    losses = float(log_losses(score, label).mean()) if n else math.nan
    rate = positives / n if n else math.nan
    floor = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)) if ranking.both_classes else math.nan
    auc, precision = roc_auc(ranking), average_precision(ranking)
    return {
        "rows": n,
        "positives": positives,
        "base_rate": rate,
        "auc": math.nan if auc is None else auc,
        "average_precision": math.nan if precision is None else precision,
        "log_loss": losses,
        "log_loss_skill": 1 - losses / floor,
        "brier": float(np.mean((score - label) ** 2)) if n else math.nan,
    }


def _ranked(
    table: pd.DataFrame, rankings: list[Ranking], labels: list[Bools], *, min_rows: int, seed: int
) -> pd.DataFrame:
    """Add rank and bounds, and sort, where the rows allow it."""
    table = table.assign(
        rank=pd.array([pd.NA] * len(table), dtype="Int64"),
        **dict.fromkeys(("auc_low", "auc_high", "behind_best", "p_behind"), np.nan),
    )
    n = int(table["rows"].iloc[0])
    fewest = int(np.minimum(table["positives"], table["rows"] - table["positives"]).min())
    if n < min_rows or fewest < MIN_OF_A_CLASS:
        return table
    moved = np.column_stack([auc_influence(*one) for one in zip(rankings, labels, strict=True)])
    length = max(block_rows(column) for column in moved.T)
    if n < MIN_BLOCKS * length:
        return table
    deviations = mean_deviations(moved, rows_a_block=length, seed=seed)
    auc = table["auc"].to_numpy(np.float64)
    best = int(auc.argmax())
    behind = auc[best] - auc
    apart = deviations[:, [best]] - deviations
    low, high = np.quantile(deviations, [0.025, 0.975], axis=0)
    table = table.assign(
        auc_low=auc - high,
        auc_high=auc - low,
        behind_best=behind,
        p_behind=[chance(column >= gap) for column, gap in zip(apart.T, behind, strict=True)],
    )
    table = table.sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    return table.assign(rank=pd.array(range(1, len(table) + 1), dtype="Int64"))
