"""Folds and final fit: honest rows, the same bits every time, at little more than the cost of the fits.

What is refused belongs to `test_training_refusals`.
"""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_making import ALGORITHMS, FEATURES, LGBM, LOGREG, MATRIX, SMALL, make_matrix, make_spec, train

from itb_assets.domain.specs import AlgorithmSpec, WalkForwardSpec
from itb_assets.domain.training import score_rows, train_model, train_models
from itb_assets.domain.training.estimators import make_estimator

BAR = pd.Timedelta(minutes=5)


def same(a, b):
    pd.testing.assert_frame_equal(a.scores, b.scores, check_exact=True)
    assert a.payload == b.payload
    assert timeless(a.metrics_json()) == timeless(b.metrics_json())


def timeless(metrics):
    """Leave out how long each trial of a search took."""
    rows = metrics.pop("leaderboard") or []
    return metrics | {"leaderboard": [{**row, "seconds": None} for row in rows]}


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_a_model_comes_with_its_evidence(algorithm):
    model = train(spec=make_spec(algorithm, seed=7))
    start = MATRIX["timestamp"].iloc[0]
    assert model.score_name == f"up_{algorithm.name}"
    assert model.features == FEATURES
    assert model.train_start == start
    assert model.train_end == start + (1200 - 8) * BAR
    assert model.n_train_rows == 1192
    assert model.n_positive == int(MATRIX["up"][:1192].sum())
    assert (model.purge_rows, model.window_rows_used, model.seed) == (9, 100, 7)
    assert [fold.n_train_rows for fold in model.folds] == [887, 987, 1087]
    assert model.folds[0].score_start == start + 896 * BAR
    assert model.folds[0].train_end == start + 887 * BAR
    assert model.folds[-1].score_end == start + 1196 * BAR
    assert model.metrics.rows == 300
    assert model.metrics.auc > 0.7
    assert next(iter(model.importance)) == "swing"
    assert sum(part.rows for part in model.calibration) == 300
    assert model.notes == ()
    assert 0 < model.signal_threshold < 1
    again = json.loads(json.dumps(model.metrics_json()))
    assert again["overall"]["auc"] == model.metrics.auc
    assert again["sample"] == "out_of_sample"


def test_keywords_and_spec_say_the_same():
    spec = make_spec(LOGREG, train_length=500, seed=2)
    words = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    same(train_model(MATRIX, label="up", **words), train(spec=spec))


def test_scores_come_from_the_fold_that_never_saw_them():
    """Each window's scores are those of a model fitted by hand on the rows behind its purge."""
    x = MATRIX[list(FEATURES)].to_numpy(np.float64)
    y = MATRIX["up"].fillna(False).to_numpy(np.bool_)  # noqa: FBT003 - a value
    scores = train().scores
    for fold in range(3):
        start = 896 + 100 * fold
        by_hand = make_estimator(LGBM).fit(x[: start - 9], y[: start - 9], seed=0)
        part = scores[scores["fold"] == fold]
        np.testing.assert_array_equal(part["score"], by_hand.predict(x[start : start + 100]))
        assert part["timestamp"].tolist() == MATRIX["timestamp"].iloc[start : start + 100].tolist()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_the_future_of_a_window_changes_no_score_in_it(algorithm):
    """Whatever the later labels and features are, the first window scores the same bits."""
    changed = MATRIX.copy()
    changed.loc[996:, list(FEATURES)] *= -3
    changed.loc[887:1190, "up"] = ~changed.loc[887:1190, "up"]
    before, after = (train(m, spec=make_spec(algorithm)).scores for m in (MATRIX, changed))
    np.testing.assert_array_equal(before["score"][:100], after["score"][:100])
    assert (before["score"][200:].to_numpy() != after["score"][200:].to_numpy()).any()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_two_runs_and_any_number_of_threads_give_the_same_bits(algorithm):
    spec = make_spec(algorithm)
    first = train(spec=spec, threads=1)
    same(first, train(spec=spec, threads=1))
    same(first, train(spec=spec, threads=4))


def test_labels_together_equal_labels_alone():
    """Sharing the bins changes nothing, also when one label is unknown where the other is known."""
    torn = MATRIX.copy()
    torn.loc[300:310, "down"] = pd.NA
    for matrix in (MATRIX, torn):
        together = train_models(matrix, ["up", "down"], make_spec(), threads=2)
        assert list(together) == ["up", "down"]
        for label, model in together.items():
            same(model, train(matrix, label))


def test_the_input_is_left_alone():
    matrix = make_matrix()
    train(matrix)
    pd.testing.assert_frame_equal(matrix, make_matrix())


def test_unknown_rows_are_neither_fitted_nor_measured_but_beside_a_gap_they_are_scored():
    """A feature inside a gap gives no score; a label unknown before it gives a score without outcome."""
    gap = make_matrix()
    gap.loc[1000:1009, list(FEATURES)] = np.nan
    gap.loc[996:1009, "up"] = pd.NA
    model = train(gap)
    times = model.scores["timestamp"]
    stamps = gap["timestamp"]
    assert not times.between(stamps[1000], stamps[1009]).any()
    beside = times.between(stamps[996], stamps[999])
    assert beside.sum() == 4
    assert model.scores["outcome"][beside].isna().all()
    assert model.metrics.rows == 300
    assert len(model.scores) == 304


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_fold_trains_on_or_after_what_it_scores(data):
    """With gaps anywhere, training ends at least the purge before the window, in time too."""
    matrix = make_matrix(500, seed=5)
    for column in data.draw(st.lists(st.sampled_from(["swing", "up"]), max_size=4)):
        start = data.draw(st.integers(0, 495))
        matrix.loc[start : start + data.draw(st.integers(0, 25)), column] = (
            pd.NA if column == "up" else np.nan
        )
    horizon = data.draw(st.integers(0, 40))
    walk = WalkForwardSpec(data.draw(st.integers(1, 3)), 60, 60)
    spec = make_spec(
        LOGREG,
        walk_forward=walk,
        label_horizon=horizon,
        train_length=data.draw(st.one_of(st.none(), st.integers(100, 200))),
    )
    model = train(matrix, spec=spec)
    for fold in model.folds:
        assert fold.score_start - (fold.train_end - BAR) >= (max(horizon, 4) + 1) * BAR
        scored = model.scores[model.scores["fold"] == fold.fold]["timestamp"]
        assert scored.min() == fold.score_start
        assert scored.max() + BAR == fold.score_end
        assert fold.n_train_rows <= (spec.train_length or 500)
    assert model.scores["timestamp"].is_monotonic_increasing
    assert model.scores["timestamp"].is_unique
    assert model.train_end <= matrix["timestamp"].iloc[-1] + BAR - horizon * BAR


def test_the_legacy_tail_is_not_trusted():
    """Legacy labels call the last rows False; the final fit leaves the label horizon out all the same."""
    legacy = make_matrix(horizon=0).astype({"up": "bool", "down": "bool"})
    flipped = legacy.copy()
    flipped.loc[1192:, "up"] = ~flipped.loc[1192:, "up"]
    assert train(legacy).payload == train(flipped).payload
    assert train(legacy).train_end == legacy["timestamp"].iloc[1191] + BAR


def test_lengths_and_steps_choose_the_newest_rows():
    model = train(spec=make_spec(train_length=300))
    assert model.n_train_rows == 300
    assert model.train_start == model.train_end - 300 * BAR
    own = dataclasses.replace(LGBM, params={"length": 100, "every_nth_row": 2})
    model = train(spec=make_spec(own, train_length=300))
    assert model.n_train_rows == 100
    assert [fold.n_train_rows for fold in model.folds] == [100, 100, 100]
    assert model.train_end - model.train_start == 199 * BAR


def test_a_win_rate_is_judged_by_thresholds_of_earlier_folds():
    """The first fold has none; the others' is the top 5 % of all scores before them."""
    model = train()
    scores = model.scores
    assert model.folds[0].metrics.threshold is None
    assert model.folds[0].metrics.signals == 0
    for fold in (1, 2):
        earlier = scores["score"][scores["fold"] < fold]
        assert model.folds[fold].metrics.threshold == np.quantile(earlier, 0.95)
    assert model.metrics.signals == sum(fold.metrics.signals for fold in model.folds)
    assert model.signal_threshold == np.quantile(scores["score"], 0.95)


def test_what_a_fit_has_to_say_is_noted():
    """A solver that did not converge is a note, not a warning."""
    model = train(spec=make_spec(AlgorithmSpec("lc", "lc", train={"max_iter": 1})))
    assert len(model.notes) == 4
    assert model.notes[0].startswith("fold 0: the solver stopped after 1 iterations")
    assert model.notes[-1].startswith("final fit: ")


def test_the_final_model_scores_new_rows():
    model = train()
    fresh = make_matrix(50, seed=9)
    scores = score_rows(model.payload, FEATURES, fresh)
    assert ((scores > 0) & (scores < 1)).all()


def test_short_history_shrinks_the_windows_and_says_so():
    spec = make_spec(walk_forward=dataclasses.replace(SMALL, window_rows=400, min_train_rows=500))
    model = train(spec=spec)
    assert model.window_rows_used == (1196 - 9 - 500) // 3
    assert model.metrics_json()["window_rows_used"] == model.window_rows_used


def test_rolling_fits_the_same_number_of_rows_for_every_window_and_for_live_use():
    """What was judged is what goes live."""
    rolling = WalkForwardSpec(3, 100, 200, "rolling", 400)
    model = train(spec=make_spec(walk_forward=rolling))
    assert [fold.n_train_rows for fold in model.folds] == [400, 400, 400]
    assert model.n_train_rows == 400
    assert model.train_end - model.train_start == 400 * BAR
    forgotten = MATRIX.copy()
    forgotten.loc[:486, "up"] = ~forgotten.loc[:486, "up"]
    same(model, train(forgotten, spec=make_spec(walk_forward=rolling)))


def test_walk_forward_costs_little_more_than_its_fits():
    """CPU time of a training against the bare fits and scores on the same rows, the best of some tries."""
    matrix = make_matrix(20_000)
    algorithm = AlgorithmSpec("lgbm", "lgbm", train={"n_estimators": 80})
    spec = make_spec(algorithm, walk_forward=WalkForwardSpec(3, 3000, 1000))
    x = np.ascontiguousarray(matrix[list(FEATURES)].to_numpy(np.float64))
    y = matrix["up"].fillna(False).to_numpy(np.bool_)  # noqa: FBT003 - a value
    estimator = make_estimator(algorithm)

    def bare():
        for start in (10_996, 13_996, 16_996):
            estimator.fit(x[: start - 9], y[: start - 9], seed=0).predict(x[start : start + 3000])
        estimator.fit(x[:19_992], y[:19_992], seed=0)

    def cpu(work):
        started = time.process_time()
        work()
        return time.process_time() - started

    ratios = []
    for _ in range(6):
        ratios.append(cpu(lambda: train(matrix, spec=spec)) / cpu(bare))
        if ratios[-1] <= 1.15:
            break
    assert min(ratios) <= 1.15, ratios
