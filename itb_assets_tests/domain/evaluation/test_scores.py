"""AUC, average precision and log loss by one sort: scikit-learn's numbers, ties and all."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from itb_assets.domain import evaluation
from itb_assets.domain.evaluation.scores import (
    auc_influence,
    average_precision,
    log_losses,
    rank,
    roc_auc,
)
from itb_assets.errors import DataContractError

scored = st.lists(
    st.tuples(st.integers(0, 20).map(lambda twentieths: twentieths / 20), st.booleans()),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({label for _, label in rows}) == 2)


def arrays(rows):
    score, label = zip(*rows, strict=True)
    return np.array(score), np.array(label)


@given(scored)
def test_ranking_numbers_are_those_of_scikit_learn(rows):
    score, label = arrays(rows)
    ranking = rank(score, label)
    assert roc_auc(ranking) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert average_precision(ranking) == pytest.approx(average_precision_score(label, score), abs=1e-12)


@given(scored)
def test_log_losses_are_those_of_scikit_learn(rows):
    score, label = arrays(rows)
    inside = np.clip(score, 0.01, 0.99)
    assert log_losses(inside, label).mean() == pytest.approx(log_loss(label, inside), rel=1e-12)


def test_certainty_that_failed_costs_much_but_not_everything():
    assert log_losses(np.array([0.0, 1.0]), np.array([True, False])) == pytest.approx(
        15 * np.log(10), rel=0.01
    )


def test_one_class_has_nothing_to_order():
    ranking = rank(np.array([0.1, 0.2]), np.array([True, True]))
    assert roc_auc(ranking) is None
    assert average_precision(ranking) is None
    with pytest.raises(DataContractError, match="all 2 outcomes are alike"):
        auc_influence(ranking, np.array([True, True]))
    nothing = rank(np.empty(0), np.empty(0, dtype=np.bool_))
    assert roc_auc(nothing) is None


@given(scored)
def test_the_influence_of_all_rows_sums_to_nothing(rows):
    score, label = arrays(rows)
    assert auc_influence(rank(score, label), label).mean() == pytest.approx(0, abs=1e-12)


def test_influence_tells_the_auc_of_resampled_rows():
    """The mean influence of resampled rows is what their AUC differs by, but for the square of that."""
    rng = np.random.default_rng(3)
    score = rng.normal(size=4000)
    label = rng.uniform(size=4000) < 1 / (1 + np.exp(1 - score))
    influence, whole = auc_influence(rank(score, label), label), roc_auc(rank(score, label))
    told, found = [], []
    for _ in range(200):
        rows = rng.integers(0, 4000, 4000)
        told.append(influence[rows].mean())
        found.append(roc_auc(rank(score[rows], label[rows])) - whole)
    assert np.corrcoef(told, found)[0, 1] > 0.99
    assert np.std(told) == pytest.approx(np.std(found), rel=0.05)


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules(evaluation.__path__)])
def test_examples_in_docstrings_are_true(module):
    found = importlib.import_module(f"{evaluation.__name__}.{module}")
    assert doctest.testmod(found).failed == 0
