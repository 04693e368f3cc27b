"""Whether one model's scores are better than another's on the same rows, by a stated test.

Deciding what follows from the verdict belongs to whoever promotes models; the numbers of one model alone
belong to `scores` and `training.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.arrays import Bools, Floats, finite_floats
from itb_assets.domain.evaluation.block_bootstrap import block_rows, mean_deviations
from itb_assets.domain.evaluation.scores import auc_influence, log_losses, rank, roc_auc
from itb_assets.domain.samples import MeasurableSample, require_one_sample
from itb_assets.errors import DataContractError

Verdict = Literal["better", "not worse", "worse", "insufficient data"]

MIN_ROWS = 500
"""Fewer common rows give no verdict."""

MIN_BLOCKS = 20
"""Rows that remember so long that fewer blocks are left give none either."""

MIN_OF_A_CLASS = 20
"""Nor do rows with fewer outcomes of one kind."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Two models on the rows both scored; differences are candidate minus promoted, None without an answer.

    Log loss is in nats a row, less is better. `low` and `high` are one-sided 95 % bounds of the difference.
    `p_worse` is the chance of a log loss difference as large were the candidate as good, `p_better` of one
    as small. `block_rows` is the length of the blocks resampled.
    """

    rows: int
    positives: int
    promoted_sample: MeasurableSample
    candidate_sample: MeasurableSample
    log_loss_promoted: float | None
    log_loss_candidate: float | None
    log_loss_difference: float | None
    log_loss_low: float | None
    log_loss_high: float | None
    p_worse: float | None
    p_better: float | None
    auc_promoted: float | None
    auc_candidate: float | None
    auc_difference: float | None
    auc_low: float | None
    auc_high: float | None
    block_rows: int | None
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(vars(self))


def compare_scores(
    promoted: pd.DataFrame, candidate: pd.DataFrame, *, min_rows: int = MIN_ROWS, seed: int = 0
) -> Comparison:
    """Compare two models' scores of the same outcomes, on the timestamps both scored.

    Frames hold `timestamp`, `score` (a probability), `outcome` (boolean) and `sample`; rows with an unknown
    score or outcome are left out.

    The test: the mean difference of log loss, row by row, with its spread from a paired circular block
    bootstrap whose blocks are as long as the differences remember. The candidate is "worse" when the
    one-sided 95 % lower bound of the difference is above 0, "better" when the upper bound is below 0, else
    "not worse"; of two equally good models the candidate is called worse about once in twenty. The bounds of
    the AUC's difference come from the same blocks, by each row's influence on it; they decide nothing.
    "insufficient data" below `min_rows` rows, MIN_BLOCKS blocks or MIN_OF_A_CLASS outcomes of either kind.

    Raises DataContractError on samples that must not be measured, scores that are no probabilities,
    duplicate timestamps, or outcomes that are not the same for both.
    """
    both = known_rows(promoted, "promoted").merge(
        known_rows(candidate, "candidate"),
        on="timestamp",
        validate="1:1",
        suffixes=("_promoted", "_candidate"),
    )
    samples = [require_one_sample(both[f"sample_{who}"]) for who in ("promoted", "candidate")]
    label = both["outcome_promoted"].to_numpy(np.bool_)
    if differing := int((label != both["outcome_candidate"].to_numpy(np.bool_)).sum()):
        raise DataContractError(
            f"{differing} of {len(both)} outcomes differ between promoted and candidate: expected scores of "
            "one label; label definition or klines changed, score the promoted model again"
        )
    scores = [both[f"score_{who}"].to_numpy(np.float64) for who in ("promoted", "candidate")]
    return _compare(scores, label, samples, min_rows, seed)


def _compare(
    scores: list[Floats], label: Bools, samples: list[MeasurableSample], min_rows: int, seed: int
) -> Comparison:
    """Put numbers, bounds and verdict together."""
    losses = [log_losses(score, label) for score in scores]
    rankings = [rank(score, label) for score in scores]
    aucs = [roc_auc(ranking) for ranking in rankings]
    positives = int(label.sum())
    loss_difference = losses[1] - losses[0]
    numbers: dict[str, Any] = {
        "rows": len(label),
        "positives": positives,
        "promoted_sample": samples[0],
        "candidate_sample": samples[1],
        "log_loss_promoted": _mean(losses[0]),
        "log_loss_candidate": _mean(losses[1]),
        "log_loss_difference": _mean(loss_difference),
        "auc_promoted": aucs[0],
        "auc_candidate": aucs[1],
        "auc_difference": None if aucs[0] is None or aucs[1] is None else aucs[1] - aucs[0],
    }
    length = block_rows(loss_difference) if len(label) else 1
    few = min(positives, len(label) - positives) < MIN_OF_A_CLASS
    if few or len(label) < min_rows or len(label) < MIN_BLOCKS * length:
        unknown: dict[str, Any] = dict.fromkeys(_BOUNDS)
        return Comparison(**numbers, **unknown, block_rows=None, verdict="insufficient data")
    moved = auc_influence(rankings[1], label) - auc_influence(rankings[0], label)
    deviations = mean_deviations(np.column_stack([loss_difference, moved]), rows_a_block=length, seed=seed)
    bounds = _bounds(numbers["log_loss_difference"], numbers["auc_difference"], deviations)
    verdict: Verdict = "not worse"
    if bounds["log_loss_low"] > 0:
        verdict = "worse"
    elif bounds["log_loss_high"] < 0:
        verdict = "better"
    return Comparison(**numbers, **bounds, block_rows=length, verdict=verdict)


_BOUNDS = ("log_loss_low", "log_loss_high", "p_worse", "p_better", "auc_low", "auc_high")


def _bounds(loss_difference: float, auc_difference: float, deviations: Floats) -> dict[str, Any]:
    """Return the one-sided bounds and chances from deviations of the log loss and the AUC difference."""
    tails = [1 - CONFIDENCE, CONFIDENCE]
    (loss_low, auc_low), (loss_high, auc_high) = np.quantile(deviations, tails, axis=0)
    resampled = deviations[:, 0]
    values = (
        loss_difference - loss_high,
        loss_difference - loss_low,
        chance(resampled >= loss_difference),
        chance(resampled <= loss_difference),
        auc_difference - auc_high,
        auc_difference - auc_low,
    )
    return {name: float(value) for name, value in zip(_BOUNDS, values, strict=True)}


def chance(as_extreme: Bools) -> float:
    """Return the share of resampled results as extreme as the observed one, itself counted."""
    return (1 + int(as_extreme.sum())) / (1 + len(as_extreme))


def known_rows(frame: pd.DataFrame, who: str) -> pd.DataFrame:
    """Return the rows whose score and outcome are known; DataContractError naming `who` as `compare_scores`.

    The samples are left to be judged where it is known which rows are measured.
    """
    columns = ["timestamp", "score", "outcome", "sample"]
    if missing := [name for name in columns if name not in frame]:
        raise DataContractError(f"scores of {who} lack {', '.join(missing)}: expected {', '.join(columns)}")
    rows = frame.loc[frame["score"].notna() & frame["outcome"].notna(), columns]
    if repeated := int(rows["timestamp"].duplicated().sum()):
        raise DataContractError(f"{repeated} timestamps of {who} are there twice: expected one score a kline")
    score = finite_floats(rows["score"], f"scores of {who}")
    if outside := int(((score < 0) | (score > 1)).sum()):
        raise DataContractError(
            f"{outside} scores of {who} are outside 0 to 1: expected probabilities, as log loss needs"
        )
    return rows


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
