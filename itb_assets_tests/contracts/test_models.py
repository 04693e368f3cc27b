"""What every registered model promises, whatever its algorithm."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from itb_assets.domain.specs import AlgorithmSpec, WalkForwardSpec
from itb_assets.domain.training import score_rows, train_model
from itb_assets.domain.training.estimators import ALGOS
from itb_assets.domain.training.options import ALGO_ALIASES
from itb_assets.errors import ModelRejected

FEATURES = ["first", "second", "third"]
PLAIN = (str, int, float, bool, bytes, type(None))


def matrix(rows=400):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(rows, 3))
    times = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC").as_unit("ns")
    frame = pd.DataFrame(values, columns=FEATURES).assign(timestamp=times)
    return frame.assign(up=values[:, 1] + rng.normal(size=rows) > 0.5)


MATRIX = matrix()


QUICK = {
    "nn": {"n_epochs": 30, "learning_rate": 0.02},
    "automl": {"max_trials": 4, "inner_folds": 2, "time_budget_s": None},
}


def train(algo, seed=0):
    return train_model(
        MATRIX,
        features=FEATURES,
        label="up",
        algorithm=AlgorithmSpec("any", algo, train=QUICK.get(algo, {})),
        walk_forward=WalkForwardSpec(2, 50, 100),
        label_horizon=4,
        label_horizon_rows=4,
        seed=seed,
    )


@pytest.fixture(scope="module", params=[*ALGOS, *ALGO_ALIASES])
def algo(request):
    return request.param


@pytest.fixture(scope="module")
def model(algo):
    return train(algo)


def test_same_seed_same_scores(algo, model):
    again = train(algo)
    np.testing.assert_array_equal(again.scores["score"], model.scores["score"])
    assert again.payload == model.payload


def test_saved_and_loaded_it_scores_the_same_bits(model):
    before = score_rows(model.payload, FEATURES, MATRIX)
    loaded = pickle.loads(pickle.dumps(model.payload))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(score_rows(loaded, FEATURES, MATRIX), before)


def test_what_is_saved_is_plain_data(model):
    """The restricted unpickler allows no class at all."""

    def check(value):
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            value = list(value.values())
        if type(value) is list:
            for item in value:
                check(item)
        else:
            assert type(value) in PLAIN, type(value)

    check(model.payload)
    check(model.hyperparameters)
    check(model.metrics_json())


@pytest.mark.parametrize("lost", FEATURES)
def test_a_missing_column_is_refused_by_name(model, lost):
    with pytest.raises(ModelRejected, match=f"feature '{lost}' is missing from the rows"):
        score_rows(model.payload, FEATURES, MATRIX.drop(columns=lost))
    with pytest.raises(ModelRejected, match=f"feature '{lost}' is missing from what is offered"):
        score_rows(model.payload, [name for name in FEATURES if name != lost], MATRIX)


def test_an_unknown_column_is_refused_by_name(model):
    with pytest.raises(ModelRejected, match="feature 'fourth' is unknown to the model"):
        score_rows(model.payload, [*FEATURES, "fourth"], MATRIX.assign(fourth=1.0))


def test_the_order_of_columns_has_no_effect(model):
    before = score_rows(model.payload, FEATURES, MATRIX)
    np.testing.assert_array_equal(
        score_rows(model.payload, FEATURES[::-1], MATRIX[MATRIX.columns[::-1]]), before
    )


def test_a_row_with_an_unknown_feature_has_no_score_and_the_others_keep_theirs(model):
    before = score_rows(model.payload, FEATURES, MATRIX)
    gap = MATRIX.copy()
    gap.loc[100:109, "second"] = np.nan
    scores = score_rows(model.payload, FEATURES, gap)
    assert np.isnan(scores[100:110]).all()
    np.testing.assert_array_equal(np.delete(scores, range(100, 110)), np.delete(before, range(100, 110)))
    assert np.isnan(score_rows(model.payload, FEATURES, gap.iloc[100:110])).all()


def test_scores_are_probabilities_and_the_tail_equals_the_whole(model):
    scores = score_rows(model.payload, FEATURES, MATRIX)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_array_equal(score_rows(model.payload, FEATURES, MATRIX.tail(7)), scores[-7:])
    np.testing.assert_array_equal(score_rows(model.payload, FEATURES, MATRIX, threads=2), scores)
    assert score_rows(model.payload, FEATURES, MATRIX.head(0)).shape == (0,)


def test_inputs_are_left_alone(model):
    payload, frame = copy.deepcopy(model.payload), MATRIX.copy()
    score_rows(payload, FEATURES, frame)
    assert payload == model.payload
    pd.testing.assert_frame_equal(frame, MATRIX)


def test_it_has_learnt_something(model):
    assert model.metrics.auc > 0.6


def test_a_payload_whose_names_and_inputs_differ_is_refused(model):
    torn = {**model.payload, "features": FEATURES[:2]}
    with pytest.raises(ModelRejected, match="the model has 3 inputs, its payload names 2 features"):
        score_rows(torn, FEATURES[:2], MATRIX)
