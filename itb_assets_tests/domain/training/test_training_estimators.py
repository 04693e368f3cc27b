"""The two algorithms: what they accept, agreement with their libraries, how torn models are refused."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from training_making import FEATURES, LGBM, LOGREG, make_matrix

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.estimators import load_model, make_estimator
from itb_assets.errors import DataContractError, ModelRejected

ROWS = make_matrix(600, horizon=0)
X = np.ascontiguousarray(ROWS[list(FEATURES)].to_numpy(np.float64))
UP = ROWS["up"].to_numpy(np.bool_)
DOWN = ROWS["down"].to_numpy(np.bool_)


def fit(algorithm=LGBM, x=X, y=UP):
    return make_estimator(algorithm).fit(x, y, seed=0)


def test_lgbm_is_bare_lightgbm():
    """The wrapper adds nothing: the same parameters handed to LightGBM predict the same bits."""
    params = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "seed": 0}
    params |= {"deterministic": True, "force_row_wise": True, "learning_rate": 0.05}
    bare = lightgbm.train(params, lightgbm.Dataset(X, label=UP), num_boost_round=15)
    np.testing.assert_array_equal(fit().predict(X), bare.predict(X))


def test_logreg_is_bare_scikit_learn():
    scaled = StandardScaler().fit_transform(X)
    bare = LogisticRegression().fit(scaled, UP).predict_proba(scaled)[:, 1]
    np.testing.assert_allclose(fit(LOGREG).predict(X), bare, rtol=1e-12)


@pytest.mark.parametrize(
    ("train", "bare"),
    [
        (
            {"penalty": "l1", "solver": "liblinear", "C": 0.05},
            {"l1_ratio": 1.0, "solver": "liblinear", "C": 0.05},
        ),
        ({"penalty": "none"}, {"C": np.inf}),
        ({"class_weight": "balanced"}, {"class_weight": "balanced"}),
    ],
)
def test_logreg_settings_reach_scikit_learn(train, bare):
    scaled = StandardScaler().fit_transform(X)
    expected = LogisticRegression(random_state=0, **bare).fit(scaled, UP)
    model = fit(AlgorithmSpec("lc", "lc", train=train))
    np.testing.assert_allclose(model.coefficients, expected.coef_[0], rtol=1e-9, atol=1e-12)


def test_logreg_without_scale_or_intercept():
    small = X / 1000
    spec = AlgorithmSpec("lc", "lc", params={"is_scale": False}, train={"fit_intercept": False})
    model = fit(spec, small)
    bare = LogisticRegression(fit_intercept=False).fit(small, UP).predict_proba(small)[:, 1]
    assert model.intercept == 0.0
    np.testing.assert_allclose(model.predict(small), bare, rtol=1e-12)


def test_a_constant_feature_is_harmless():
    flat = X.copy()
    flat[:, 0] = 3.0
    for algorithm in (LGBM, LOGREG):
        model = fit(algorithm, flat)
        assert np.isfinite(model.predict(flat)).all()
        assert model.feature_importance()[0] == pytest.approx(0, abs=1e-12)


def test_several_labels_at_once_equal_one_by_one():
    """Binning once for several labels changes no bit."""
    for algorithm in (LGBM, LOGREG):
        estimator = make_estimator(algorithm)
        together = estimator.fit_many(X, [UP, DOWN, UP], seed=3)
        alone = [estimator.fit(X, y, seed=3) for y in (UP, DOWN, UP)]
        assert [m.to_payload() for m in together] == [m.to_payload() for m in alone]
        assert estimator.fit_many(X, [], seed=3) == ()


def test_the_feature_that_matters_is_the_most_important():
    for algorithm in (LGBM, LOGREG):
        importance = fit(algorithm).feature_importance()
        assert importance.argmax() == FEATURES.index("swing")
        assert (importance >= 0).all()


def test_class_weight_raises_the_scores_of_the_rare_class():
    for algo in ("lgbm", "lc"):
        plain = fit(AlgorithmSpec("a", algo)).predict(X).mean()
        balanced = fit(AlgorithmSpec("a", algo, train={"class_weight": "balanced"})).predict(X).mean()
        assert balanced > plain + 0.05


def test_a_logreg_score_does_not_depend_on_its_neighbours():
    """Twelve new rows score as they would amid the whole history, bit for bit."""
    model = fit(LOGREG)
    np.testing.assert_array_equal(model.predict(X[-12:]), model.predict(X)[-12:])


def test_notes_say_what_a_person_should_know():
    assert fit().note is None
    stumps = AlgorithmSpec("a", "lgbm", train={"min_child_samples": 10_000})
    assert "no split" in fit(stumps).note
    with pytest.warns(match="converge"):
        hurried = fit(AlgorithmSpec("a", "lc", train={"max_iter": 1}))
    assert "raise max_iter" in hurried.note
    assert fit(LOGREG).note is None


@pytest.mark.parametrize("algorithm", [LGBM, LOGREG], ids=["lgbm", "logreg"])
def test_rows_that_make_no_model_are_refused(algorithm):
    """Too few rows, one class and unknown values: all told at once."""
    with pytest.raises(DataContractError, match="10 training rows: expected at least 20") as refused:
        fit(algorithm, X[:10], np.zeros(10, dtype=np.bool_))
    assert "all 10 training labels are False: expected both classes" in str(refused.value)
    with pytest.raises(DataContractError, match="all 600 training labels are True"):
        fit(algorithm, X, np.ones(600, dtype=np.bool_))
    with pytest.raises(DataContractError, match=r"shape \(600, 3\) and labels \(5,\)"):
        fit(algorithm, X, UP[:5])
    torn = X.copy()
    torn[3, 1] = np.nan
    torn[4, 1] = np.inf
    with pytest.raises(DataContractError, match="2 training rows hold NaN or inf"):
        fit(algorithm, torn)


def test_lightgbm_reads_an_unseen_nan_as_zero():
    """The reason why a row with an unknown feature gets no score; if this fails, reconsider the rule."""
    unknown, zero = X.copy(), X.copy()
    unknown[:, 1], zero[:, 1] = np.nan, 0.0
    bare = fit().booster
    np.testing.assert_array_equal(bare.predict(unknown), bare.predict(zero))
    assert np.isnan(fit().predict(unknown)).all()


def test_torn_lightgbm_text_is_refused_before_lightgbm_reads_it():
    """LightGBM's own parser reads past the end of such text and ends the process."""
    payload = fit().to_payload()
    text = payload["model"]
    torn = [text[:2000], text[: text.index("end of trees") + 200], text.replace("1", "2", 1), "", "garbage"]
    for bad in torn:
        with pytest.raises(ModelRejected, match="train again"):
            load_model({**payload, "model": bad})
    np.testing.assert_array_equal(load_model(payload).predict(X), fit().predict(X))


def test_a_payload_of_another_shape_is_refused():
    lgbm, logreg = fit().to_payload(), fit(LOGREG).to_payload()
    bad = [
        None,
        [],
        {},
        {"algo": "svc"},
        {"algo": []},
        {**lgbm, "model": 3},
        {**lgbm, "n_features": 4},
        {**lgbm, "sha256": None},
        {**lgbm, "n_features": "3"},
        {**logreg, "mean": logreg["mean"][:2]},
        {**logreg, "scale": ["1", "2", "3"]},
        {**logreg, "intercept": None},
        {**logreg, "coefficients": [1.0, float("nan"), 2.0]},
    ]
    for payload in bad:
        with pytest.raises(ModelRejected, match="train again"):
            load_model(payload)


def test_a_wrong_width_is_refused():
    for algorithm in (LGBM, LOGREG):
        with pytest.raises(ModelRejected, match="expected 3 columns"):
            fit(algorithm).predict(X[:, :2])
