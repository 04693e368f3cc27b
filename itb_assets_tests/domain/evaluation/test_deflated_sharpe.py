"""How much of a Sharpe ratio is luck: the paper's example, and chances that come true."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from itb_assets.domain.evaluation.deflated_sharpe import (
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
    sharpe_probability,
)
from itb_assets.errors import DataContractError


@pytest.mark.parametrize(("n_trials", "expected"), [(100, 0.9004), (46, 0.9505)])
def test_the_example_of_the_paper(n_trials, expected):
    """A Sharpe ratio of 2.5 a year over 1250 days: 90 % after 100 trials, 95 % had there been 46."""
    best = expected_best_sharpe(n_trials, math.sqrt(0.5 / 250))
    told = sharpe_probability(2.5 / math.sqrt(250), n=1250, skew=-3, kurtosis=10, benchmark=best)
    assert told == pytest.approx(expected, abs=6e-5)


def test_the_best_of_many_worthless_strategies_is_expected_as_simulated():
    best = np.random.default_rng(0).normal(0, 0.1, (4000, 50)).max(axis=1).mean()
    assert expected_best_sharpe(50, 0.1) == pytest.approx(best, rel=0.02)
    assert expected_best_sharpe(1, 0.1) == 0.0


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_of_strategies_without_skill_chances_are_even(shape):
    """The probabilistic Sharpe ratio of returns whose true mean is 0 is uniform."""
    rng = np.random.default_rng(1)
    draw = rng.normal if shape == "normal" else (lambda size: 1 - rng.exponential(size=size))
    told = [probabilistic_sharpe(draw(size=500)) for _ in range(400)]
    assert kstest(told, "uniform").pvalue > 0.01


def test_the_best_of_hundred_worthless_strategies_is_seen_through():
    """Undeflated it looks like skill nearly always, deflated hardly ever."""
    rng = np.random.default_rng(2)
    fooled = {"alone": 0, "deflated": 0}
    for _ in range(60):
        tried = rng.normal(size=(100, 250))
        ratios = tried.mean(axis=1) / tried.std(axis=1, ddof=1)
        best, spread = tried[ratios.argmax()], float(ratios.std(ddof=1))
        fooled["alone"] += probabilistic_sharpe(best) > 0.95
        fooled["deflated"] += deflated_sharpe(best, n_trials=100, trial_sharpe_std=spread) > 0.95
    assert fooled["alone"] >= 55
    assert fooled["deflated"] <= 5


def test_more_trials_deflate_more():
    returns = np.random.default_rng(3).normal(0.1, 1, 1000)
    told = [deflated_sharpe(returns, n_trials=n, trial_sharpe_std=0.03) for n in (1, 10, 100, 1000)]
    assert told == sorted(told, reverse=True)
    assert told[0] == probabilistic_sharpe(returns)


@pytest.mark.parametrize("returns", [[], [0.1, 0.2, 0.3], [0.1] * 10])
def test_what_cannot_be_told_is_none(returns):
    assert deflated_sharpe(returns, n_trials=5, trial_sharpe_std=0.1) is None


@pytest.mark.parametrize(("trials", "spread"), [(0, 0.1), (5, -0.1), (5, math.nan)])
def test_impossible_trials_are_refused(trials, spread):
    with pytest.raises(DataContractError, match="expected 1 or more trials"):
        deflated_sharpe([0.1, 0.2, -0.1, 0.3], n_trials=trials, trial_sharpe_std=spread)
