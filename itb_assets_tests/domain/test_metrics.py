"""Numbers about scored rows: right, honest about what they cannot tell, and refused on training rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, precision_score, recall_score

from itb_assets.domain.training.metrics import (
    MIN_SIGNALS,
    ScoredRows,
    calibration,
    measure,
    sample_of,
    signal_threshold,
)
from itb_assets.errors import DataContractError


def rows_of(score, label, sample="out_of_sample"):
    samples = [sample] * len(score) if isinstance(sample, str) else sample
    return ScoredRows(
        np.asarray(score, dtype=np.float64),
        np.asarray(label, dtype=np.bool_),
        np.asarray(samples, dtype=object),
    )


def some_rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.01, 0.99, n)
    return rows_of(score, rng.uniform(size=n) < score)


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (["in_sample"] * 3, "3 of 3 rows are in_sample: no metric"),
        (["out_of_sample", "in_sample", "out_of_sample"], "1 of 3 rows are in_sample"),
        (["out_of_sample", "live", "live"], "samples are mixed"),
        (["out_of_sample", "test", "live"], r"samples \['test'\]: expected one of in_sample"),
        (["out_of_sample", None, "out_of_sample"], r"samples \['None'\]"),
    ],
)
def test_rows_that_must_not_be_measured_are_refused(samples, told):
    """There is no way to a metric but through ScoredRows, and no ScoredRows of training rows."""
    with pytest.raises(DataContractError, match=told):
        rows_of([0.1, 0.2, 0.3], [True, False, True], samples)


def test_live_rows_alone_are_measured():
    assert measure(rows_of([0.9, 0.1], [True, False], "live")).auc == 1.0


def test_unknown_scores_and_torn_rows_are_refused():
    with pytest.raises(DataContractError, match="1 scores are NaN or inf"):
        rows_of([0.1, np.nan], [True, False])
    with pytest.raises(DataContractError, match="2 scores, 1 labels and 2 samples"):
        rows_of([0.1, 0.2], [True])


def test_a_sample_follows_from_the_training_rows():
    """Scoring a model's own training rows gives rows that no metric accepts."""
    rows = np.arange(5, 10)
    assert list(sample_of(rows, trained_until=7)) == ["in_sample"] * 2 + ["out_of_sample"] * 3
    with pytest.raises(DataContractError, match="2 of 5 rows are in_sample"):
        ScoredRows(np.full(5, 0.5), np.ones(5, dtype=np.bool_), sample_of(rows, trained_until=7))


def test_rows_from_a_frame_drop_what_is_unknown():
    frame = pd.DataFrame(
        {
            "sample": ["out_of_sample"] * 4,
            "s": [0.1, np.nan, 0.3, 0.4],
            "y": pd.array([True, True, pd.NA, False], dtype="boolean"),
        }
    )
    rows = ScoredRows.of(frame, "s", "y")
    assert rows.score.tolist() == [0.1, 0.4]
    assert rows.label.tolist() == [True, False]


def test_metrics_by_hand():
    metrics = measure(rows_of([0.1, 0.4, 0.35, 0.8], [False, False, True, True]), 0.4)
    assert metrics.rows == 4
    assert metrics.positives == 2
    assert metrics.base_rate == 0.5
    assert metrics.auc == 0.75
    assert metrics.average_precision == pytest.approx(0.8333333333333333)
    assert metrics.brier == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
    assert metrics.threshold == 0.4
    assert (metrics.signals, metrics.precision, metrics.recall) == (2, 0.5, 0.5)
    assert metrics.win_rate is None


def test_metrics_agree_with_scikit_learn():
    rows = some_rows()
    metrics = measure(rows, 0.6)
    assert metrics.log_loss == pytest.approx(log_loss(rows.label, rows.score), rel=1e-12)
    assert metrics.brier == pytest.approx(brier_score_loss(rows.label, rows.score), rel=1e-12)
    assert metrics.precision == pytest.approx(precision_score(rows.label, rows.score >= 0.6))
    assert metrics.recall == pytest.approx(recall_score(rows.label, rows.score >= 0.6))


def test_what_cannot_be_told_is_none():
    one_class = measure(rows_of([0.0, 1.0], [True, True]))
    assert one_class.auc is None
    assert one_class.average_precision is None
    assert np.isfinite(one_class.log_loss)
    nothing = measure(rows_of([], []))
    assert set(nothing.as_dict().values()) == {0, None}
    assert signal_threshold(np.empty(0)) is None


def test_a_win_rate_needs_enough_signals():
    """29 signals say nothing, 30 do."""
    for n, told in ((MIN_SIGNALS - 1, False), (MIN_SIGNALS, True)):
        rows = rows_of([0.9] * n + [0.1] * 50, [True, False] * (n // 2) + [True] * (n % 2) + [False] * 50)
        metrics = measure(rows, 0.5)
        assert metrics.signals == n
        assert (metrics.win_rate is not None) == told
        assert metrics.precision == pytest.approx((n + 1) // 2 / n)


def test_rows_without_a_threshold_are_not_judged():
    """The first fold has no earlier fold to choose a threshold on."""
    rows = rows_of([0.9, 0.9, 0.9, 0.1], [False, True, False, True])
    metrics = measure(rows, np.array([np.nan, 0.5, 0.5, 0.5]))
    assert (metrics.signals, metrics.precision, metrics.recall) == (2, 0.5, 0.5)
    assert metrics.rows == 4
    assert measure(rows, np.array([np.nan, 0.5, 0.6, 0.5])).threshold is None


def test_a_threshold_is_what_the_top_twentieth_reaches():
    scores = np.arange(1000) / 1000
    threshold = signal_threshold(scores)
    assert np.mean(scores >= threshold) == pytest.approx(0.05)


@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_calibration_bins_hold_every_row_once(n, seed):
    rows = some_rows(n, seed)
    bins = calibration(rows)
    assert sum(part.rows for part in bins) == n
    assert sum(part.rows * part.positive_rate for part in bins) == pytest.approx(rows.label.sum())
    assert len(bins) == min(n, 10)
    for lower, upper in pairwise(bins):
        assert lower.high_score <= upper.low_score
    for part in bins:
        assert part.low_score <= part.mean_score * (1 + 1e-12)
        assert part.mean_score <= part.high_score * (1 + 1e-12)
