"""CUSUM and SPRT on wins and losses: the whole path, what was decided, and a state to go on from.

The rule that turns them into an alarm belongs to `win_rate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from itb_assets.domain.drift.evidence import (
    EvidencePath,
    EvidenceState,
    as_outcomes,
    evidence_steps,
    follow,
    in_nats,
)
from itb_assets.domain.drift.rows import Bools, Floats
from itb_assets.errors import DataContractError, InputError

Decision = Literal["drift", "no drift"]


@dataclass(frozen=True)
class SequentialState:
    """Where CUSUM or SPRT stands: plain numbers to store, and to pass in with the trades that are new.

    `decision` is SPRT's first, and stays; `decided_at` counts trades from 1. CUSUM decides nothing for good.
    """

    p0: float
    p1: float
    evidence: EvidenceState = field(default_factory=EvidenceState)
    decision: Decision | None = None
    decided_at: int | None = None


@dataclass(frozen=True, eq=False)
class CusumRun:
    """CUSUM after each trade, in nats, never below 0; it alarms while at or above `limit`."""

    path: Floats
    limit: float
    state: SequentialState

    @property
    def alarms(self) -> Bools:
        """Return after which trades it alarms."""
        return self.path >= self.limit


@dataclass(frozen=True, eq=False)
class SprtRun:
    """The log-likelihood ratio after each trade, in nats: drift from `upper` up, none from `lower` down.

    The path goes on after the decision, which is in `state` and is the first one.
    """

    path: Floats
    upper: float
    lower: float
    state: SequentialState


def sprt_bounds(alpha: float, beta: float) -> tuple[float, float]:
    """Return Wald's upper and lower bound in nats: log((1 - beta) / alpha) and log(beta / (1 - alpha)).

    `alpha` is the chance to see drift where there is none, `beta` to miss it. Raises InputError unless both
    are above 0 and their sum is below 1.

    >>> [round(bound, 4) for bound in sprt_bounds(0.01, 0.2)]
    [4.382, -1.5994]
    """
    if not (alpha > 0 and beta > 0 and alpha + beta < 1):
        raise InputError(f"alpha = {alpha} and beta = {beta}: expected both above 0 and a sum below 1")
    return math.log((1 - beta) / alpha), math.log(beta / (1 - alpha))


def cusum(
    outcomes: npt.ArrayLike, p0: float, p1: float, limit: float, *, state: SequentialState | None = None
) -> CusumRun:
    """Follow the evidence for a win rate of p1 instead of p0 since that evidence was last zero (Page 1954).

    `outcomes` are booleans in the order of the trades; with `state` they are only those that are new. Raises
    DataContractError for other outcomes or another state's p0 and p1, InputError for impossible arguments.
    """
    if not limit > 0:
        raise InputError(f"limit = {limit}: expected more than 0 nats")
    before, path = _advance(outcomes, p0, p1, state)
    after = SequentialState(p0, p1, EvidenceState.at_end_of(path, before.evidence))
    return CusumRun(in_nats(path.run_evidence), limit, after)


def sprt(
    outcomes: npt.ArrayLike,
    p0: float,
    p1: float,
    alpha: float,
    beta: float,
    *,
    state: SequentialState | None = None,
) -> SprtRun:
    """Follow the evidence for a win rate of p1 instead of p0 since the first trade (Wald 1945).

    Arguments and errors are those of `cusum`, and of `sprt_bounds`.
    """
    upper, lower = sprt_bounds(alpha, beta)
    before, path = _advance(outcomes, p0, p1, state)
    nats = in_nats(path.evidence)
    decision, decided_at = before.decision, before.decided_at
    crossed = np.flatnonzero((nats >= upper) | (nats <= lower))
    if decision is None and len(crossed):
        first = crossed[0]
        decision = "drift" if nats[first] >= upper else "no drift"
        decided_at = int(path.trades[first])
    evidence = EvidenceState.at_end_of(path, before.evidence)
    return SprtRun(nats, upper, lower, SequentialState(p0, p1, evidence, decision, decided_at))


def _advance(
    outcomes: npt.ArrayLike, p0: float, p1: float, state: SequentialState | None
) -> tuple[SequentialState, EvidencePath]:
    """Return the state before the outcomes and the path through them."""
    before = state or SequentialState(p0, p1)
    if (before.p0, before.p1) != (p0, p1):
        raise DataContractError(
            f"the state was kept for p0 = {before.p0} and p1 = {before.p1}, asked for {p0} and {p1}: "
            "start a new one from the first trade"
        )
    won = as_outcomes(outcomes)
    if won.ndim != 1:
        raise DataContractError(
            f"outcomes of {won.ndim} dimensions: expected one history, one outcome a trade"
        )
    return before, follow(won, *evidence_steps(p0, p1), before.evidence)
