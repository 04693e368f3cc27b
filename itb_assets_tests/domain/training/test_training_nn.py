"""Small neural networks: scikit-learn's own probabilities from plain lists."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from training_making import FEATURES, NN, make_matrix

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.estimators import load_model, make_estimator
from itb_assets.errors import DataContractError, ModelRejected

ROWS = make_matrix(1500, horizon=0)
X = np.ascontiguousarray(ROWS[list(FEATURES)].to_numpy(np.float64))
UP = ROWS["up"].to_numpy(np.bool_)


def fit(train=None, params=None, *, x=X, seed=3):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_estimator(AlgorithmSpec("nn", "nn", params or {}, train or {})).fit(x, UP, seed=seed)


@pytest.mark.parametrize(
    ("train", "bare"),
    [
        ({"n_epochs": 5}, {"hidden_layer_sizes": (1,)}),
        ({"layers": [6, 3], "n_epochs": 5, "bs": 64}, {"hidden_layer_sizes": (6, 3), "batch_size": 64}),
        (
            {"layers": 8, "n_epochs": 5, "activation": "relu", "learning_rate": 0.01, "alpha": 0.1},
            {"hidden_layer_sizes": (8,), "activation": "relu", "learning_rate_init": 0.01, "alpha": 0.1},
        ),
        (
            {"layers": [5], "n_epochs": 5, "activation": "tanh", "solver": "sgd"},
            {"hidden_layer_sizes": (5,), "activation": "tanh", "solver": "sgd"},
        ),
        (
            {"layers": [5], "n_epochs": 5, "activation": "identity"},
            {"hidden_layer_sizes": (5,), "activation": "identity"},
        ),
    ],
)
def test_nn_is_bare_scikit_learn(train, bare):
    """The probabilities are predict_proba's to 1e-12, also after the model was written and read."""
    scaled = StandardScaler().fit_transform(X)
    given = {"activation": "logistic", "random_state": 3, "max_iter": 5, "tol": 1e-5, "n_iter_no_change": 5}
    network = MLPClassifier(**(given | bare))
    with pytest.warns(ConvergenceWarning):
        expected = network.fit(scaled, UP).predict_proba(scaled)[:, 1]
    model = fit(train)
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(load_model(model.to_payload()).predict(X), model.predict(X))


def test_without_a_word_there_is_one_layer_of_a_quarter_of_the_features():
    wide = np.tile(X, 3)
    assert fit({"n_epochs": 1}, x=wide).weights[0].shape == (9, 2)
    assert fit({"n_epochs": 1}, {"layers": [7]}).weights[0].shape == (3, 7)


def test_unscaled_as_scaled():
    """A batch longer than the rows is shortened without a warning."""
    small = X / 1000
    model = fit({"n_epochs": 3, "bs": 5000}, {"is_scale": False}, x=small)
    network = MLPClassifier((1,), activation="logistic", random_state=3, max_iter=3, batch_size=1500)
    with pytest.warns(ConvergenceWarning):
        expected = network.fit(small, UP).predict_proba(small)[:, 1]
    np.testing.assert_allclose(model.predict(small), expected, rtol=0, atol=1e-12)


def test_a_score_does_not_depend_on_its_neighbours():
    model = fit({"layers": [16, 8], "n_epochs": 2})
    whole = model.predict(X)
    for rows in (1, 3, 476, 1025):
        np.testing.assert_array_equal(model.predict(X[-rows:]), whole[-rows:])


def test_the_seed_decides():
    assert fit({"n_epochs": 2}).to_payload() == fit({"n_epochs": 2}).to_payload()
    assert fit({"n_epochs": 2}).to_payload() != fit({"n_epochs": 2}, seed=4).to_payload()
    own = {"n_epochs": 2, "random_state": 9}
    assert fit(own).to_payload() == fit(own, seed=4).to_payload()


def test_the_feature_that_matters_is_the_most_important():
    model = make_estimator(NN).fit(X, UP, seed=0)
    assert model.note is None
    assert model.feature_importance().argmax() == FEATURES.index("swing")


def test_a_training_cut_short_says_so():
    model = fit({"n_epochs": 2})
    assert "stopped after 2 epochs while the loss was still falling: raise max_iter" in model.note
    assert load_model(model.to_payload()).note == model.note


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_without_end_are_an_error_that_says_what_to_do():
    wild = {"solver": "sgd", "learning_rate": 1e6, "activation": "identity", "n_epochs": 50}
    with pytest.raises(DataContractError, match=r"grew without end.*lower learning_rate, or set is_scale"):
        fit(wild, {"is_scale": False}, x=X * 1e6)


def test_a_torn_payload_is_refused():
    payload = fit({"layers": [4, 2], "n_epochs": 1}).to_payload()
    first, *others = payload["weights"]
    bad = [
        {"weights": others},
        {"weights": [first[:-1], *others]},
        {"weights": [["a"], *others]},
        {"weights": 3},
        {"biases": payload["biases"][:-1]},
        {"biases": [*payload["biases"][:-1], [0.0, 0.0]]},
        {"mean": payload["mean"][:-1]},
        {"importance": []},
        {"activation": "swish"},
        {"epochs": None},
    ]
    for change in bad:
        with pytest.raises(ModelRejected, match="train again"):
            load_model({**payload, **change})
