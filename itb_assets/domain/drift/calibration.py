"""Whether live probabilities fit what came true as well as they did out of sample: Brier score and gap.

Drift of the scores themselves, whatever came true, belongs to `population`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from itb_assets.domain.drift.evaluation import DriftEvaluation, Verdict, insufficient
from itb_assets.domain.drift.rows import Floats, Forecasts, require_sample
from itb_assets.errors import DataContractError, InputError

MIN_ROWS = 500
MIN_BLOCKS = 10
ALPHA = 0.003
"""Of one look: looks at a growing history, every day, add up."""


@dataclass(frozen=True)
class BlockMean:
    """A mean over rows and how far chance moves it, from the means of blocks of rows."""

    mean: float
    standard_error: float


@dataclass(frozen=True)
class CalibrationSummary:
    """How scores fit their labels: mean squared error (Brier), and mean score minus share that came true.

    Both are None with fewer than two blocks of `block_rows` rows.
    """

    brier: BlockMean | None
    gap: BlockMean | None
    base_rate: float
    n: int
    blocks: int
    block_rows: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CalibrationSummary:
        """Read what `as_dict` gave; raise DataContractError for anything else."""
        try:
            means = {
                name: None if stored[name] is None else BlockMean(**stored[name]) for name in ("brier", "gap")
            }
            return cls(**{**stored, **means})
        except (KeyError, TypeError) as error:
            raise DataContractError(
                f"not a stored summary of calibration ({error!r}): summarise the out-of-sample rows again"
            ) from error


def summarise_calibration(rows: Forecasts, *, block_rows: int) -> CalibrationSummary:
    """Return Brier score and gap with standard errors from means of blocks; a torn block joins another.

    Labels of neighbouring rows look at the same future: `block_rows` must be several times the label's
    horizon, and one day at least, for blocks to be as good as independent.
    """
    if block_rows < 1:
        raise InputError(f"block_rows = {block_rows}: expected 1 or more")
    n = len(rows)
    return CalibrationSummary(
        brier=_block_mean((rows.score - rows.label) ** 2, block_rows),
        gap=_block_mean(rows.score - rows.label, block_rows),
        base_rate=float(rows.label.mean()) if n else 0.0,
        n=n,
        blocks=n // block_rows,
        block_rows=block_rows,
    )


def evaluate_calibration(
    score: str, live: Forecasts, reference: CalibrationSummary
) -> tuple[DriftEvaluation, DriftEvaluation]:
    """Return `brier:{score}`, worse than out of sample, and `calibration_gap:{score}`, other than there.

    The threshold is what chance gives in 3 of 1,000 looks (Welch's t-test on block means; the gap's value is
    its distance from the reference's, so two-sided). The gap sees probabilities that became too high or too
    low much sooner than the Brier score. Raises DataContractError unless the rows are live.
    """
    require_sample(live.sample, "live", what=f"the rows of {score}")
    found = summarise_calibration(live, block_rows=reference.block_rows)
    names = f"brier:{score}", f"calibration_gap:{score}"
    missing = _missing(reference, found)
    if missing or not (found.brier and reference.brier and found.gap and reference.gap):
        value = None if found.brier is None else found.brier.mean
        return insufficient(names[0], found.n, missing, value=value), insufficient(names[1], found.n, missing)
    detail = (
        f"{found.base_rate:.1%} of {found.n:,} live rows came true, "
        f"{reference.base_rate:.1%} of {reference.n:,} out of sample"
    )
    worse = reference.brier.mean + _margin(reference.brier, found.brier, reference, found, ALPHA)
    moved = abs(found.gap.mean - reference.gap.mean)
    allowed = _margin(reference.gap, found.gap, reference, found, ALPHA / 2)
    return (
        DriftEvaluation(
            names[0],
            found.brier.mean,
            found.n,
            worse,
            _verdict(found.brier.mean, worse),
            f"{detail}; Brier score {reference.brier.mean:.4f} out of sample, "
            "which also moves when the share that comes true does",
        ),
        DriftEvaluation(
            names[1],
            moved,
            found.n,
            allowed,
            _verdict(moved, allowed),
            f"{detail}; score minus share that came true {found.gap.mean:+.4f} live, "
            f"{reference.gap.mean:+.4f} out of sample",
        ),
    )


def _block_mean(values: Floats, block_rows: int) -> BlockMean | None:
    blocks = len(values) // block_rows
    if blocks <= 1:
        return None
    starts = np.arange(blocks) * block_rows
    means = np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
    return BlockMean(float(values.mean()), float(means.std(ddof=1)) / math.sqrt(blocks))


def _missing(reference: CalibrationSummary, live: CalibrationSummary) -> str:
    """Say what keeps the measure from judging; empty when nothing does."""
    short = [
        f"{name} has {one.n:,} rows in {one.blocks} blocks of {one.block_rows:,}"
        for name, one in (("the reference", reference), ("live", live))
        if one.n < MIN_ROWS or one.blocks < MIN_BLOCKS
    ]
    return f"{' and '.join(short)}; both need {MIN_ROWS} rows and {MIN_BLOCKS} blocks" if short else ""


def _verdict(value: float, threshold: float) -> Verdict:
    return "warning" if value > threshold else "ok"


def _margin(
    one: BlockMean, other: BlockMean, first: CalibrationSummary, second: CalibrationSummary, alpha: float
) -> float:
    """Return by how much the second mean may exceed the first by chance (Welch); 0 where nothing varied."""
    parts = [(one.standard_error**2, first.blocks - 1), (other.standard_error**2, second.blocks - 1)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(part**2 / blocks for part, blocks in parts)
    return float(stdtrit(freedom, 1 - alpha)) * math.sqrt(variance)
