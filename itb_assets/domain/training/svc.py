"""Support vector machine by scikit-learn, its distances calibrated to probabilities, kept as lists.

Scoring is done here in numpy, so that a row's score does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from itb_assets.domain.training.inputs import Scale, fit_scale, moved_log_odds
from itb_assets.domain.training.kfold import purged_kfold_windows
from itb_assets.domain.training.protocol import (
    Bools,
    Floats,
    check_training_rows,
    payload_field,
    payload_floats,
    predict_complete_rows,
)
from itb_assets.errors import ConfigError, DataContractError, ModelRejected

ALGO = "svc"

_KERNELS = ("rbf", "linear", "poly", "sigmoid")
_BLOCK = 64
"""Rows scored at a time: with some thousand support vectors their distances stay in the cache."""


@dataclass(frozen=True)
class SvcEstimator:
    """A support vector machine with the hyperparameters of one strategy entry, defaults filled in.

    Its distances become probabilities by Platt's sigmoid, fitted on distances that models of
    `calibration_folds` purged folds of the training rows gave to rows they did not know.
    """

    train: Mapping[str, Any]
    is_scale: bool = True
    purge_rows: int = 1

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    def hyperparameters(self, seed: int) -> dict[str, Any]:  # noqa: ARG002 - nothing in this fit is drawn
        """Return every parameter of the fit; a `random_state` has no effect."""
        given = {key: value for key, value in self.train.items() if key != "random_state"}
        return {**given, "is_scale": self.is_scale, "purge_rows": self.purge_rows}

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[SvcModel, ...]:
        """Fit one model a label, one after the other."""
        return tuple(self.fit(x, y, seed=seed) for y in labels)

    def fit(self, x: Floats, y: Bools, *, seed: int) -> SvcModel:  # noqa: ARG002 - nothing in this fit is drawn
        """Fit one label; DataContractError on too few rows, one class or unknown values."""
        check_training_rows(x, y)
        calibrated = CalibratedClassifierCV(self._machine(), ensemble=False, cv=self._folds(y))
        try:
            calibrated.fit(x, y)
        except ValueError as error:
            raise ConfigError([f"scikit-learn refused the hyperparameters: {error}"]) from error
        parts = calibrated.calibrated_classifiers_[0]
        machine, sigmoid = parts.estimator[-1], parts.calibrators[0]
        scale = fit_scale(x, is_scale=self.is_scale)
        model = SvcModel(
            scale=scale,
            kernel=self.train["kernel"],
            gamma=self._gamma(scale.apply(x)),
            degree=self.train["degree"],
            coef0=self.train["coef0"],
            vectors=np.ascontiguousarray(machine.support_vectors_),
            weights=np.ravel(machine.dual_coef_),
            intercept=float(machine.intercept_[0]),
            slope=float(sigmoid.a_),
            offset=float(sigmoid.b_),
            importance=np.zeros(x.shape[1]),
            converged=machine.fit_status_ == 0,
        )
        model.importance[:] = moved_log_odds(model.log_odds, x)
        return model

    def _machine(self) -> Any:  # noqa: ANN401 - scikit-learn has no types
        own = ("calibration_folds", "random_state")
        machine = SVC(**{key: value for key, value in self.train.items() if key not in own})
        return make_pipeline(*([StandardScaler()] if self.is_scale else []), machine)

    def _folds(self, y: Bools) -> list[tuple[Any, Any]]:
        """Return the folds the sigmoid is fitted on; DataContractError if one would train on one class."""
        windows = purged_kfold_windows(len(y), self.train["calibration_folds"], self.purge_rows, 0)
        for window in windows:
            if len(set(y[window.train].tolist())) == 1:
                raise DataContractError(
                    f"all training labels of calibration fold {window.fold} are {bool(y[window.train][0])}: "
                    "expected both classes; load more history, lower the label's threshold or "
                    "train.calibration_folds"
                )
        return [(window.train, np.arange(window.score_start, window.score_end)) for window in windows]

    def _gamma(self, x: Floats) -> float:
        """Return the number that scikit-learn's `scale` and `auto` stand for on these rows."""
        gamma = self.train["gamma"]
        if gamma == "auto":
            return 1.0 / float(x.shape[1])
        if gamma == "scale":
            variance = float(x.var())
            return 1.0 / float(x.shape[1] * variance) if variance else 1.0
        return float(gamma)


@dataclass(frozen=True, eq=False)
class SvcModel:
    """Support vectors with their weights; log-odds = -(slope * distance + offset)."""

    scale: Scale
    kernel: str
    gamma: float
    degree: int
    coef0: float
    vectors: Floats
    weights: Floats
    intercept: float
    slope: float
    offset: float
    importance: Floats
    converged: bool

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    @property
    def n_features(self) -> int:
        """How many columns `predict` expects."""
        return len(self.scale.mean)

    @property
    def note(self) -> str | None:
        """A solver that ran out of iterations is worth a word."""
        return None if self.converged else "the solver stopped before it converged: raise max_iter"

    def log_odds(self, x: Floats) -> Floats:
        """Return the log-odds of complete rows."""
        rows = self.scale.apply(x)
        distances = np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK):
            similar = self._similar(rows[start : start + _BLOCK])
            similar *= self.weights
            distances[start : start + _BLOCK] = similar.sum(axis=1)
        distances += self.intercept
        result: Floats = -(self.slope * distances + self.offset)
        return result

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:  # noqa: ARG002 - numpy here is one thread
        """Return one probability a row, NaN for a row with an unknown feature."""
        return predict_complete_rows(
            x, self.n_features, lambda rows: np.asarray(expit(self.log_odds(rows)), dtype=np.float64)
        )

    def _similar(self, rows: Floats) -> Floats:
        """Return the kernel of every row with every support vector, summed feature by feature."""
        total = np.zeros((len(rows), len(self.vectors)))
        for j in range(self.n_features):
            if self.kernel == "rbf":
                part = np.subtract.outer(rows[:, j], self.vectors[:, j])
                part *= part
            else:
                part = np.multiply.outer(rows[:, j], self.vectors[:, j])
            total += part
        if self.kernel == "rbf":
            total *= -self.gamma
            return np.exp(total, out=total)
        if self.kernel == "linear":
            return total
        total *= self.gamma
        total += self.coef0
        return np.tanh(total, out=total) if self.kernel == "sigmoid" else total**self.degree

    def to_payload(self) -> dict[str, Any]:
        """Return the vectors and weights as lists of floats."""
        return {
            "algo": ALGO,
            "mean": self.scale.mean.tolist(),
            "scale": self.scale.scale.tolist(),
            "vectors": self.vectors.tolist(),
            "weights": self.weights.tolist(),
            "importance": self.importance.tolist(),
            **{
                name: getattr(self, name)
                for name in (
                    "kernel",
                    "gamma",
                    "degree",
                    "coef0",
                    "intercept",
                    "slope",
                    "offset",
                    "converged",
                )
            },
        }

    def feature_importance(self) -> Floats:
        """Return how much one standard deviation of each feature moves the log-odds."""
        return self.importance.copy()


def load_svc(payload: Mapping[str, Any]) -> SvcModel:
    """Rebuild a model from its payload; ModelRejected if a field is missing, of another type or shape."""
    vectors = payload_floats(payload, "vectors", ndim=2)
    lists = {
        name: payload_floats(payload, name, ndim=1) for name in ("mean", "scale", "weights", "importance")
    }
    width = vectors.shape[1] if vectors.ndim == 2 else 0  # noqa: PLR2004 - vectors x features
    expected = {"mean": width, "scale": width, "weights": len(vectors), "importance": width}
    found = {name: len(values) for name, values in lists.items()}
    if not width or found != expected:
        raise ModelRejected(f"model payload lists have lengths {found}: expected {expected}; train again")
    kernel = payload_field(payload, "kernel", str)
    if kernel not in _KERNELS:
        raise ModelRejected(
            f"model payload kernel is {kernel!r}: expected one of {', '.join(_KERNELS)}; train again"
        )
    return SvcModel(
        scale=Scale(lists["mean"], lists["scale"]),
        kernel=kernel,
        vectors=vectors,
        weights=lists["weights"],
        importance=lists["importance"],
        degree=payload_field(payload, "degree", int),
        converged=payload_field(payload, "converged", bool),
        **{
            name: payload_field(payload, name, float)
            for name in ("gamma", "coef0", "intercept", "slope", "offset")
        },
    )
