"""Purged, embargoed k-fold: no model knows a row, nor a label or feature that knows it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_making import FEATURES, LGBM, LOGREG, make_matrix, make_spec

from itb_assets.domain.specs import AlgorithmSpec, CrossValidationSpec, WalkForwardSpec
from itb_assets.domain.training import cross_validate, train_models
from itb_assets.domain.training.estimators import make_estimator
from itb_assets.domain.training.fits import Job
from itb_assets.domain.training.judging import sample_beside_training
from itb_assets.domain.training.kfold import purged_kfold_windows
from itb_assets.domain.training.metrics import ScoredRows
from itb_assets.domain.training.table import read_table, usable_rows
from itb_assets.errors import ConfigError, DataContractError

BAR = pd.Timedelta(minutes=5)
MATRIX = make_matrix()


@given(st.integers(0, 400), st.integers(2, 9), st.integers(0, 60), st.integers(0, 60))
def test_no_training_row_is_near_a_scored_one(n_rows, folds, purge, embargo):
    """Every row is scored once; of the others exactly those behind purge and embargo train."""
    try:
        windows = purged_kfold_windows(n_rows, folds, purge, embargo)
    except DataContractError:
        block = -(-n_rows // folds)
        assert n_rows < folds or n_rows <= block + 2 * purge + embargo
        return
    scored = [row for window in windows for row in range(window.score_start, window.score_end)]
    assert scored == list(range(n_rows))
    sizes = {window.score_end - window.score_start for window in windows}
    assert max(sizes) - min(sizes) <= 1
    for window in windows:
        near = range(window.score_start - purge, window.score_end + purge + embargo)
        assert window.train.tolist() == [row for row in range(n_rows) if row not in near]
        assert len(window.train)


def test_settings_that_make_no_fold_are_refused():
    with pytest.raises(ConfigError) as refused:
        purged_kfold_windows(100, 1, -1, -2)
    assert len(refused.value.problems) == 3
    with pytest.raises(DataContractError, match="100 usable rows in 2 folds, 60 purged and 12 embargoed"):
        purged_kfold_windows(100, 2, 60, 12)


def test_scores_are_those_of_models_fitted_by_hand():
    """Every usable row is scored by a model of the rows outside its block, purge and embargo."""
    found = cross_validate(MATRIX, "up", make_spec(), folds=4, embargo_rows=20)
    x = MATRIX[list(FEATURES)].to_numpy(np.float64)
    y = MATRIX["up"].fillna(False).to_numpy(np.bool_)  # noqa: FBT003 - a value
    for fold in range(4):
        start, end = 298 * fold, 298 * (fold + 1)
        train = [row for row in range(1192) if not start - 9 <= row < end + 9 + 20]
        by_hand = make_estimator(LGBM).fit(np.ascontiguousarray(x[train]), y[train], seed=0)
        part = found.scores[found.scores["fold"] == fold]
        np.testing.assert_array_equal(part["score"], by_hand.predict(x[start:end]))
        assert found.folds[fold].n_train_rows == len(train)
        assert found.folds[fold].score_start == MATRIX["timestamp"].iloc[start]
    assert found.metrics.rows == 1192
    assert found.metrics.auc > 0.7
    assert found.auc_spread == np.std([fold.metrics.auc for fold in found.folds])
    assert (found.purge_rows, found.embargo_rows) == (9, 20)


def test_a_threshold_is_that_of_the_other_folds():
    found = cross_validate(MATRIX, "up", make_spec(), 3, 0)
    for fold in range(3):
        others = found.scores["score"][found.scores["fold"] != fold]
        assert found.folds[fold].metrics.threshold == np.quantile(others, 0.95)
    assert found.metrics.signals == sum(fold.metrics.signals for fold in found.folds) > 0


def test_a_row_that_was_trained_on_cannot_be_measured():
    """The sample is computed from the rows of the fit, not claimed."""
    table = read_table(MATRIX, FEATURES, ["up"])
    job = Job("forged", next(usable_rows(table)), np.arange(100, 300), np.arange(290, 310))
    samples = sample_beside_training(job, job.score)
    assert samples.tolist() == ["in_sample"] * 10 + ["out_of_sample"] * 10
    with pytest.raises(DataContractError, match="10 of 20 rows are in_sample"):
        ScoredRows(np.full(20, 0.5), np.ones(20, dtype=np.bool_), samples)


def test_it_comes_with_a_training_that_asks_for_it():
    """The same numbers as alone, for every label, on any number of threads, and nothing else changes."""
    plain = train_models(MATRIX, ["up", "down"], make_spec())
    asked = make_spec(cross_validation=CrossValidationSpec(3, 12))
    for threads in (1, 2):
        models = train_models(MATRIX, ["up", "down"], asked, threads=threads)
        for label, model in models.items():
            alone = cross_validate(MATRIX, label, make_spec(), 3, 12)
            pd.testing.assert_frame_equal(model.cross_validation.scores, alone.scores, check_exact=True)
            document = model.metrics_json()
            assert document["cross_validation"] == alone.as_dict()
            assert document["cross_validation"]["sample"] == "out_of_sample"
            assert plain[label].metrics_json() == document | {"cross_validation": None}
            assert plain[label].payload == model.payload


def test_only_the_rows_of_the_final_fit_take_part():
    """Length limits hold here too; every nth row trains, every row is scored."""
    own = dataclasses.replace(LOGREG, params={"length": 150, "every_nth_row": 2})
    found = cross_validate(MATRIX, "up", make_spec(own), 3, 0)
    assert found.metrics.rows == 299
    assert found.scores["timestamp"].iloc[-1] == MATRIX["timestamp"].iloc[1190]
    assert [fold.n_train_rows for fold in found.folds] == [95, 91, 96]
    rolling = WalkForwardSpec(3, 100, 200, "rolling", 400)
    found = cross_validate(MATRIX, "up", make_spec(LOGREG, walk_forward=rolling), 4, 0)
    assert found.metrics.rows == 400


def test_a_legacy_tail_is_neither_trained_on_nor_scored():
    legacy = make_matrix(horizon=0)
    flipped = legacy.copy()
    flipped.loc[1192:, "up"] = ~flipped.loc[1192:, "up"]
    before, after = (cross_validate(matrix, "up", make_spec(LOGREG), 3, 0) for matrix in (legacy, flipped))
    assert before.as_dict() == after.as_dict()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_with_gaps_anywhere_training_stays_away_in_time(data):
    matrix = make_matrix(500, seed=5)
    for column in data.draw(st.lists(st.sampled_from(["swing", "up"]), max_size=4)):
        start = data.draw(st.integers(0, 480))
        matrix.loc[start : start + data.draw(st.integers(0, 25)), column] = (
            pd.NA if column == "up" else np.nan
        )
    horizon, embargo = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 30))
    spec = make_spec(LOGREG, label_horizon=horizon)
    found = cross_validate(matrix, "up", spec, 3, embargo)
    purge = max(horizon, 4) + 1
    first, last = found.folds[0], found.folds[-1]
    assert first.train_start - (first.score_end - BAR) > (purge + embargo) * BAR
    assert last.score_start - (last.train_end - BAR) >= purge * BAR
    assert found.scores["timestamp"].is_monotonic_increasing
    assert found.scores["timestamp"].is_unique


def test_a_fold_that_cannot_be_fitted_is_named():
    lone = make_matrix()
    lone["up"] = False
    lone.loc[:100, "up"] = True
    with pytest.raises(DataContractError, match=r"labels up, cross-validation fold 0: all .* are False"):
        cross_validate(lone.astype({"up": "bool"}), "up", make_spec(AlgorithmSpec("a", "lgbm")), 5, 0)
    with pytest.raises(DataContractError, match="labels up, cross-validation: 1192 usable rows in 2 folds"):
        cross_validate(MATRIX, "up", make_spec(label_horizon=8), 2, 700)
