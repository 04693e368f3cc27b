"""Whether live trades win less often than those the model was judged by: one alarm, looked at every day.

The statistics it is made of belong to `evidence`, `sequential` and `proportions`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from itb_assets.domain.drift.evaluation import DriftEvaluation, Verdict, insufficient
from itb_assets.domain.drift.evidence import (
    UNIT,
    EvidencePath,
    EvidenceState,
    as_outcomes,
    evidence_steps,
    follow,
)
from itb_assets.domain.drift.proportions import averaged_evidence, trades_needed, wilson_upper
from itb_assets.domain.drift.rows import Bools, Ints, Outcomes, require_sample
from itb_assets.domain.drift.sequential import sprt_bounds
from itb_assets.errors import DataContractError

SMALLEST_P1 = 0.01


@dataclass(frozen=True)
class WinRateRule:
    """When a fall of the win rate is an alarm; `benchmarks/drift_simulation.py` measures the defaults.

    An alarm needs all of: SPRT (since the first live trade) or CUSUM (since its last zero) beyond its bound;
    a win rate more than `drop` below the reference's over the same trades; Wilson's upper bound below the
    reference; `min_trades`; and odds of `min_odds` for the fall with the reference's own uncertainty counted.
    """

    drop: float = 0.05
    alpha: float = 0.01
    beta: float = 0.2
    cusum_limit: float = 6.5
    confidence: float = 0.95
    min_odds: float = 20.0
    min_trades: int = 30
    min_reference_trades: int = 100


RULE = WinRateRule()


@dataclass(frozen=True)
class WinRateReference:
    """The out-of-sample trades that live ones are held against."""

    wins: int
    trades: int

    def __post_init__(self) -> None:
        """Raise DataContractError unless 0 <= wins <= trades."""
        if not 0 <= self.wins <= self.trades:
            raise DataContractError(f"{self.wins} wins of {self.trades} trades: expected 0 <= wins <= trades")

    @property
    def win_rate(self) -> float:
        """Return the share of trades that won; NaN of none."""
        return self.wins / self.trades if self.trades else math.nan

    @classmethod
    def of(cls, outcomes: Outcomes) -> WinRateReference:
        """Count out-of-sample outcomes; raise DataContractError for live ones."""
        require_sample(outcomes.sample, "out_of_sample", what="the trades of the reference")
        return cls(int(as_outcomes(outcomes.won).sum()), len(outcomes))


@dataclass(frozen=True)
class WinRateState:
    """Where the watch over one model's live trades stands; `as_dict` is plain data to store."""

    reference: WinRateReference
    evidence: EvidenceState = field(default_factory=EvidenceState)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> WinRateState:
        """Read what `as_dict` gave; raise DataContractError for anything else."""
        try:
            return cls(WinRateReference(**stored["reference"]), EvidenceState(**stored["evidence"]))
        except (KeyError, TypeError) as error:
            raise DataContractError(
                f"not a stored watch over a win rate ({error}): start a new one from the first live trade"
            ) from error


@dataclass(frozen=True, eq=False)
class Alarms:
    """After each trade given: whether the rule alarms, and by which of its two ways."""

    by_sprt: Bools
    by_cusum: Bools

    @property
    def any(self) -> Bools:
        """Return where either alarms."""
        return self.by_sprt | self.by_cusum


def watch(state: WinRateState, outcomes: Outcomes, *, rule: WinRateRule = RULE) -> WinRateState:
    """Go on with live trades that the state has not seen; raise DataContractError for other samples."""
    require_sample(outcomes.sample, "live", what="the trades that are watched")
    wins, trades = state.reference.wins, state.reference.trades
    steps = reference_steps(wins, trades, rule) if _can_fall(state.reference, rule) else (0, 0)
    path = follow(as_outcomes(outcomes.won), *steps, state.evidence)
    return WinRateState(state.reference, EvidenceState.at_end_of(path, state.evidence))


def reference_steps(wins: int, trades: int, rule: WinRateRule = RULE) -> tuple[int, int]:
    """Return the steps of the evidence against the reference's win rate, kept off 1 by half a trade."""
    p0 = min(wins / trades, 1 - 0.5 / trades)
    return evidence_steps(p0, p0 - rule.drop)


def judge(
    path: EvidencePath,
    reference_wins: int | Ints,
    reference_trades: int | Ints,
    rule: WinRateRule = RULE,
) -> Alarms:
    """Apply the rule at every place of the path; references broadcast against it.

    Each place is judged by what was known there, so that a simulation of daily looks is one call.
    """
    upper, _ = sprt_bounds(rule.alpha, rule.beta)

    def falls(fired: Bools, wins: Ints, trades: Ints) -> Bools:
        p0 = np.asarray(reference_wins) / np.asarray(reference_trades)
        rate = wins / np.maximum(trades, 1)
        evidence = averaged_evidence(wins, trades, reference_wins, reference_trades, drop=rule.drop)
        low = (p0 - rate > rule.drop) & (wilson_upper(wins, trades, rule.confidence) < p0)
        sure = (trades >= rule.min_trades) & (evidence >= math.log(rule.min_odds))
        return np.asarray(fired & low & sure)

    return Alarms(
        by_sprt=falls(path.highest * UNIT >= upper, path.wins, path.trades),
        by_cusum=falls(path.run_evidence * UNIT >= rule.cusum_limit, path.run_wins, path.run_trades),
    )


def evaluate_win_rate(state: WinRateState, *, rule: WinRateRule = RULE) -> tuple[DriftEvaluation, ...]:
    """Return the verdict `win_rate`, then `win_rate_sprt`, `win_rate_cusum` and `win_rate_upper` it rests on.

    The parts warn only together with the verdict: alone, looked at daily, Wilson's bound would alarm in
    more than a quarter of all histories in which nothing changed.
    """
    reference, seen = state.reference, state.evidence
    missing = _missing(state, rule)
    p0 = reference.win_rate if reference.trades else None
    rate = seen.wins / seen.trades if seen.trades else None
    upper, _ = sprt_bounds(rule.alpha, rule.beta)
    bound = float(wilson_upper(seen.wins, seen.trades, rule.confidence)) if seen.trades else None
    if missing:
        low = None if p0 is None else p0 - rule.drop
        return (
            insufficient("win_rate", seen.trades, missing, value=rate, threshold=low, direction="below"),
            insufficient("win_rate_sprt", seen.trades, missing, threshold=upper),
            insufficient("win_rate_cusum", seen.run_trades, missing, threshold=rule.cusum_limit),
            insufficient(
                "win_rate_upper", seen.trades, missing, value=bound, threshold=p0, direction="below"
            ),
        )
    path = EvidencePath(**{name: np.asarray([value]) for name, value in vars(seen).items()})
    alarms = judge(path, reference.wins, reference.trades, rule)
    by_sprt, by_cusum = bool(alarms.by_sprt[0]), bool(alarms.by_cusum[0])
    of_run = by_cusum and not by_sprt
    wins, trades = (seen.run_wins, seen.run_trades) if of_run else (seen.wins, seen.trades)
    detail = _detail(reference, wins, trades, of_run=of_run, rule=rule)
    verdict: Verdict = "warning" if by_sprt or by_cusum else "ok"
    shown = float(wilson_upper(wins, trades, rule.confidence))
    part = "a part of win_rate, which warns by all its parts together"
    return (
        DriftEvaluation(
            "win_rate", wins / trades, trades, reference.win_rate - rule.drop, verdict, detail, "below"
        ),
        DriftEvaluation(
            "win_rate_sprt", seen.evidence * UNIT, seen.trades, upper, "warning" if by_sprt else "ok", part
        ),
        DriftEvaluation(
            "win_rate_cusum",
            seen.run_evidence * UNIT,
            seen.run_trades,
            rule.cusum_limit,
            "warning" if by_cusum else "ok",
            part,
        ),
        DriftEvaluation("win_rate_upper", shown, trades, reference.win_rate, verdict, part, "below"),
    )


def _can_fall(reference: WinRateReference, rule: WinRateRule) -> bool:
    return reference.trades > 0 and reference.win_rate - rule.drop >= SMALLEST_P1


def _missing(state: WinRateState, rule: WinRateRule) -> str:
    """Say what keeps the rule from judging; empty when nothing does."""
    reference, live = state.reference, state.evidence.trades
    if reference.trades < rule.min_reference_trades:
        return (
            f"the reference has {reference.trades} out-of-sample trades, "
            f"needs {rule.min_reference_trades} to be held against"
        )
    points = f"{100 * rule.drop:g} points"
    if not _can_fall(reference, rule):
        return f"the reference won {reference.win_rate:.1%} of its trades: that cannot fall by {points}"
    if live < rule.min_trades:
        needed = trades_needed(reference.win_rate, rule.drop)
        return (
            f"{live} live trades, needs {rule.min_trades}; "
            f"a fall by {points} shows after about {needed:,} trades"
        )
    return ""


def _detail(reference: WinRateReference, wins: int, trades: int, *, of_run: bool, rule: WinRateRule) -> str:
    p0 = reference.win_rate
    odds = math.exp(
        min(50.0, float(averaged_evidence(wins, trades, reference.wins, reference.trades, drop=rule.drop)))
    )
    span = f"the last {trades:,}" if of_run else f"{trades:,}"
    needed = [(drop, trades_needed(p0, drop)) for drop in (0.05, 0.10) if drop < p0]
    return (
        f"won {wins / trades:.1%} of {span} live trades, out of sample {p0:.1%} of {reference.trades:,}; "
        f"odds for a fall by {100 * rule.drop:g} points {odds:,.3g} (alarm from {rule.min_odds:g}); "
        + ", ".join(f"a fall by {100 * drop:g} points shows after about {n:,} trades" for drop, n in needed)
    )
