"""Evidence against a win rate, trade by trade: log-likelihood ratios for one history or for many at once.

What is decided from it belongs to `sequential` and `win_rate`. Evidence is counted in whole UNITs, so that
continuing from a stored state gives the same bits as computing everything again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb_assets.domain.drift.rows import Bools, Floats, Ints
from itb_assets.errors import DataContractError, InputError

UNIT = 2.0**-40
"""Of a nat; 1e-12, with room for 8 million nats."""


@dataclass(frozen=True, eq=False)
class EvidencePath:
    """State after each trade (last axis); all whole numbers, evidence in UNITs.

    `evidence` is the log-likelihood ratio of p1 against p0 since the first trade, `highest` its maximum so
    far. `run_evidence` is the same since it was last zero or less (CUSUM), over `run_trades` and `run_wins`.
    """

    trades: Ints
    wins: Ints
    evidence: Ints
    highest: Ints
    run_trades: Ints
    run_wins: Ints
    run_evidence: Ints


@dataclass(frozen=True)
class EvidenceState:
    """Where one history stands: the last trade of an EvidencePath, plain numbers, zero before any trade."""

    trades: int = 0
    wins: int = 0
    evidence: int = 0
    highest: int = 0
    run_trades: int = 0
    run_wins: int = 0
    run_evidence: int = 0

    @classmethod
    def at_end_of(cls, path: EvidencePath, before: EvidenceState) -> EvidenceState:
        """Return the state after the last trade of one history; `before` when it has no trades."""
        if path.trades.shape[-1] == 0:
            return before
        return cls(**{name: int(values[-1]) for name, values in vars(path).items()})


def as_outcomes(outcomes: npt.ArrayLike) -> Bools:
    """Return the outcomes as booleans; raise DataContractError for anything else, NA and 0/1 included."""
    found = np.asarray(outcomes)
    if found.size == 0:
        return found.astype(np.bool_)
    if found.dtype != np.bool_:
        raise DataContractError(
            f"outcomes of dtype {found.dtype}: expected bool, True for a trade that won, none unknown"
        )
    return found


def evidence_steps(p0: float, p1: float) -> tuple[int, int]:
    """Return what a win and what a loss add, in UNITs; raise InputError unless 0 < p1 < p0 < 1."""
    if not 0 < p1 < p0 < 1:
        raise InputError(f"p0 = {p0} and p1 = {p1}: expected 0 < p1 < p0 < 1, p1 being the worse win rate")
    return round(math.log(p1 / p0) / UNIT), round(math.log((1 - p1) / (1 - p0)) / UNIT)


def in_nats(evidence: Ints) -> Floats:
    """Return evidence counted in UNITs as nats."""
    return np.asarray(evidence * UNIT, dtype=np.float64)


def follow(
    outcomes: Bools, win: int | Ints, loss: int | Ints, start: EvidenceState | None = None
) -> EvidencePath:
    """Return the path over outcomes (..., trades), each history going on from `start`.

    `win` and `loss` are the steps of `evidence_steps`, one for all histories or one a history (..., 1).
    """
    start = start or EvidenceState()
    trades = np.arange(1, outcomes.shape[-1] + 1, dtype=np.int64)
    wins = np.cumsum(outcomes, axis=-1, dtype=np.int64)
    moved = wins * win + (trades - wins) * loss
    evidence = start.evidence + moved
    level = start.run_evidence + moved
    run_evidence = level - np.minimum(np.minimum.accumulate(level, axis=-1), 0)
    zero_at = np.maximum.accumulate(
        np.where(run_evidence == 0, trades, 0), axis=-1
    )  # 0: still the run of start
    wins_at_zero = np.take_along_axis(wins, np.maximum(zero_at - 1, 0), axis=-1)
    going_on = zero_at == 0
    highest = np.maximum(np.maximum.accumulate(evidence, axis=-1), start.highest)
    return EvidencePath(
        trades=np.broadcast_to(start.trades + trades, wins.shape),
        wins=start.wins + wins,
        evidence=evidence,
        highest=highest,
        run_trades=np.where(going_on, start.run_trades + trades, trades - zero_at),
        run_wins=np.where(going_on, start.run_wins + wins, wins - wins_at_zero),
        run_evidence=run_evidence,
    )
