"""What a strategy may ask of an algorithm, and how a wrong wish is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from itb_assets.domain import training
from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.estimators import ALGOS, make_estimator
from itb_assets.domain.training.hyperparameters import algorithm_problems, canonical_algo, read_algorithm
from itb_assets.domain.training.options import OPTIONS
from itb_assets.errors import ConfigError


def test_every_algorithm_with_options_is_registered():
    """Strategies are checked against the options, models built from the registry: they name the same."""
    assert set(OPTIONS) == set(ALGOS)


def test_legacy_names_are_aliases():
    assert canonical_algo("gb") == "lgbm"
    assert canonical_algo("lc") == "logreg"


@pytest.mark.parametrize("algo", ["xgboost", "SVC", ""])
def test_an_unknown_algorithm_is_refused_with_the_known_ones(algo):
    known = r"expected one of lgbm \(alias gb\), logreg \(alias lc\), svc, nn, automl$"
    with pytest.raises(ConfigError, match=known):
        make_estimator(AlgorithmSpec("x", algo))
    with pytest.raises(ConfigError, match=known):
        canonical_algo(algo)


def test_all_mistakes_are_listed_at_once():
    """One attempt is enough to learn of every wrong key."""
    spec = AlgorithmSpec(
        "lgbm",
        "lgbm",
        params={"scale": True, "length": -1, "is_regression": True},
        train={
            "num_leafs": 31,
            "learning_rate": 0,
            "max_depth": "deep",
            "subsample": 1.5,
            "n_estimators": True,
            "lambda_l1": 0.1,
            "reg_alpha": 0.1,
            "objective": "regression",
        },
    )
    with pytest.raises(ConfigError) as refused:
        make_estimator(spec)
    assert refused.value.origin == "algorithm 'lgbm'"
    told = {
        "train.num_leafs is not known: expected one of n_estimators, num_leaves",
        "train.learning_rate is 0: expected a number at least",
        "train.max_depth is 'deep': expected a whole number at least -1",
        "train.subsample is 1.5: expected a number at least 1e-12 and at most 1",
        "train.n_estimators is True: expected a whole number at least 1",
        "train.reg_alpha and train.lambda_l1 are the same setting: keep one",
        "train.objective is 'regression': expected one of 'binary', 'cross_entropy'",
        "params.scale is not known: expected one of is_scale, length",
        "params.length is -1: expected a whole number at least 0",
        "params.is_regression is true: only classification is trained",
    }
    assert len(refused.value.problems) == len(told)
    for beginning in told:
        assert any(problem.startswith(beginning) for problem in refused.value.problems), beginning


def test_balance_is_asked_for_once():
    problems = algorithm_problems(
        AlgorithmSpec("a", "gb", train={"class_weight": "balanced", "is_unbalance": True})
    )
    assert [p for p in problems if "keep one" in p]


@pytest.mark.parametrize(
    ("penalty", "solver", "fits"),
    [
        ("l1", "lbfgs", False),
        ("l1", "saga", True),
        ("elasticnet", "liblinear", False),
        (None, "liblinear", False),
    ],
)
def test_a_solver_must_know_the_penalty(penalty, solver, fits):
    problems = algorithm_problems(AlgorithmSpec("a", "lc", train={"penalty": penalty, "solver": solver}))
    assert (not problems) == fits


@pytest.mark.parametrize(
    "train",
    [
        {
            "num_leaves": 31,
            "learning_rate": 0.05,
            "n_estimators": 300,
            "max_depth": -1,
            "min_child_samples": 20,
        },
        {"feature_fraction": 0.9, "bagging_fraction": 0.9, "bagging_freq": 3, "min_data_in_leaf": 50},
        {
            "objective": "binary",
            "metric": "binary_logloss",
            "verbose": -1,
            "reg_alpha": 0.1,
            "reg_lambda": 1.0,
        },
        {"num_boost_round": 50, "lambda_l1": 1, "lambda_l2": 1, "objective": "cross_entropy", "n_jobs": -1},
    ],
)
def test_the_keys_of_legacy_configs_are_known(train):
    assert algorithm_problems(AlgorithmSpec("lgbm", "lgbm", train=train)) == ()


@pytest.mark.parametrize(
    ("algo", "params", "train"),
    [
        ("svc", {"is_scale": True, "length": 8760}, {"C": 1.0}),
        ("svc", {"is_scale": True, "length": 0}, {"C": 1.0, "gamma": 0.005, "probability": True}),
        ("svc", {}, {"kernel": "rbf", "gamma": "scale"}),
        ("nn", {"layers": [29]}, {"learning_rate": 0.001, "n_epochs": 15, "bs": 1024}),
        ("nn", {"layers": 29}, {}),
    ],
)
def test_the_keys_of_the_legacy_bots_svc_and_nn_are_known(algo, params, train):
    assert algorithm_problems(AlgorithmSpec("a", algo, params, train)) == ()


def test_legacy_keys_of_a_network_mean_scikit_learns():
    legacy = AlgorithmSpec("a", "nn", {"layers": [8, 4]}, {"learning_rate": 0.01, "n_epochs": 7, "bs": 64})
    _, train, params = read_algorithm(legacy)
    meant = {"hidden_layer_sizes": [8, 4], "learning_rate_init": 0.01, "max_iter": 7, "batch_size": 64}
    assert {key: train[key] for key in meant} == meant
    assert "layers" not in params
    twice = AlgorithmSpec("a", "nn", {"layers": [8]}, {"hidden_layer_sizes": [8]})
    assert "are the same setting: keep one" in algorithm_problems(twice)[0]


@pytest.mark.parametrize(
    ("algo", "train", "told"),
    [
        ("svc", {"gamma": "small"}, "a number at least 1e-12, or 'scale', 'auto'"),
        ("svc", {"gamma": 0}, "a number at least 1e-12, or 'scale', 'auto'"),
        ("nn", {"layers": []}, "a list of whole numbers, each at least 1 and at most 100000"),
        ("nn", {"layers": [4, 0.5]}, "a list of whole numbers, each at least 1"),
        ("nn", {"learning_rate": "adaptive"}, "a number at least 1e-12"),
        ("automl", {"family": []}, "a list of some of 'lgbm', 'extra_trees', 'logreg', 'nn'"),
        ("automl", {"family": ["lgbm", "lgbm"]}, "a list of some of"),
        ("automl", {"family": "lgbm"}, "a list of some of"),
        ("automl", {"metric": "accuracy"}, "one of 'auc', 'average_precision', 'log_loss', 'brier'"),
        ("automl", {"time_budget_s": 0}, "a number at least 1e-12, or null"),
        ("automl", {"max_trials": None}, "a whole number at least 1"),
    ],
)
def test_each_option_says_what_it_takes(algo, train, told):
    (problem,) = algorithm_problems(AlgorithmSpec("a", algo, train=train))
    assert f"expected {told}" in problem


def test_a_search_without_a_time_limit_can_be_asked_for():
    for said, meant in ((None, None), (60, 60.0)):
        _, train, _ = read_algorithm(AlgorithmSpec("a", "automl", train={"time_budget_s": said}))
        assert train["time_budget_s"] == meant


def test_a_missing_extra_is_an_error_that_names_it(monkeypatch):
    """Neither checking a strategy nor training goes on; serving a model that was found needs no extra."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    spec = AlgorithmSpec("a", "automl")
    assert [p for p in algorithm_problems(spec) if "pip install 'itb_assets[automl]'" in p]
    with pytest.raises(ConfigError, match="needs the extra `automl`, which is not installed"):
        make_estimator(spec)
    assert algorithm_problems(AlgorithmSpec("a", "lgbm")) == ()


def test_an_alias_means_its_key():
    _, train, params = read_algorithm(AlgorithmSpec("a", "gb", train={"num_boost_round": 7.0, "eta": 1}))
    assert train["n_estimators"] == 7
    assert isinstance(train["n_estimators"], int)
    assert train["learning_rate"] == 1.0
    assert params["every_nth_row"] == 1


def test_what_lightgbm_is_handed():
    """scikit-learn's names become LightGBM's, one thread and determinism are not negotiable."""
    spec = AlgorithmSpec(
        "a", "lgbm", train={"subsample": 0.8, "colsample_bytree": 0.7, "class_weight": "balanced"}
    )
    handed = make_estimator(spec).hyperparameters(5)
    expected = {
        "bagging_fraction": 0.8,
        "bagging_freq": 0,
        "feature_fraction": 0.7,
        "is_unbalance": True,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 5,
        "n_estimators": 100,
    }
    assert {key: handed[key] for key in expected} == expected


def test_a_seed_in_the_strategy_wins():
    keys = {"lgbm": "seed", "lc": "random_state", "nn": "random_state", "automl": "random_state"}
    for algo, key in keys.items():
        spec = AlgorithmSpec("a", algo, train={"random_state": 42})
        assert make_estimator(spec).hyperparameters(5)[key] == 42


def test_checking_a_strategy_imports_no_learning_library():
    """`itb strategies check` stays quick."""
    code = (
        "import sys\n"
        "from itb_assets.domain.specs import AlgorithmSpec\n"
        "from itb_assets.domain.training.hyperparameters import algorithm_problems\n"
        "assert algorithm_problems(AlgorithmSpec('a', 'automl')) == ()\n"
        "heavy = {'lightgbm', 'sklearn', 'scipy', 'pandas', 'optuna'}\n"
        "assert not heavy & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_extra_is_imported_by_a_search_alone():
    """No module needs it to be imported: what else is trained or served works without it."""
    package = Path(training.__file__).parents[2]
    sources = {path: path.read_text("utf-8") for path in package.rglob("*.py")}
    assert sum("optuna" in source for source in sources.values()) >= 2
    at_import = re.compile(r"^(import|from) optuna", re.MULTILINE)
    assert [path for path, source in sources.items() if at_import.search(source)] == []
