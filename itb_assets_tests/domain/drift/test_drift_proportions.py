"""Bounds on proportions: each against another way to compute it."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from drift_making import KNOWN
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import norm

from itb_assets.domain.drift import population, proportions, sequential, trades_needed, wilson_upper
from itb_assets.domain.drift.proportions import averaged_evidence
from itb_assets.errors import InputError


@pytest.mark.parametrize("module", [population, proportions, sequential])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(("wins", "trades"), [(0, 10), (8, 10), (29, 50), (510, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilsons_bound_solves_the_score_test(wins, trades, confidence):
    """The bound is the win rate from which the observed one lies z standard errors below."""
    z = norm.ppf(confidence)

    def distance(rate):
        return (rate - wins / trades) - z * np.sqrt(rate * (1 - rate) / trades)

    root = brentq(distance, wins / trades + 1e-12, 1 - 1e-12)
    assert float(wilson_upper(wins, trades, confidence)) == pytest.approx(root, abs=1e-9)


def test_wilsons_bound_at_the_edges():
    assert list(wilson_upper([0, 5, 10], [0, 5, 10])) == pytest.approx([1, 1, 1])
    with pytest.raises(InputError, match="0 <= wins <= trades"):
        wilson_upper(3, 2)
    with pytest.raises(InputError, match="confidence = 95"):
        wilson_upper(1, 2, 95)


def test_wilsons_bound_covers_as_it_says():
    """One look at 300 trades: below the true win rate in 5 % of all samples."""
    wins = np.random.default_rng(1).binomial(300, 0.58, 20_000)
    assert float((wilson_upper(wins, 300) < 0.58).mean()) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(("drop", "trades"), [(0.05, 608), (0.07, 311), (0.10, 152)])
def test_trades_needed_give_that_power(drop, trades):
    assert trades_needed(0.58, drop) == trades
    wins = np.random.default_rng(2).binomial(trades, 0.58 - drop, 20_000)
    limit = 0.58 - norm.ppf(0.95) * np.sqrt(0.58 * 0.42 / trades)
    assert float((wins / trades < limit).mean()) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("wrong", [{"drop": 0.6}, {"drop": 0.0}, {"drop": 0.1, "power": 1.0}])
def test_trades_that_nothing_needs_are_refused(wrong):
    with pytest.raises(InputError, match="expected 0 < drop < p0 <= 1"):
        trades_needed(0.58, **wrong)


@pytest.mark.parametrize(("wins", "trades"), [(45, 100), (150, 300), (480, 900)])
@pytest.mark.parametrize(("reference_wins", "reference_trades"), [(116, 200), (580, 1000), (5800, 10_000)])
def test_averaged_evidence_is_near_the_integral(wins, trades, reference_wins, reference_trades):
    """The normal approximation against both likelihoods integrated over a flat prior, exact binomials."""
    p0 = np.linspace(0.051, 0.9999, 200_001)
    prior = reference_wins * np.log(p0) + (reference_trades - reference_wins) * np.log(1 - p0)
    p1 = p0 - 0.05
    log_fallen = prior + wins * np.log(p1) + (trades - wins) * np.log(1 - p1)
    top = log_fallen.max()
    fallen = top + np.log(np.exp(log_fallen - top).sum() * (p0[1] - p0[0]))
    total = reference_wins + wins + 1, reference_trades + trades - reference_wins - wins + 1
    exact = fallen - betaln(*total)
    found = float(averaged_evidence(wins, trades, reference_wins, reference_trades, drop=0.05))
    assert found == pytest.approx(exact, abs=0.12, rel=0.05)


def test_averaged_evidence_grows_with_the_reference_and_needs_both_sides():
    references = np.asarray([100, 1000, KNOWN])
    found = averaged_evidence(96, 200, references * 58 // 100, references, drop=0.05)
    assert (np.diff(found) > 0).all()
    assert found[0] < np.log(20)
    assert float(averaged_evidence(0, 0, 58, 100, drop=0.05)) == 0
    assert float(averaged_evidence(10, 50, 0, 0, drop=0.05)) == 0
