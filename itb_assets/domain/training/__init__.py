"""Training: estimators behind one contract, walk-forward evaluation, metrics out of sample, scoring.

Features and labels are computed elsewhere and arrive as columns; where a model is kept belongs to storage.

`options` `hyperparameters`      what a strategy may ask of an algorithm; import no learning library
`protocol` `inputs`              what an estimator and a fitted model promise; standardised inputs
`lgbm` `logreg` `svc` `nn`       the algorithms
`automl` `automl_search` `automl_family`   the algorithm that chooses among them
`estimators`                     the registry: algorithm spec to estimator, payload to fitted model
`walk_forward` `kfold`           which rows train and which are scored
`table`                          the matrix as arrays, with what is usable in it
`plan` `fits`                    the fits of a training, run side by side
`metrics` `judging`              numbers about scored rows, refused for rows a model trained on
`cross_validation` `train`       the whole of it
`results`                        what a training returns
`score`                          probabilities for new rows

The names below are loaded at first use: reading `hyperparameters` must not cost the import of LightGBM.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb_assets.domain.training.cross_validation import cross_validate
    from itb_assets.domain.training.results import CrossValidation, FoldResult, TrainedModel, TrainingSpec
    from itb_assets.domain.training.score import score_rows
    from itb_assets.domain.training.train import train_model, train_models

__all__ = [
    "CrossValidation",
    "FoldResult",
    "TrainedModel",
    "TrainingSpec",
    "cross_validate",
    "score_rows",
    "train_model",
    "train_models",
]

_HOME = {
    "CrossValidation": "results",
    "FoldResult": "results",
    "TrainedModel": "results",
    "TrainingSpec": "results",
    "cross_validate": "cross_validation",
    "score_rows": "score",
    "train_model": "train",
    "train_models": "train",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module at first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
