"""Blocks as long as rows remember, and bounds that hold as often as they claim."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_making import remembering
from scipy.signal import lfilter

from itb_assets.domain.evaluation.block_bootstrap import block_rows, mean_deviations, shortest_blocks


@pytest.mark.parametrize(("n", "memory", "expected"), [(1000, 0.9, 48.65032525421383), (5000, 0.8, 50.73)])
def test_the_rule_is_that_of_the_arch_package(n, memory, expected):
    """optimal_block_length of arch 8, circular; it ends the memory one lag later in the second series."""
    series = lfilter([1], [1, -memory], np.random.default_rng(7).normal(size=n))
    assert shortest_blocks(series) == pytest.approx(expected, rel=1e-12 if n == 1000 else 0.01)


def test_rows_that_undo_each_other_need_no_blocks():
    """The spread of their mean is next to nothing, and may be estimated at less than that."""
    assert shortest_blocks(np.diff(np.random.default_rng(2).normal(size=1000))) == 1


def test_longer_memory_needs_longer_blocks():
    rng = np.random.default_rng(0)
    lengths = [block_rows(remembering(rng, 5000, memory)) for memory in (0, 0.5, 0.9, 0.97)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 10
    assert lengths[-1] <= 500


@pytest.mark.parametrize("series", [np.zeros(1000), np.array([1.0]), np.array([]), np.array([1.0, 2.0])])
def test_nothing_to_remember_needs_no_blocks(series):
    assert shortest_blocks(series) == 1
    assert block_rows(series) <= 2


@pytest.mark.parametrize("memory", [0, 0.9])
def test_a_one_sided_bound_is_passed_once_in_twenty(memory):
    passed = 0
    for seed in range(200):
        series = remembering(np.random.default_rng(seed), 1200, memory)[:, None]
        deviations = mean_deviations(series, rows_a_block=block_rows(series[:, 0]), seed=seed)
        passed += series.mean() > np.quantile(deviations, 0.95)
    assert 0.02 <= passed / 200 <= 0.085


def test_columns_are_resampled_together_and_alike_for_a_seed():
    series = np.random.default_rng(0).normal(size=(500, 1))
    deviations = mean_deviations(np.hstack([series, -series]), rows_a_block=10, seed=4)
    assert deviations[:, 0] == pytest.approx(-deviations[:, 1])
    again, other = (mean_deviations(series, rows_a_block=10, seed=seed)[:, 0] for seed in (4, 5))
    assert again == pytest.approx(deviations[:, 0])
    assert other != pytest.approx(deviations[:, 0])


def test_no_rows_one_short_of_the_end_are_favoured():
    """Every block of a constant has its mean: nothing is lost where the circle closes."""
    assert mean_deviations(np.full((103, 1), 7.0), rows_a_block=10, seed=0) == pytest.approx(0, abs=1e-12)
