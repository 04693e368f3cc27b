"""Thresholds come from earlier rows alone, and from enough of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.evaluation.thresholds import CANDIDATE_QUANTILES, choose_threshold, thresholds_by_fold
from itb_assets.errors import DataContractError


def rows_of(n=2000, seed=0):
    """Return scores, and gains that are won above 0.7 and lost below."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(size=n)
    return score, np.where(score >= 0.7, 1.0, -1.0) + rng.normal(size=n)


def test_the_threshold_is_where_gains_begin():
    score, gain = rows_of()
    chosen = choose_threshold(score, gain, candidates=[0.5, 0.6, 0.7, 0.99])
    signals = score >= 0.7
    assert chosen.value == 0.7
    assert chosen.earlier_signals == signals.sum()
    assert chosen.earlier_gain == pytest.approx(gain[signals].mean())
    error = gain[signals].std(ddof=1) / np.sqrt(signals.sum())
    assert chosen.earlier_low == pytest.approx(gain[signals].mean() - 1.6448536 * error)


def test_without_candidates_quantiles_of_the_earlier_scores_are_tried():
    score, gain = rows_of()
    assert choose_threshold(score, gain).value in np.quantile(score, CANDIDATE_QUANTILES)


def test_outcomes_will_do_for_gains():
    score, gain = rows_of()
    chosen = choose_threshold(score, (gain > 0).astype(np.float64), candidates=[0.1, 0.7])
    assert chosen.value == 0.7
    assert 0.8 < chosen.earlier_gain < 0.9


def test_few_signals_promise_nothing():
    """The best mean of all stands on 3 rows."""
    score, gain = rows_of()
    gain[np.argsort(score)[-3:]] = 100.0
    top = np.sort(score)[-3]
    assert choose_threshold(score, gain, candidates=[0.5, top]).value == 0.5
    assert choose_threshold(score, gain, candidates=[top]) is None
    assert choose_threshold(score, gain, candidates=[top], min_signals=3).value == top
    assert choose_threshold(np.empty(0), np.empty(0)) is None


def test_a_rule_that_always_lost_says_so():
    score, _ = rows_of()
    chosen = choose_threshold(score, np.full(len(score), -0.1))
    assert chosen.earlier_low == pytest.approx(-0.1)


def test_of_equals_the_higher_is_chosen():
    score, _ = rows_of()
    assert choose_threshold(score, np.ones(len(score)), candidates=[0.9, 0.2, 0.5]).value == 0.9


def test_unknown_rows_are_left_out():
    score, gain = rows_of()
    holes = score.copy()
    holes[:100], gain[100:150] = np.nan, np.nan
    assert choose_threshold(holes, gain) == choose_threshold(score[150:], gain[150:])


folds_of_rows = st.lists(st.integers(1, 120), min_size=1, max_size=5)


@given(folds_of_rows, st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_a_fold_hears_nothing_of_itself_nor_of_what_follows(sizes, purge_rows, seed):
    """Whatever scores and gains are from `purge_rows` before a fold on, its threshold is the same."""
    score, gain = rows_of(sum(sizes), seed)
    fold = np.repeat(np.arange(len(sizes)), sizes)
    chosen = thresholds_by_fold(score, fold, gain, purge_rows=purge_rows, min_signals=5)
    assert len(chosen) == len(sizes)
    assert chosen[0] is None
    for number, threshold in enumerate(chosen):
        other, other_gain = rows_of(sum(sizes), seed + 1)
        end = max(0, int(np.argmax(fold == number)) - purge_rows)
        other[:end], other_gain[:end] = score[:end], gain[:end]
        again = thresholds_by_fold(other, fold, other_gain, purge_rows=purge_rows, min_signals=5)
        assert again[number] == threshold


def test_later_folds_have_a_threshold():
    score, gain = rows_of()
    chosen = thresholds_by_fold(score, np.repeat(np.arange(4), 500), gain, purge_rows=12)
    assert [threshold is None for threshold in chosen] == [True, False, False, False]
    assert chosen[1] == choose_threshold(score[:488], gain[:488])


@pytest.mark.parametrize("fold", [[0, 1, 0], [1, 1, 2], [0, 2, 2]])
def test_folds_out_of_order_are_refused(fold):
    with pytest.raises(DataContractError, match="not numbered 0, 1, 2"):
        thresholds_by_fold(np.zeros(3), np.array(fold), np.zeros(3), purge_rows=0)


def test_torn_arrays_and_negative_purges_are_refused():
    with pytest.raises(DataContractError, match="2 of scores, 1 of gains"):
        choose_threshold(np.zeros(2), np.zeros(1))
    with pytest.raises(DataContractError, match="purge_rows -1"):
        thresholds_by_fold(np.zeros(2), np.array([0, 1]), np.zeros(2), purge_rows=-1)
