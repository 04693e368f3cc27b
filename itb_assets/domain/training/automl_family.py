"""What an automl search may choose from: algorithms, the ranges of their hyperparameters, where to begin.

Searching belongs to `automl_search`; fitting belongs to the algorithms themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itb_assets.domain.training.hyperparameters import default_train
from itb_assets.domain.training.lgbm import LgbmEstimator
from itb_assets.domain.training.logreg import LogregEstimator
from itb_assets.domain.training.nn import NnEstimator
from itb_assets.domain.training.protocol import Estimator


@dataclass(frozen=True)
class Range:
    """A number between two bounds, on a logarithmic scale where it spans orders of magnitude."""

    low: float
    high: float
    begin: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Tell whether only whole numbers are meant."""
        return isinstance(self.low, int)


@dataclass(frozen=True)
class Words:
    """One of some words, the first to begin with."""

    words: tuple[str, ...]

    @property
    def begin(self) -> str:
        """The word to begin with."""
        return self.words[0]


@dataclass(frozen=True)
class Member:
    """One algorithm of the family: its dimensions, and how a choice of them becomes an estimator."""

    dimensions: Mapping[str, Range | Words]
    make: Callable[[dict[str, Any], bool], Estimator]

    @property
    def begin(self) -> dict[str, Any]:
        """The choice to begin with: never is a search worse, by its own measure, than this."""
        return {name: dimension.begin for name, dimension in self.dimensions.items()}


def _make_lgbm(chosen: dict[str, Any], _is_scale: bool) -> Estimator:  # noqa: FBT001 - one signature for all
    return LgbmEstimator({**default_train("lgbm"), "subsample_freq": 1, **chosen})


def _make_extra_trees(chosen: dict[str, Any], _is_scale: bool) -> Estimator:  # noqa: FBT001 - as above
    forest = {"boosting_type": "rf", "extra_trees": True, "subsample": 0.632, "subsample_freq": 1}
    return LgbmEstimator({**default_train("lgbm"), **forest, **chosen})


def _make_logreg(chosen: dict[str, Any], is_scale: bool) -> Estimator:  # noqa: FBT001 - as above
    return LogregEstimator({**default_train("logreg"), "max_iter": 500, **chosen}, is_scale=is_scale)


def _make_nn(chosen: dict[str, Any], is_scale: bool) -> Estimator:  # noqa: FBT001 - as above
    layers = [int(units) for units in chosen["layers"].split("x")]
    rest = {key: value for key, value in chosen.items() if key != "layers"}
    return NnEstimator(
        {**default_train("nn"), "hidden_layer_sizes": layers, "max_iter": 30, **rest}, is_scale=is_scale
    )


FAMILY: Mapping[str, Member] = {
    "lgbm": Member(
        {
            "n_estimators": Range(20, 300, 100, log=True),
            "learning_rate": Range(0.01, 0.2, 0.05, log=True),
            "num_leaves": Range(4, 63, 31, log=True),
            "min_child_samples": Range(10, 500, 20, log=True),
            "subsample": Range(0.5, 1.0, 1.0),
            "colsample_bytree": Range(0.3, 1.0, 1.0),
            "reg_lambda": Range(1e-3, 100.0, 1e-3, log=True),
        },
        _make_lgbm,
    ),
    "extra_trees": Member(
        {
            "n_estimators": Range(50, 300, 100, log=True),
            "num_leaves": Range(15, 255, 63, log=True),
            "min_child_samples": Range(5, 500, 20, log=True),
            "colsample_bytree": Range(0.2, 1.0, 0.6),
        },
        _make_extra_trees,
    ),
    "logreg": Member({"C": Range(1e-4, 100.0, 1.0, log=True)}, _make_logreg),
    "nn": Member(
        {
            "layers": Words(("4", "16", "32", "32x16")),
            "activation": Words(("logistic", "relu", "tanh")),
            "learning_rate_init": Range(1e-4, 1e-2, 1e-3, log=True),
            "alpha": Range(1e-5, 1.0, 1e-4, log=True),
        },
        _make_nn,
    ),
}
"""Every algorithm a search may choose; `extra_trees` is LightGBM's random forest of randomised splits."""
