"""Measures of a series of returns or of an equity curve: ratios, growth and drawdown.

Trades are measured in `trade_statistics`; building the equity curve belongs to `trading`.

Returns are simple and fractions (0.01 is one per cent), one a period; the risk-free rate is 0. A measure is
None where the series cannot tell. Definitions agree with empyrical-reloaded's.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from itb_assets.domain.evaluation.arrays import Floats, finite_floats
from itb_assets.errors import DataContractError

_ROUNDING = 1e-15
"""A spread of this size is what dividing neighbouring equities leaves behind."""


def returns_of(equity: npt.ArrayLike) -> Floats:
    """Return the growth from each equity to the next: one value fewer; every equity must be above 0."""
    curve = finite_floats(equity, "equities")
    if (low := int((curve <= 0).sum())) > 0:
        raise DataContractError(
            f"{low} of {len(curve)} equities are 0 or less: expected all above 0; returns of what is lost "
            "are undefined: measure the trades, or start with more capital"
        )
    growth: Floats = curve[1:] / curve[:-1] - 1
    return growth


def volatility(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return the annualised standard deviation (n - 1); None of fewer than 2 returns."""
    values = finite_floats(returns, "returns")
    return float(values.std(ddof=1)) * math.sqrt(periods_per_year) if len(values) > 1 else None


def sharpe(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return mean over standard deviation (n - 1), annualised; None of fewer than 2, or of equal, returns.

    >>> sharpe([0.01, -0.02, 0.015, -0.005, 0.025], 252)
    4.48998886412873
    """
    values = finite_floats(returns, "returns")
    if len(values) < 2:  # noqa: PLR2004 - one return has no spread
        return None
    spread = float(values.std(ddof=1))
    if spread <= max(_ROUNDING, 1e-12 * float(np.abs(values).max())):
        return None
    return float(values.mean()) / spread * math.sqrt(periods_per_year)


def downside_deviation(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return the annualised root mean square of the returns below 0; None of fewer than 2 returns."""
    values = finite_floats(returns, "returns")
    if len(values) < 2:  # noqa: PLR2004 - as for the Sharpe ratio
        return None
    return math.sqrt(float((np.minimum(values, 0) ** 2).mean()) * periods_per_year)


def sortino(returns: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return annualised mean over downside deviation; None of fewer than 2 returns or without a loss."""
    values = finite_floats(returns, "returns")
    downside = downside_deviation(values, periods_per_year)
    return float(values.mean()) * periods_per_year / downside if downside else None


def drawdown_curve(equity: npt.ArrayLike) -> Floats:
    """Return each equity's distance from the highest so far, a fraction of it: 0 or less.

    The first equity must be above 0 (DataContractError). Below -1 the account owes money.
    """
    curve = finite_floats(equity, "equities")
    if len(curve) and curve[0] <= 0:
        raise DataContractError(f"the equity starts at {curve[0]}: expected a capital above 0")
    fall: Floats = curve / np.maximum.accumulate(curve) - 1
    return fall


def max_drawdown(equity: npt.ArrayLike) -> float | None:
    """Return the deepest drawdown, 0 or less; None of no equity."""
    curve = drawdown_curve(equity)
    return float(curve.min()) if len(curve) else None


def cagr(equity: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return the growth a year that leads from the first equity to the last; -1 when nothing is left.

    None of fewer than 2 equities, or when a year of such growth is more than a number can hold.
    """
    curve = finite_floats(equity, "equities")
    if len(curve) < 2:  # noqa: PLR2004 - growth has two ends
        return None
    if curve[0] <= 0:
        raise DataContractError(f"the equity starts at {curve[0]}: expected a capital above 0")
    if curve[-1] <= 0:
        return -1.0
    try:
        return math.expm1(math.log(curve[-1] / curve[0]) * periods_per_year / (len(curve) - 1))
    except OverflowError:
        return None


def calmar(equity: npt.ArrayLike, periods_per_year: float) -> float | None:
    """Return yearly growth over the deepest drawdown; None where either is unknown or nothing was lost."""
    growth, fall = cagr(equity, periods_per_year), max_drawdown(equity)
    return growth / -fall if growth is not None and fall else None
