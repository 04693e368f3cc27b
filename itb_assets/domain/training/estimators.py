"""The registry: an `algorithms` entry becomes an estimator, a payload becomes a fitted model again.

Nothing about an algorithm belongs here but its name and its two constructors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itb_assets.domain.specs import AlgorithmSpec
from itb_assets.domain.training.automl import AutomlEstimator, load_automl
from itb_assets.domain.training.hyperparameters import read_algorithm
from itb_assets.domain.training.lgbm import LgbmEstimator, load_lgbm
from itb_assets.domain.training.logreg import LogregEstimator, load_logreg
from itb_assets.domain.training.nn import NnEstimator, load_nn
from itb_assets.domain.training.protocol import Estimator, FitContext, FittedModel
from itb_assets.domain.training.svc import SvcEstimator, load_svc
from itb_assets.errors import ModelRejected

_Train = dict[str, Any]


@dataclass(frozen=True)
class _Algorithm:
    make: Callable[[_Train, bool, FitContext], Estimator]
    load: Callable[[Mapping[str, Any]], FittedModel]


_REGISTRY = {
    # trees do not see the scale: is_scale is accepted without effect
    "lgbm": _Algorithm(lambda train, _is_scale, _context: LgbmEstimator(train), load_lgbm),
    "logreg": _Algorithm(lambda train, is_scale, _context: LogregEstimator(train, is_scale), load_logreg),
    "svc": _Algorithm(
        lambda train, is_scale, context: SvcEstimator(train, is_scale, context.purge_rows), load_svc
    ),
    "nn": _Algorithm(lambda train, is_scale, _context: NnEstimator(train, is_scale), load_nn),
    "automl": _Algorithm(AutomlEstimator, load_automl),
}

ALGOS = tuple(_REGISTRY)
"""Every registered algorithm, by canonical name."""


def make_estimator(spec: AlgorithmSpec, context: FitContext | None = None) -> Estimator:
    """Return the estimator a strategy entry describes; ConfigError lists every wrong key.

    Without a `context` the labels count as looking at the next row only.
    """
    algo, train, params = read_algorithm(spec)
    return _REGISTRY[algo].make(train, params["is_scale"] is not False, context or FitContext())


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
