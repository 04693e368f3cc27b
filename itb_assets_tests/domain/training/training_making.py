"""A small matrix with a learnable label, for the tests of training; no market data belongs here."""

from __future__ import annotations

import numpy as np
import pandas as pd

from itb_assets.domain.specs import AlgorithmSpec, WalkForwardSpec
from itb_assets.domain.training import TrainedModel, TrainingSpec, train_models

FEATURES = ("calm", "swing", "noise")
SMALL = WalkForwardSpec(folds=3, window_rows=100, min_train_rows=200)
LGBM = AlgorithmSpec("lgbm", "lgbm", train={"n_estimators": 15, "num_leaves": 7})
LOGREG = AlgorithmSpec("lc", "lc", params={"is_scale": True})
SVC = AlgorithmSpec("svc", "svc", train={"C": 0.5})
NN = AlgorithmSpec("nn", "nn", train={"layers": [4], "learning_rate": 0.02, "tol": 1e-3})
AUTOML = AlgorithmSpec("automl", "automl", train={"max_trials": 4, "inner_folds": 2, "time_budget_s": None})
ALGORITHMS = (LGBM, LOGREG, SVC, NN, AUTOML)


def make_matrix(rows: int = 1200, *, seed: int = 1, horizon: int = 4) -> pd.DataFrame:
    """Return 5m rows whose labels `up` and `down` depend on `swing`; the last `horizon` are unknown."""
    rng = np.random.default_rng(seed)
    swing = rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=rows, freq="5min", tz="UTC").as_unit("ns"),
            "calm": rng.normal(size=rows) * 100 + 5000,
            "swing": swing,
            "noise": rng.normal(size=rows),
        }
    )
    for label, sign in (("up", 1), ("down", -1)):
        known = pd.array(sign * swing + rng.normal(size=rows) > 1, dtype="boolean")
        known[rows - horizon :] = pd.NA
        frame[label] = known
    return frame


def make_spec(algorithm: AlgorithmSpec = LGBM, **changes) -> TrainingSpec:
    """Return a spec for `make_matrix`, with any field replaced."""
    given = {
        "features": FEATURES,
        "algorithm": algorithm,
        "walk_forward": SMALL,
        "label_horizon": 8,
        "label_horizon_rows": 4,
    }
    return TrainingSpec(**(given | changes))


MATRIX = make_matrix()


def train(matrix=MATRIX, label="up", spec=None, **options) -> TrainedModel:
    """Train one label."""
    return train_models(matrix, [label], spec or make_spec(), **options)[label]
