"""Measures of closed trades: how often they win, what a trade brings, and how sure that is.

The trades come from `trading` or from an exchange; ratios of returns over time belong to `returns`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from itb_assets.domain.evaluation.arrays import Floats, finite_floats, require_same_length
from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.samples import MeasurableSample, Samples, require_one_sample
from itb_assets.errors import DataContractError


@dataclass(frozen=True)
class TradeStatistics:
    """What closed trades of one sample are worth after fees; None where they cannot tell.

    Money is in quote currency. A trade of exactly 0 is neither won nor lost, and counts as not won in
    `win_rate`, a fraction whose 95 % Wilson interval is `wilson_low` to `wilson_high`. `expectancy` is the
    mean pnl, `expectancy_pct` the mean return. `turnover` is how often the capital was traded, both sides
    counted; `exposure` the fraction of time with an open position, where the caller knows it.
    """

    sample: MeasurableSample
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    wilson_low: float | None
    wilson_high: float | None
    profit_factor: float | None
    expectancy: float | None
    expectancy_pct: float | None
    total_pnl: float
    total_fees: float
    best_pnl: float | None
    worst_pnl: float | None
    best_pct: float | None
    worst_pct: float | None
    sqn: float | None
    kelly: float | None
    turnover: float | None
    exposure: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(vars(self))


def trade_statistics(
    pnl: npt.ArrayLike,
    *,
    return_pct: npt.ArrayLike,
    fees: npt.ArrayLike,
    traded_notional: npt.ArrayLike,
    sample: Samples,
    capital: float | None = None,
    exposure: float | None = None,
) -> TradeStatistics:
    """Measure closed trades, one value of each array a trade; an open trade's NaN is refused.

    `pnl` is net of `fees`; `traded_notional` is quantity x (entry price + exit price). `sample` must be
    out_of_sample or live throughout. Raises DataContractError.
    """
    require_same_length(
        pnl=pnl, return_pct=return_pct, fees=fees, traded_notional=traded_notional, sample=sample
    )
    of = require_one_sample(sample)
    if capital is not None and not capital > 0:
        raise DataContractError(f"capital {capital}: expected an amount above 0")
    money, pct = finite_floats(pnl, "pnl of closed trades"), finite_floats(return_pct, "return_pct")
    traded = float(finite_floats(traded_notional, "traded notionals").sum())
    n, wins = len(money), int((money > 0).sum())
    low, high = wilson(wins, n) if n else (None, None)
    return TradeStatistics(
        sample=of,
        trades=n,
        wins=wins,
        losses=int((money < 0).sum()),
        win_rate=wins / n if n else None,
        wilson_low=low,
        wilson_high=high,
        profit_factor=profit_factor(money),
        expectancy=_of_some(np.mean, money),
        expectancy_pct=_of_some(np.mean, pct),
        total_pnl=float(money.sum()),
        total_fees=float(finite_floats(fees, "fees").sum()),
        best_pnl=_of_some(np.max, money),
        worst_pnl=_of_some(np.min, money),
        best_pct=_of_some(np.max, pct),
        worst_pct=_of_some(np.min, pct),
        sqn=sqn(money),
        kelly=kelly(money),
        turnover=traded / capital if capital is not None else None,
        exposure=exposure,
    )


def profit_factor(results: npt.ArrayLike) -> float | None:
    """Return what won trades brought over what lost ones took; None without a lost one."""
    values = finite_floats(results, "results of trades")
    lost = float(-values[values < 0].sum())
    return float(values[values > 0].sum()) / lost if lost else None


def sqn(pnl: npt.ArrayLike) -> float | None:
    """Return Van Tharp's system quality number, the t statistic of the mean; None of fewer than 2 or equal.

    It takes trades for independent of each other: overlapping ones make it too large.
    """
    values = finite_floats(pnl, "pnl of closed trades")
    spread = float(values.std(ddof=1)) if len(values) > 1 and np.ptp(values) > 0 else 0.0
    return math.sqrt(len(values)) * float(values.mean()) / spread if spread else None


def kelly(pnl: npt.ArrayLike) -> float | None:
    """Return Kelly's fraction of the capital a trade, below 0 for a losing rule; None without both kinds."""
    values = finite_floats(pnl, "pnl of closed trades")
    won, lost = values[values > 0], values[values < 0]
    if not len(won) or not len(lost):
        return None
    win_rate = len(won) / len(values)
    return win_rate - (1 - win_rate) * float(-lost.mean() / won.mean())


def _of_some(measure: Callable[[Floats], Any], values: Floats) -> float | None:
    return float(measure(values)) if len(values) else None
