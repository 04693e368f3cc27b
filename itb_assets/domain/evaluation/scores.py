"""How well scores order and price outcomes: AUC and average precision by one sort, log loss a row.

Rows are checked for their sample before they come here (`domain.samples`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from itb_assets.domain.evaluation.arrays import Bools, Counts, Floats
from itb_assets.errors import DataContractError

SMALLEST_PROBABILITY = 1e-15
"""Scores nearer than this to 0 or 1 are moved here before their logarithm is taken."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The rows counted by distinct score, lowest first; `order` sorts the rows so."""

    positives: Counts
    negatives: Counts
    order: Counts

    @property
    def both_classes(self) -> bool:
        """Whether there is anything to order."""
        return bool(self.positives.sum()) and bool(self.negatives.sum())

    def places(self) -> Counts:
        """Return each row's place among the distinct scores, lowest 0."""
        places = np.empty(len(self.order), dtype=np.int64)
        places[self.order] = np.repeat(np.arange(len(self.positives)), self.positives + self.negatives)
        return places


def rank(score: Floats, label: Bools) -> Ranking:
    """Sort once; equal scores share a place."""
    order = np.argsort(score)
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(score)])
    sizes = np.diff(starts, append=len(score))
    below = np.concatenate([[0], np.cumsum(label[order], dtype=np.int64)])
    positives = below[starts + sizes] - below[starts]
    return Ranking(positives, sizes - positives, order)


def roc_auc(ranking: Ranking) -> float | None:
    """Return the chance that a positive row scores above a negative one, ties half; None of one class."""
    if not ranking.both_classes:
        return None
    below = np.cumsum(ranking.negatives) - ranking.negatives
    twice = int((ranking.positives * (2 * below + ranking.negatives)).sum())
    return twice / (2 * int(ranking.positives.sum()) * int(ranking.negatives.sum()))


def average_precision(ranking: Ranking) -> float | None:
    """Return the precision at each score, weighted by the positives found there; None of one class."""
    if not ranking.both_classes:
        return None
    positives = ranking.positives[::-1]
    found = np.cumsum(positives)
    looked_at = np.cumsum((ranking.positives + ranking.negatives)[::-1])
    return float((positives * (found / looked_at)).sum() / found[-1])


def auc_influence(ranking: Ranking, label: Bools) -> Floats:
    """Return how much each row moves the AUC; the mean over all rows is 0.

    A mean of these over resampled rows is, to first order, what the AUC of those rows differs by: the
    placements of DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837. Raises DataContractError
    unless both classes are present.
    """
    auc = roc_auc(ranking)
    if auc is None:
        raise DataContractError(f"all {len(label)} outcomes are alike: expected both classes for an AUC")
    n_positive, n_negative = int(ranking.positives.sum()), int(ranking.negatives.sum())
    n = n_positive + n_negative
    negatives_below = np.cumsum(ranking.negatives) - ranking.negatives / 2
    positives_above = n_positive - np.cumsum(ranking.positives) + ranking.positives / 2
    of_positive = (negatives_below / n_negative - auc) * (n / n_positive)
    of_negative = (positives_above / n_positive - auc) * (n / n_negative)
    places = ranking.places()
    moved: Floats = np.where(label, of_positive[places], of_negative[places])
    return moved


def log_losses(score: Floats, label: Bools) -> Floats:
    """Return each row's negative log-likelihood, in nats."""
    p = np.clip(score, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    losses: Floats = -np.log(np.where(label, p, 1 - p))
    return losses
