"""Walk-forward on real klines reaches what the unmodified legacy bot's code reaches out of sample.

The golden matrix and the reference numbers are described in the data folder's README.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from itb_assets.domain.specs import AlgorithmSpec, WalkForwardSpec
from itb_assets.domain.training import TrainingSpec, score_rows, train_models

LABELS = ("high_030_4", "high_040_4", "high_050_4", "low_030_4", "low_040_4", "low_050_4")
REFERENCE_AUC = {"high_040_4": 0.758, "low_040_4": 0.756}
AGGRESSIVE = AlgorithmSpec(
    "lgbm",
    "lgbm",
    train={
        "num_leaves": 31,
        "learning_rate": 0.05,
        "n_estimators": 300,
        "max_depth": -1,
        "min_child_samples": 20,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
    },
)

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def matrix(test_data: Path) -> pd.DataFrame:
    return pd.read_parquet(test_data / "golden" / "itb_btcusdt_5m_aggressive_matrix.parquet")


@pytest.fixture(scope="module")
def models(matrix):
    spec = TrainingSpec(
        features=tuple(name for name in matrix.columns if name not in ("timestamp", *LABELS)),
        algorithm=AGGRESSIVE,
        walk_forward=WalkForwardSpec(folds=4, window_rows=4032),
        label_horizon=8,
        label_horizon_rows=4,
    )
    return train_models(matrix, list(REFERENCE_AUC), spec, threads=2)


def test_the_split_is_the_legacy_one(matrix, models):
    """The last 4 x 4,032 of 51,864 rows, each window scored from rows that end 9 before it."""
    times = matrix["timestamp"]
    for model in models.values():
        assert len(matrix) == 51_864
        assert model.purge_rows == 9
        assert model.scores["timestamp"].tolist() == times.iloc[-4 * 4032 :].tolist()
        for k, fold in enumerate(model.folds):
            first = 51_864 - (4 - k) * 4032
            assert fold.score_start == times[first]
            assert fold.train_end == times[first - 9]
            assert fold.n_train_rows == first - 9 - 47  # the first 47 rows lack close_SMA_48


@pytest.mark.parametrize("label", REFERENCE_AUC)
def test_out_of_sample_auc_is_that_of_the_legacy_code(matrix, models, label):
    """Within 0.02 of 0.758 and 0.756; 0.7555 and 0.7536 when this was written."""
    model = models[label]
    assert model.metrics.rows == 4 * 4032
    assert model.metrics.auc == pytest.approx(REFERENCE_AUC[label], abs=0.02)
    scored = matrix.set_index("timestamp").loc[model.scores["timestamp"], label]
    assert model.metrics.auc == pytest.approx(roc_auc_score(scored, model.scores["score"]), rel=1e-12)


@pytest.mark.parametrize("label", REFERENCE_AUC)
def test_the_flattering_in_sample_number_is_nowhere(matrix, models, label):
    """Scored on its own training rows the model looks like 0.95, what the legacy bot reports; we never do."""
    model = models[label]
    scores = score_rows(model.payload, model.features, matrix)
    known = np.isfinite(scores)
    flattering = roc_auc_score(matrix.loc[known, label], scores[known])
    assert flattering > 0.9
    document = json.dumps(model.metrics_json())
    assert str(flattering)[:5] not in document
    assert all(fold.metrics.auc < 0.85 for fold in model.folds)


@pytest.mark.parametrize("label", REFERENCE_AUC)
def test_signals_win_more_often_than_chance(models, label):
    """The top 5 % by earlier folds' thresholds are right at least three times as often as any row."""
    metrics = models[label].metrics
    assert metrics.signals > 300
    assert metrics.win_rate > 3 * metrics.base_rate
