"""Tests of luck by circular shifts: even chances where there is no skill, and skill is seen."""

from __future__ import annotations

import time

import numpy as np
import pytest
from evaluation_making import remembering
from scipy.stats import kstest

from itb_assets.domain.evaluation.luck import auc_test, permutation_test
from itb_assets.domain.evaluation.scores import rank, roc_auc
from itb_assets.errors import DataContractError


def profit_of(signal, returns):
    return lambda shift: float((np.roll(signal, shift) * returns).mean())


def test_signals_without_skill_have_even_chances():
    """Both remember their past: a shuffle of rows would call one in seven of these results skill."""
    told = []
    for seed in range(250):
        rng = np.random.default_rng(seed)
        signal = remembering(rng, 800, 0.95) > 0
        returns = remembering(rng, 800, 0.5)
        test = permutation_test(profit_of(signal, returns), 800, shifts=99, min_shift=60, seed=seed)
        told.append(test.p_value)
    assert kstest(told, "uniform").pvalue > 0.01
    assert np.mean(np.array(told) <= 0.05) < 0.09


def test_skill_is_seen():
    rng = np.random.default_rng(0)
    signal = remembering(rng, 3000, 0.9) > 0
    returns = 0.3 * signal + rng.normal(size=3000)
    test = permutation_test(profit_of(signal, returns), 3000, shifts=199, min_shift=50, seed=0)
    assert test.p_value == 1 / 200
    assert test.observed > test.null_high > test.null_mean


def test_the_same_seed_draws_the_same_shifts_each_once():
    drawn = {}
    for seed in (1, 1, 2):
        asked = []
        permutation_test(
            lambda shift, asked=asked: asked.append(shift), 500, shifts=50, min_shift=20, seed=seed
        )
        assert asked[0] == 0
        assert len(set(asked[1:])) == 50
        assert min(asked[1:]) >= 20
        assert max(asked[1:]) <= 480
        assert drawn.setdefault(seed, asked) == asked
    assert drawn[1] != drawn[2]


def test_few_rows_use_every_shift():
    test = permutation_test(float, 30, shifts=1000, min_shift=10, seed=0)
    assert test.shifts == 11
    assert test.p_value == 1.0
    assert test.null_mean == 15


def test_a_shift_without_a_result_counts_against_skill():
    test = permutation_test(lambda shift: None if shift else 5.0, 100, shifts=9, min_shift=10, seed=0)
    assert (test.p_value, test.null_mean) == (1.0, None)


def test_without_a_result_there_is_no_chance_to_tell():
    test = permutation_test(lambda shift: shift or None, 100, shifts=9, min_shift=10, seed=0)
    assert (test.observed, test.p_value) == (None, None)


def test_equal_results_count_against_skill():
    assert permutation_test(lambda _: 0.1 + 0.2, 100, shifts=9, min_shift=10, seed=0).p_value == 1.0


@pytest.mark.parametrize(("rows", "min_shift"), [(19, 10), (100, 0)])
def test_rows_that_cannot_be_shifted_are_refused(rows, min_shift):
    with pytest.raises(DataContractError, match=f"{rows} rows cannot be shifted by {min_shift} or more"):
        permutation_test(float, rows, shifts=9, min_shift=min_shift, seed=0)


@pytest.mark.parametrize("n", [60, 61])
def test_the_auc_of_every_shift_is_what_it_would_be_alone(n):
    rng = np.random.default_rng(n)
    score, label = np.round(rng.uniform(size=n), 1), rng.uniform(size=n) < 0.3
    alone = np.array([roc_auc(rank(score, np.roll(label, shift))) for shift in range(7, n - 6)])
    test = auc_test(score, label, min_shift=7)
    assert test.shifts == len(alone)
    assert test.observed == roc_auc(rank(score, label))
    assert test.null_mean == pytest.approx(alone.mean(), abs=1e-12)
    assert test.null_high == pytest.approx(np.quantile(alone, 0.95), abs=1e-12)
    assert test.p_value == (1 + (alone >= test.observed - 1e-12).sum()) / (1 + len(alone))


def test_scores_without_skill_have_even_chances():
    told = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        score, label = remembering(rng, 1500, 0.9), remembering(rng, 1500, 0.9) > 1
        told.append(auc_test(score, label, min_shift=60).p_value)
    assert kstest(told, "uniform").pvalue > 0.01
    assert np.mean(np.array(told) <= 0.05) < 0.08


def test_scores_with_skill_are_seen():
    rng = np.random.default_rng(0)
    truth = remembering(rng, 5000, 0.9)
    label = truth + remembering(rng, 5000, 0.9) > 1
    assert auc_test(truth, label, min_shift=60).p_value < 0.001


def test_outcomes_of_one_class_tell_nothing():
    test = auc_test(np.arange(40.0), np.ones(40, dtype=np.bool_), min_shift=5)
    assert (test.observed, test.p_value, test.null_mean) == (None, None, None)


def test_unknown_scores_are_refused():
    with pytest.raises(DataContractError, match="1 of 2 scores are NaN"):
        auc_test(np.array([0.1, np.nan]), np.array([True, False]), min_shift=1)


def test_a_million_rows_are_shifted_a_million_times_in_a_moment():
    """One correlation does what a million sorts would; the bound is ten times what it takes."""
    rng = np.random.default_rng(0)
    score, label = rng.uniform(size=1_000_000), rng.uniform(size=1_000_000) < 0.2
    began = time.process_time()
    test = auc_test(score, label, min_shift=288)
    assert time.process_time() - began < 3
    assert test.shifts == 1_000_000 - 2 * 288 + 1
