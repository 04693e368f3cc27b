"""Whether trades win too seldom: the pooled trades of some days, and the days one by one.

Which trades count belongs to the rules; bounds of a share belong to `evaluation.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from itb_assets.domain.evaluation.intervals import wilson_upper
from itb_assets.errors import DataContractError


@dataclass(frozen=True)
class Won:
    """How many trades there were and how many of them won."""

    wins: int
    trades: int

    def __post_init__(self) -> None:
        """Raise DataContractError unless 0 <= wins <= trades."""
        if not 0 <= self.wins <= self.trades:
            raise DataContractError(f"{self.wins} wins of {self.trades} trades: expected 0 <= wins <= trades")

    @property
    def rate(self) -> float:
        """Return the share that won; 0 of none."""
        return self.wins / self.trades if self.trades else 0.0


def pooled(days: Sequence[Won]) -> Won:
    """Add days up.

    >>> pooled([Won(3, 10), Won(4, 8)])
    Won(wins=7, trades=18)
    """
    return Won(sum(day.wins for day in days), sum(day.trades for day in days))


def highest_likely_rate(won: Won, confidence: float) -> float:
    """Return the upper bound of the true win rate (Wilson, one-sided); 1 of no trades.

    Forty-five trades of which 40 % won may well come of a rate of one half; three hundred do not.

    >>> round(highest_likely_rate(Won(18, 45), 0.99), 3)
    0.572
    >>> round(highest_likely_rate(Won(120, 300), 0.99), 3)
    0.467
    """
    return wilson_upper(won.wins, won.trades, confidence) if won.trades else 1.0


def low_days(days: Sequence[Won], *, below: float, min_trades: int) -> int | None:
    """Return how many of the newest days in a row won less than `below`; None where one of them is thin.

    `days` are complete ones, oldest first. A day of fewer than `min_trades` says nothing, so nothing is known
    of the days up to it. By chance alone this is common: of a model that truly wins 58 % of 15 trades a day,
    a quarter of all days is below one half, and three in a row come about five times a year.

    >>> low_days([Won(9, 15), Won(7, 15), Won(6, 15)], below=0.5, min_trades=10)
    2
    >>> low_days([Won(7, 15), Won(1, 3), Won(6, 15)], below=0.5, min_trades=10) is None
    True
    """
    low = 0
    for day in reversed(days):
        if day.trades < min_trades:
            return None
        if day.rate >= below:
            return low
        low += 1
    return low
