"""The registry: an `algorithms` entry becomes an estimator, a payload becomes a fitted model again.

Nothing about an algorithm belongs here but its name and its two constructors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.lgbm import LgbmEstimator, load_lgbm
from itb_assets.domain.training.logreg import LogregEstimator, load_logreg
from itb_assets.domain.training.protocol import Estimator, FittedModel
from itb_assets.errors import ModelRejected


@dataclass(frozen=True)
class _Algorithm:
    make: Callable[[dict[str, Any], dict[str, Any]], Estimator]
    load: Callable[[Mapping[str, Any]], FittedModel]


def _make_lgbm(train: dict[str, Any], _params: dict[str, Any]) -> Estimator:
    return LgbmEstimator(train)  # is_scale is accepted without effect: trees do not see the scale


def _make_logreg(train: dict[str, Any], params: dict[str, Any]) -> Estimator:
    return LogregEstimator(train, is_scale=params["is_scale"] is not False)


_REGISTRY = {
    "lgbm": _Algorithm(_make_lgbm, load_lgbm),
    "logreg": _Algorithm(_make_logreg, load_logreg),
}

ALGOS = tuple(_REGISTRY)
"""Every registered algorithm, by canonical name."""


def make_estimator(spec: AlgorithmSpec) -> Estimator:
    """Return the estimator a strategy entry describes; ConfigError lists every wrong key."""
    algo, train, params = read_algorithm(spec)
    return _REGISTRY[algo].make(train, params)


def load_model(payload: object) -> FittedModel:
    """Rebuild a fitted model from plain data; ModelRejected if it is not a payload of a known algorithm."""
    if not isinstance(payload, Mapping):
        raise ModelRejected(f"model payload is {type(payload).__name__}: expected a dict; train again")
    algo = payload.get("algo")
    if not isinstance(algo, str) or algo not in _REGISTRY:
        raise ModelRejected(
            f"model payload is of algo {algo!r}: expected one of {', '.join(ALGOS)}; train again"
        )
    return _REGISTRY[algo].load(payload)
