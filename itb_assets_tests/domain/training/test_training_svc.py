"""Support vector machines: scikit-learn's own probabilities from plain lists, calibrated on unknown rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from training_making import FEATURES, make_matrix, make_spec
from training_making import SVC as SVC_SPEC

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training import options, train_model, train_models
from itb_assets.domain.training.estimators import load_model, make_estimator
from itb_assets.domain.training.kfold import purged_kfold_windows
from itb_assets.domain.training.protocol import FitContext
from itb_assets.errors import ConfigError, DataContractError, ModelRejected

ROWS = make_matrix(400, horizon=0)
X = np.ascontiguousarray(ROWS[list(FEATURES)].to_numpy(np.float64))
UP = ROWS["up"].to_numpy(np.bool_)


def fit(train=None, params=None, purge=1, x=X, y=UP):
    spec = AlgorithmSpec("svc", "svc", params or {}, train or {})
    return make_estimator(spec, FitContext(purge)).fit(x, y, seed=0)


def bare(train, *, scale, purge=1, folds=5):
    """Calibrate scikit-learn's machine on the same folds, with nothing of ours but their rows."""
    windows = purged_kfold_windows(len(X), folds, purge, 0)
    cv = [(window.train, np.arange(window.score_start, window.score_end)) for window in windows]
    steps = ([StandardScaler()] if scale else []) + [SVC(**train)]
    return CalibratedClassifierCV(make_pipeline(*steps), ensemble=False, cv=cv).fit(X, UP)


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"C": 0.3, "gamma": 0.05, "class_weight": "balanced"},
        {"gamma": "auto", "shrinking": False},
        {"kernel": "linear", "C": 0.1},
        {"kernel": "poly", "degree": 2, "coef0": 1.0},
        {"kernel": "sigmoid", "gamma": 0.01},
    ],
)
def test_svc_is_bare_scikit_learn(train):
    """The probabilities are predict_proba's to 1e-12, also after the model was written and read."""
    expected = bare(train, scale=True).predict_proba(X)[:, 1]
    model = fit(train)
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(load_model(model.to_payload()).predict(X), model.predict(X))


def test_without_scale_as_with_it():
    small = {"C": 0.5, "gamma": 1e-4}
    expected = bare(small, scale=False).predict_proba(X)[:, 1]
    np.testing.assert_allclose(fit(small, {"is_scale": False}).predict(X), expected, rtol=0, atol=1e-12)


def test_the_sigmoid_is_fitted_behind_the_purge():
    """Rows whose labels overlap never calibrate each other."""
    expected = bare({}, scale=True, purge=40, folds=3).predict_proba(X)[:, 1]
    ours = fit({"calibration_folds": 3}, purge=40).predict(X)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    assert np.abs(ours - fit({"calibration_folds": 3}).predict(X)).max() > 1e-9


def test_a_score_does_not_depend_on_its_neighbours():
    model = fit()
    whole = model.predict(X)
    for rows in (1, 2, 63, 65):
        np.testing.assert_array_equal(model.predict(X[-rows:]), whole[-rows:])


def test_the_feature_that_matters_is_the_most_important():
    for kernel in ("rbf", "linear"):
        importance = fit({"kernel": kernel}).feature_importance()
        assert importance.argmax() == FEATURES.index("swing")
    flat = X.copy()
    flat[:, 0] = 3.0
    assert fit(x=flat).feature_importance()[0] == 0


def test_a_linear_importance_is_the_coefficient():
    """One standard deviation moves the log-odds of a linear machine by slope x coefficient."""
    model = fit({"kernel": "linear"})
    coefficients = model.weights @ model.vectors
    np.testing.assert_allclose(
        model.feature_importance(), np.abs(model.slope * coefficients), rtol=1e-9, atol=1e-12
    )


def test_by_default_only_so_many_rows_are_fitted_and_the_notes_say_so(monkeypatch):
    monkeypatch.setattr(options, "SVC_LENGTH", 150)
    matrix = make_matrix()
    model = train_models(matrix, ["up"], make_spec(SVC_SPEC))["up"]
    assert model.n_train_rows == 150
    assert [fold.n_train_rows for fold in model.folds] == [150, 150, 150]
    assert model.notes[0].startswith("svc is fitted on the newest 150 of 1,196 rows")
    assert "params.length" in model.notes[0]
    for length, rows in ((150, 150), (0, 1192)):
        chosen = AlgorithmSpec("svc", "svc", {"length": length}, {"max_iter": 2000})
        model = train_models(matrix, ["up"], make_spec(chosen))["up"]
        assert model.n_train_rows == rows
        assert not [note for note in model.notes if "params.length" in note]


def test_a_default_that_cuts_nothing_is_not_noted():
    spec = make_spec(SVC_SPEC)
    words = {"features": spec.features, "algorithm": SVC_SPEC, "walk_forward": spec.walk_forward}
    model = train_model(make_matrix(), label="up", label_horizon=8, label_horizon_rows=4, **words)
    assert model.notes == ()


def test_a_machine_that_stopped_early_says_so():
    with pytest.warns(match="max_iter"):
        model = fit({"max_iter": 1})
    assert "raise max_iter" in model.note
    assert load_model(model.to_payload()).note == model.note


def test_a_calibration_fold_of_one_class_is_refused():
    late = np.zeros(400, dtype=np.bool_)
    late[390:] = True
    with pytest.raises(DataContractError, match="calibration fold 4 are False: expected both classes"):
        fit(y=late)


def test_too_few_rows_for_the_purge_are_refused():
    with pytest.raises(DataContractError, match="400 usable rows in 5 folds, 400 purged"):
        fit(purge=400)


def test_what_scikit_learn_refuses_is_an_error_of_the_strategy():
    with pytest.raises(ConfigError, match="scikit-learn refused the hyperparameters"):
        make_estimator(AlgorithmSpec("a", "svc", train={"kernel": "poly", "coef0": 1e308})).fit(X, UP, seed=0)


def test_a_torn_payload_is_refused():
    payload = fit().to_payload()
    bad = [
        {"vectors": payload["vectors"][:-1]},
        {"vectors": []},
        {"vectors": [[0.0, 1.0, 2.0], [0.0]]},
        {"vectors": payload["weights"]},
        {"weights": [*payload["weights"][:-1], float("inf")]},
        {"mean": ["1", "2", "3"]},
        {"kernel": "cubic"},
        {"degree": "3"},
        {"slope": None},
    ]
    for change in bad:
        with pytest.raises(ModelRejected, match="train again"):
            load_model({**payload, **change})
