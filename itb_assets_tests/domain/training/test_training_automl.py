"""The search: seeded and counted, judged inside its training rows, told in a leaderboard."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import pytest
from training_making import AUTOML, FEATURES, make_matrix, make_spec

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training import score_rows, train_models
from itb_assets.domain.training.automl import AutomlEstimator
from itb_assets.domain.training.automl_family import FAMILY
from itb_assets.domain.training.automl_search import inner_windows
from itb_assets.domain.training.estimators import load_model, make_estimator
from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.options import AUTOML_FAMILY
from itb_assets.domain.training.protocol import FitContext
from itb_assets.errors import DataContractError, ModelRejected

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MATRIX = make_matrix(800, horizon=0)
X = np.ascontiguousarray(MATRIX[list(FEATURES)].to_numpy(np.float64))
UP = MATRIX["up"].to_numpy(np.bool_)


def estimator(*, n_fits=1, purge=9, clock=None, **train):
    given = {"inner_folds": 2, "time_budget_s": None, "max_trials": 6} | train
    _, read, _ = read_algorithm(AlgorithmSpec("automl", "automl", train=given))
    context = FitContext(purge, n_fits)
    return AutomlEstimator(read, context=context, **({"clock": clock} if clock else {}))


@pytest.fixture(scope="module")
def found():
    return estimator().fit(X, UP, seed=0)


def test_the_family_is_the_one_that_can_be_asked_for():
    assert tuple(FAMILY) == AUTOML_FAMILY


def test_the_leaderboard_says_what_was_tried(found):
    rows = found.leaderboard
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert sorted(row["trial"] for row in rows) == [0, 1, 2, 3, 4, 5]
    assert {row["algo"] for row in rows} == set(AUTOML_FAMILY)
    complete = [row for row in rows if row["state"] == "complete"]
    values = [row["value"] for row in complete]
    assert values == sorted(values, reverse=True)
    assert rows[: len(complete)] == tuple(complete)
    for row in rows:
        assert row["metric"] == "auc"
        assert row["seconds"] >= 0
        assert row["params"].keys() == FAMILY[row["algo"]].dimensions.keys()
    assert json.loads(json.dumps(rows)) == list(rows)


def test_every_algorithm_begins_with_its_own_defaults(found):
    first = {row["trial"]: row for row in found.leaderboard}
    for trial, algo in enumerate(AUTOML_FAMILY):
        assert first[trial]["algo"] == algo
        assert first[trial]["params"] == pytest.approx(FAMILY[algo].begin)


def test_the_model_is_the_winner_fitted_on_every_row(found):
    best = found.leaderboard[0]
    by_hand = FAMILY[best["algo"]].make(dict(best["params"]), True)  # noqa: FBT003 - is_scale
    np.testing.assert_array_equal(found.predict(X), by_hand.fit(X, UP, seed=0).predict(X))
    assert (found.choice, found.chosen) == (best["algo"], best["params"])
    assert found.note is None


@pytest.mark.parametrize("algo", AUTOML_FAMILY)
def test_each_of_the_family_can_win_and_is_kept_as_plain_data(algo):
    """Also without the extra: what was found is served where nothing is searched."""
    model = estimator(family=[algo], max_trials=1).fit(X, UP, seed=0)
    loaded = load_model(model.to_payload())
    assert (loaded.algo, loaded.choice, loaded.leaderboard) == ("automl", algo, ())
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.feature_importance(), model.feature_importance())
    assert model.feature_importance().argmax() == FEATURES.index("swing")


def test_serving_needs_no_extra(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    payload = {**found.to_payload(), "features": list(FEATURES)}
    np.testing.assert_array_equal(score_rows(payload, FEATURES, MATRIX), found.predict(X))


def test_the_same_seed_searches_the_same_way_and_another_another(found):
    again = estimator().fit(X, UP, seed=0)
    other = estimator().fit(X, UP, seed=1)
    assert again.to_payload() == found.to_payload()

    def tried(model):
        return [(row["trial"], row["params"], row["value"]) for row in model.leaderboard]

    assert tried(again) == tried(found)
    assert tried(other) != tried(found)
    own = estimator(random_state=0).fit(X, UP, seed=5)
    assert tried(own) == tried(found)


@pytest.mark.parametrize(("n_rows", "folds", "purge"), [(800, 2, 9), (1000, 3, 121), (200, 1, 1)])
def test_trials_are_judged_on_the_newest_rows_behind_the_purge(n_rows, folds, purge):
    windows = inner_windows(n_rows, estimator(inner_folds=folds, purge=purge)._plan())
    assert len(windows) == folds
    assert windows[-1].score_end == n_rows
    assert windows[0].score_start == n_rows - folds * int(n_rows * 0.3 // folds)
    for window in windows:
        assert window.train_end + purge == window.score_start
        assert window.train_start == 0


def test_less_log_loss_is_better():
    model = estimator(metric="log_loss").fit(X, UP, seed=0)
    values = [row["value"] for row in model.leaderboard if row["state"] == "complete"]
    assert values == sorted(values)


def test_the_time_limit_is_a_share_of_the_budget_and_a_cut_is_told():
    """100 s among 5 searches; by a clock that moves 3 s a look, 20 s are over before all are tried."""
    ticks = itertools.count(0, 3)
    search = estimator(
        n_fits=5, clock=lambda: next(ticks), time_budget_s=100, max_trials=50, family=["logreg"]
    )
    model = search.fit(X, UP, seed=0)
    assert len(model.leaderboard) == 3
    assert "time_budget_s ended the search after 3 of 50 trials" in model.note
    assert "score differently" in model.note


def test_one_trial_is_made_however_little_time_there_is():
    ticks = itertools.count(0, 1000)
    model = estimator(clock=lambda: next(ticks), time_budget_s=1).fit(X, UP, seed=0)
    assert len(model.leaderboard) == 1
    assert model.choice == "lgbm"


def test_hopeless_trials_end_early():
    """Pruned ones stand behind the complete ones, whatever their first window promised."""
    search = estimator(family=["logreg", "nn"], max_trials=16, inner_folds=3, metric="log_loss")
    states = [row["state"] for row in search.fit(X, UP, seed=0).leaderboard]
    assert states == sorted(states)
    assert states.count("pruned") > 0


def test_rows_that_judge_nothing_are_refused():
    early = np.zeros(800, dtype=np.bool_)
    early[:100:3] = True
    with pytest.raises(DataContractError, match=r"none of 2 trials.*of one class: they have no auc"):
        estimator(max_trials=2).fit(X, early, seed=0)
    late = early[::-1].copy()
    with pytest.raises(DataContractError, match=r"all \d+ training labels are False.*choose the metric"):
        estimator(max_trials=2, inner_folds=1).fit(X, late, seed=0)
    assert estimator(max_trials=2, metric="brier").fit(X, early, seed=0).leaderboard


def test_too_few_rows_to_hold_some_back_are_refused():
    with pytest.raises(DataContractError, match="60 training rows are too few for automl to hold 2 windows"):
        estimator(purge=30).fit(X[:60], UP[:60], seed=0)


def test_a_training_tells_the_leaderboard_of_the_final_fit_and_the_cut_of_every_search():
    """Every fold searches in its own rows; the budget of a label is shared among all of its searches."""
    hurried = AlgorithmSpec(
        "automl", "automl", train={"family": ["logreg"], "max_trials": 2, "time_budget_s": 1e-6}
    )
    matrix = make_matrix()
    model = train_models(matrix, ["up"], make_spec(hurried))["up"]
    assert [note.split(":")[0] for note in model.notes] == ["fold 0", "fold 1", "fold 2", "final fit"]
    assert all("1 of 2 trials" in note for note in model.notes)
    assert model.metrics_json()["leaderboard"] == list(model.leaderboard)
    assert model.hyperparameters["purge_rows"] == 9
    whole = train_models(matrix, ["up"], make_spec(AUTOML))["up"]
    assert whole.notes == ()
    assert len(whole.leaderboard) == 4
    assert "leaderboard" not in whole.payload


def test_no_other_algorithm_has_a_leaderboard():
    model = train_models(make_matrix(), ["up"], make_spec())["up"]
    assert model.leaderboard is None
    assert model.metrics_json()["leaderboard"] is None


def test_the_context_reaches_the_search():
    made = make_estimator(AUTOML, FitContext(purge_rows=7, n_fits=4))
    assert made._plan().purge_rows == 7
    assert made.hyperparameters(3)["random_state"] == 3


def test_a_torn_payload_is_refused(found):
    payload = found.to_payload()
    bad = [
        {"model": None},
        {"model": {}},
        {"model": {"algo": "automl"}},
        {"model": {**payload["model"], "algo": []}},
        {"choice": 3},
        {"chosen": None},
    ]
    for change in bad:
        with pytest.raises(ModelRejected, match="train again"):
            load_model({**payload, **change})
