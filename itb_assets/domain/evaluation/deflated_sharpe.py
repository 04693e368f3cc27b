"""How likely a Sharpe ratio is luck, given its length, its shape and how many others were tried.

After Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5):94.
Tests that shift signals against prices belong to `luck`.

Every Sharpe ratio here is a period's, not a year's: divide an annualised one by the root of its periods.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from itb_assets.domain.evaluation.arrays import finite_floats
from itb_assets.domain.evaluation.returns import sharpe
from itb_assets.errors import DataContractError

_NORMAL = NormalDist()
_EULER_MASCHERONI = 0.5772156649015329
_ENOUGH = 4
"""Fewer returns have no fourth moment worth the name."""


def deflated_sharpe(returns: npt.ArrayLike, *, n_trials: int, trial_sharpe_std: float) -> float | None:
    """Return the chance that the true Sharpe ratio beats the best of `n_trials` worthless strategies.

    `trial_sharpe_std` is the standard deviation of the Sharpe ratios of the strategies tried, a period.
    Below 0.95 the result is no evidence of skill. None of fewer than 4, or of equal, returns.
    """
    return probabilistic_sharpe(returns, benchmark=expected_best_sharpe(n_trials, trial_sharpe_std))


def probabilistic_sharpe(returns: npt.ArrayLike, *, benchmark: float = 0.0) -> float | None:
    """Return the chance that the true Sharpe ratio is above `benchmark`; None as for `deflated_sharpe`.

    Skew and fat tails of the returns are taken into account, dependence between returns is not.
    """
    values = finite_floats(returns, "returns")
    ratio = sharpe(values, 1)
    if ratio is None or len(values) < _ENOUGH:
        return None
    standard = (values - values.mean()) / values.std()
    skew, kurtosis = float((standard**3).mean()), float((standard**4).mean())
    return sharpe_probability(ratio, n=len(values), skew=skew, kurtosis=kurtosis, benchmark=benchmark)


def sharpe_probability(ratio: float, *, n: int, skew: float, kurtosis: float, benchmark: float) -> float:
    """Return the chance that the ratio estimated from `n` returns of that shape is truly above `benchmark`.

    `kurtosis` of normal returns is 3. The example of the paper: a yearly 2.5 over five years of 250 days,
    the best of 100 tried.

    >>> best = expected_best_sharpe(100, math.sqrt(0.5 / 250))
    >>> ratio = sharpe_probability(2.5 / 250**0.5, n=1250, skew=-3, kurtosis=10, benchmark=best)
    >>> round(best, 4), round(ratio, 4)
    (0.1132, 0.9004)
    """
    variance = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt((n - 1) / variance))


def expected_best_sharpe(n_trials: int, trial_sharpe_std: float) -> float:
    """Return the Sharpe ratio that the best of `n_trials` strategies without any skill is expected to show.

    Raises DataContractError unless at least one trial and a spread of 0 or more.
    """
    if n_trials < 1 or not (np.isfinite(trial_sharpe_std) and trial_sharpe_std >= 0):
        raise DataContractError(
            f"{n_trials} trials with a standard deviation of {trial_sharpe_std}: expected 1 or more trials, "
            "the kept one included, and a spread of 0 or more"
        )
    if n_trials == 1:
        return 0.0
    high = _NORMAL.inv_cdf(1 - 1 / n_trials)
    higher = _NORMAL.inv_cdf(1 - 1 / (n_trials * math.e))
    return trial_sharpe_std * ((1 - _EULER_MASCHERONI) * high + _EULER_MASCHERONI * higher)
