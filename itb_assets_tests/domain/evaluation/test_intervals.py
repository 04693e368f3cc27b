"""Wilson's interval: SciPy's numbers, exact at its ends, and as often right as it claims."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from itb_assets.domain.evaluation.intervals import wilson, wilson_bounds, wilson_upper
from itb_assets.errors import DataContractError

trials = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(trials, confidences)
def test_the_interval_is_that_of_scipy(shown, confidence):
    wins, n = shown
    theirs = binomtest(wins, n).proportion_ci(confidence, method="wilson")
    assert wilson(wins, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(trials, confidences)
def test_the_upper_bound_is_that_of_scipy(shown, confidence):
    wins, n = shown
    theirs = binomtest(wins, n, alternative="less").proportion_ci(confidence, method="wilson")
    assert wilson_upper(wins, n, confidence) == pytest.approx(theirs.high, abs=1e-12)


@given(st.lists(trials, min_size=1, max_size=20))
def test_many_at_once_are_the_same(shown):
    low, high = wilson_bounds(*np.array(shown).T)
    assert list(zip(low, high, strict=True)) == [pytest.approx(wilson(*one), abs=1e-12) for one in shown]


def test_nothing_tried_leaves_everything_open():
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson_bounds(np.array([0]), np.array([0]))
    assert (low[0], high[0]) == (0.0, 1.0)


def test_the_interval_holds_the_truth_as_often_as_it_claims():
    """For 50 trials and the win rates of trading the chance is 95 %, give or take two points."""
    wins = np.arange(51)
    low, high = wilson_bounds(wins, np.full(51, 50))
    for truth in np.linspace(0.2, 0.8, 25):
        held = binom.pmf(wins, 50, truth)[(low <= truth) & (truth <= high)].sum()
        assert held == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("wins", "n"), [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(wins, n):
    with pytest.raises(DataContractError, match="expected 0 <= wins <= n"):
        wilson(wins, n)
    with pytest.raises(DataContractError, match="expected 0 <= wins <= n"):
        wilson_bounds(np.array([wins]), np.array([n]))


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_an_impossible_confidence_is_refused(confidence):
    with pytest.raises(DataContractError, match="expected a share between 0 and 1"):
        wilson_upper(1, 2, confidence)
