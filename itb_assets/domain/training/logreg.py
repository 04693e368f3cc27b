"""Logistic regression by scikit-learn on standardised inputs, kept as lists of coefficients.

Scoring is done here in numpy, column by column, so that a row's score does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from itb_assets.domain.training.protocol import (
    Bools,
    Floats,
    check_training_rows,
    payload_field,
    predict_complete_rows,
)
from itb_assets.errors import ConfigError, ModelRejected

ALGO = "logreg"

_L1_RATIO = {"l2": 0.0, "l1": 1.0, "none": 0.0}


@dataclass(frozen=True)
class LogregEstimator:
    """Logistic regression with the hyperparameters of one strategy entry, defaults filled in."""

    train: Mapping[str, Any]
    is_scale: bool = True

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    def hyperparameters(self, seed: int) -> dict[str, Any]:
        """Return every parameter of the fit; a `random_state` in the strategy wins over `seed`."""
        own_seed = self.train["random_state"]
        return {
            **self.train,
            "is_scale": self.is_scale,
            "random_state": seed if own_seed is None else own_seed,
        }

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[LogregModel, ...]:
        """Fit one model a label, one after the other."""
        return tuple(self.fit(x, y, seed=seed) for y in labels)

    def fit(self, x: Floats, y: Bools, *, seed: int) -> LogregModel:
        """Fit one label; DataContractError on too few rows, one class or unknown values."""
        check_training_rows(x, y)
        mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
        std = x.std(axis=0)
        rows = x
        if self.is_scale:
            scaler = StandardScaler().fit(x)
            mean, scale = scaler.mean_, scaler.scale_
            rows = scaler.transform(x)
        model = LogisticRegression(**self._arguments(seed))
        try:
            model.fit(rows, y)
        except ValueError as error:
            raise ConfigError([f"scikit-learn refused the hyperparameters: {error}"]) from error
        coefficients = model.coef_[0]
        return LogregModel(
            mean=_floats(mean),
            scale=_floats(scale),
            coefficients=_floats(coefficients),
            intercept=float(np.ravel(model.intercept_)[0]) if self.train["fit_intercept"] else 0.0,
            importance=_floats(np.abs(coefficients / scale * std)),
            iterations=int(np.max(model.n_iter_)),
            converged=bool(np.max(model.n_iter_) < self.train["max_iter"]),
        )

    def _arguments(self, seed: int) -> dict[str, Any]:
        """Translate `penalty` into the strength and mixture scikit-learn 1.8 and later take instead."""
        given = self.hyperparameters(seed)
        penalty = given["penalty"] or "none"
        return {
            "C": np.inf if penalty == "none" else given["C"],
            "l1_ratio": _L1_RATIO.get(penalty, given["l1_ratio"]),
            **{
                key: given[key]
                for key in ("solver", "max_iter", "tol", "fit_intercept", "class_weight", "random_state")
            },
        }


@dataclass(frozen=True)
class LogregModel:
    """Coefficients on standardised inputs: probability = 1 / (1 + exp(-(intercept + sum of parts)))."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    importance: tuple[float, ...]
    iterations: int
    converged: bool

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    @property
    def n_features(self) -> int:
        """How many columns `predict` expects."""
        return len(self.coefficients)

    @property
    def note(self) -> str | None:
        """A solver that ran out of iterations is worth a word."""
        if self.converged:
            return None
        return f"the solver stopped after {self.iterations} iterations before it converged: raise max_iter"

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:  # noqa: ARG002 - numpy here is one thread
        """Return one probability a row, NaN for a row with an unknown feature."""

        def probabilities(rows: Floats) -> Floats:
            total = np.full(len(rows), self.intercept)
            columns = zip(self.mean, self.scale, self.coefficients, strict=True)
            for j, (mean, scale, coefficient) in enumerate(columns):
                total += (rows[:, j] - mean) / scale * coefficient
            return np.asarray(expit(total), dtype=np.float64)

        return predict_complete_rows(x, self.n_features, probabilities)

    def to_payload(self) -> dict[str, Any]:
        """Return the coefficients as lists of floats."""
        return {
            "algo": ALGO,
            "mean": list(self.mean),
            "scale": list(self.scale),
            "coefficients": list(self.coefficients),
            "intercept": self.intercept,
            "importance": list(self.importance),
            "iterations": self.iterations,
            "converged": self.converged,
        }

    def feature_importance(self) -> Floats:
        """Return how much one standard deviation of each feature moves the log-odds."""
        return np.asarray(self.importance, dtype=np.float64)


def load_logreg(payload: Mapping[str, Any]) -> LogregModel:
    """Rebuild a model from its payload; ModelRejected if a field is missing, of another type or length."""
    lists = {name: _float_list(payload, name) for name in ("mean", "scale", "coefficients", "importance")}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) != 1:
        raise ModelRejected(f"model payload lists differ in length: found {lengths}; train again")
    return LogregModel(
        **lists,
        intercept=payload_field(payload, "intercept", float),
        iterations=payload_field(payload, "iterations", int),
        converged=payload_field(payload, "converged", bool),
    )


def _float_list(payload: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = payload_field(payload, name, list)
    if not all(isinstance(value, float) and np.isfinite(value) for value in values):
        raise ModelRejected(
            f"model payload field {name!r} holds values that are not finite floats: train again"
        )
    return tuple(values)


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
