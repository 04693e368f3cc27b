"""PSI: the textbook's number, bins that fit any feature, and what chance gives among slow rows."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from itb_assets.domain.drift import ReferenceBins, freeze_bins, psi
from itb_assets.domain.drift.population import chance_of, holm, psi_of_windows
from itb_assets.errors import DataContractError

VALUES = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.0, 2.5, math.nan])), min_size=1, max_size=80
)


def normal(rows, *, seed=0, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, rows)


def plain_psi(reference, values, bins=10):
    """Return PSI as one writes it down: bins by quantile, two shares a bin, no empty one."""
    edges = [
        -math.inf,
        *np.quantile(reference, [k / bins for k in range(1, bins)], method="inverted_cdf"),
        math.inf,
    ]
    total = 0.0
    for low, high in pairwise(edges):
        then = max(sum(low < value <= high for value in reference) / len(reference), 1e-4)
        now = max(sum(low < value <= high for value in values) / len(values), 1e-4)
        total += (now - then) * math.log(now / then)
    return total


@pytest.mark.parametrize("mean", [0.0, 0.4, 6.0])
def test_psi_is_the_textbooks(mean):
    reference, values = normal(1000), normal(600, seed=1, mean=mean)
    assert psi(freeze_bins(reference), values) == pytest.approx(plain_psi(reference, values), rel=1e-9)


def test_psi_by_hand():
    """Half and half against nine tenths and a tenth: 2 x 0.4 x log(...)."""
    bins = freeze_bins([0.0] * 50 + [1.0] * 50)
    assert (bins.edges, bins.shares, bins.n, bins.unknown_share) == ((0.0,), (0.5, 0.5), 100, 0.0)
    expected = 0.4 * math.log(0.9 / 0.5) - 0.4 * math.log(0.1 / 0.5)
    assert psi(bins, [0.0] * 90 + [1.0] * 10) == pytest.approx(expected)
    assert psi(bins, [0.0, 1.0]) == 0.0


def test_bins_have_equal_shares_where_values_differ():
    bins = freeze_bins(normal(5000))
    assert len(bins.edges) == 9
    assert np.allclose(bins.shares, 0.1)


@given(reference=VALUES, values=VALUES)
def test_any_feature_gets_bins_that_count_it_whole(reference, values):
    """Ties, constants and unknown values: shares add up, PSI is never negative, its own values give 0."""
    bins = freeze_bins(reference)
    known = [value for value in reference if not math.isnan(value)]
    assert bins.n == len(known)
    assert sum(bins.shares) == pytest.approx(1)
    assert ReferenceBins.from_dict(json.loads(json.dumps(bins.as_dict()))) == bins
    if not known:
        assert math.isnan(psi(bins, values))
        return
    assert psi(bins, reference) == pytest.approx(0, abs=1e-12)
    found = psi(bins, values)
    assert math.isnan(found) == all(math.isnan(value) for value in values)
    assert math.isnan(found) or found >= 0


@pytest.mark.parametrize("other", [6.9, 7.1, -7.0, 0.0])
def test_a_constant_that_changes_is_seen_on_either_side(other):
    bins = freeze_bins([7.0] * 600)
    assert psi(bins, [7.0] * 600) == 0.0
    assert psi(bins, [other] * 600) > 5
    assert psi(bins, [7.0] * 597 + [other] * 3) < 0.1


def test_a_state_that_is_nearly_constant_keeps_its_bins():
    bins = freeze_bins([0.0] * 950 + [1.0] * 50)
    assert bins.shares == (0.95, 0.05)
    assert psi(bins, [0.0] * 700 + [1.0] * 300) > 0.25


def test_unknown_values_are_counted_apart():
    values = np.concatenate([normal(600), np.full(200, np.nan)])
    bins = freeze_bins(values)
    assert (bins.n, bins.unknown_share) == (600, 0.25)
    assert bins.shares == freeze_bins(normal(600)).shares
    assert psi(bins, values) == psi(bins, normal(600)) == 0.0


@pytest.mark.parametrize("function", [freeze_bins, lambda values: psi(freeze_bins([1.0, 2.0]), values)])
def test_infinities_and_tables_are_refused(function):
    with pytest.raises(DataContractError, match="2 of 3 values are inf"):
        function([1.0, math.inf, -math.inf])
    with pytest.raises(DataContractError, match="2 dimensions: expected one column"):
        function([[1.0], [2.0]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"edges": [2.0, 1.0]}, "expected finite and ascending"),
        ({"edges": [1.0, math.inf]}, "expected finite and ascending"),
        ({"edges": [1.0]}, "3 shares for 1 edges"),
        ({"shares": [0.5, 0.5, 0.5]}, "a sum of 1"),
        ({"shares": [-0.5, 1.0, 0.5]}, "none negative"),
        ({"edges": ["a", "b"]}, "not stored reference bins"),
        ({"n": None}, "not stored reference bins"),
    ],
)
def test_altered_bins_are_refused(change, told):
    stored = freeze_bins([1.0] * 50 + [2.0] * 25 + [3.0] * 25).as_dict() | change
    with pytest.raises(DataContractError, match=told):
        ReferenceBins.from_dict(stored)
    with pytest.raises(DataContractError, match="not stored reference bins"):
        ReferenceBins.from_dict({})


def test_five_hundred_rows_are_enough_and_fifty_are_not():
    """Why there is a smallest number of rows: without drift, 50 rows pass 0.1 more often than not."""
    rng = np.random.default_rng(2)
    bins = freeze_bins(rng.standard_normal(5000))

    def above(rows, threshold):
        return np.mean([psi(bins, rng.standard_normal(rows)) >= threshold for _ in range(300)])

    assert above(500, 0.1) == 0
    assert above(50, 0.1) > 0.7
    assert above(50, 0.25) > 0.15


def test_windows_are_held_against_the_rest():
    """Each window beside a direct count of it and of what is left."""
    history = np.where(np.random.default_rng(3).random(60) < 0.1, np.nan, normal(60, seed=4))
    bins = freeze_bins(history, bins=4)

    def counted(values):
        known = values[~np.isnan(values)]
        return np.bincount(np.searchsorted(bins.edges, known), minlength=4)

    expected = []
    for first in range(60 - 20 + 1):
        inside = counted(history[first : first + 20])
        rest = counted(history) - inside
        rests = ReferenceBins(bins.edges, tuple(rest / rest.sum()), int(rest.sum()), 0.0)
        expected.append(psi(rests, history[first : first + 20]))
    assert np.allclose(psi_of_windows(bins, history, 20), expected)


def test_windows_without_enough_values_are_left_out():
    history = np.concatenate([normal(50), np.full(50, np.nan)])
    bins = freeze_bins(history)
    assert len(psi_of_windows(bins, history, 20)) == 31 + 10
    assert len(psi_of_windows(bins, history, 100)) == 0
    assert len(psi_of_windows(bins, history, 0)) == 0


@pytest.mark.parametrize("resemblance", [0.0, 0.9, 0.99, 1.0])
def test_the_chance_of_a_psi_is_what_it_says(resemblance):
    """Of windows after a history of the same kind 5 % have a chance below 5 %, a random walk's too."""
    rng, rows, windows = np.random.default_rng(5), 300, 20
    chances = []
    for _ in range(150):
        noise = rng.standard_normal((windows + 1) * rows + 1000)
        values = lfilter([1.0], [1.0, -resemblance], noise)[1000:]
        history, live = values[:-rows], values[-rows:]
        bins = freeze_bins(history)
        chances.append(chance_of(psi(bins, live), psi_of_windows(bins, history, rows), windows=windows))
    assert np.mean(np.asarray(chances) < 0.05) <= 0.11
    assert np.mean(np.asarray(chances) < 0.001) <= 0.015


def test_the_chance_of_a_shift_is_small():
    history = lfilter([1.0], [1.0, -0.9], normal(40_000))
    bins = freeze_bins(history)
    null = psi_of_windows(bins, history, 2000)
    assert chance_of(psi(bins, history[-2000:] + 3.0), null, windows=20) < 0.001
    assert chance_of(psi(bins, history[-2000:]), null, windows=20) > 0.05


def test_a_short_history_cannot_say():
    assert chance_of(0.3, np.full(100, 0.01), windows=4) is None
    assert chance_of(0.3, np.full(4, 0.01), windows=5) is None
    assert chance_of(0.3, np.full(100, 0.01), windows=5) is not None


def test_a_constant_has_a_chance_of_nothing_or_all():
    null = np.zeros(100)
    assert chance_of(0.0, null, windows=20) == 1.0
    assert chance_of(0.5, null, windows=20) == 0.0


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 (held up to the one before), 0.9 x 1."""
    assert holm([0.9, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.9, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
