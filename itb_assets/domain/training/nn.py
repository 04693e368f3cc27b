"""Small neural network by scikit-learn on standardised inputs, kept as lists of weights.

Scoring is done here in numpy, unit by unit, so that a row's score does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.neural_network import MLPClassifier

from itb_assets.domain.training.inputs import Scale, fit_scale, moved_log_odds
from itb_assets.domain.training.protocol import (
    Bools,
    Floats,
    check_training_rows,
    payload_field,
    payload_floats,
    predict_complete_rows,
)
from itb_assets.errors import DataContractError, ModelRejected

ALGO = "nn"

_BLOCK = 1024
"""Rows scored at a time: a layer of them stays in the cache."""


def _relu(values: Floats) -> Floats:
    return np.maximum(values, 0.0)


def _identity(values: Floats) -> Floats:
    return values


_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "logistic": expit,
    "tanh": np.tanh,
    "relu": _relu,
    "identity": _identity,
}


@dataclass(frozen=True)
class NnEstimator:
    """A multi-layer perceptron with the hyperparameters of one strategy entry, defaults filled in.

    Training ends when the loss on the training rows has not fallen by `tol` for `n_iter_no_change` epochs: no
    rows are held back by chance, as neighbouring rows know each other's labels.
    """

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

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[NnModel, ...]:
        """Fit one model a label, one after the other."""
        return tuple(self.fit(x, y, seed=seed) for y in labels)

    def fit(self, x: Floats, y: Bools, *, seed: int) -> NnModel:
        """Fit one label; DataContractError on too few rows, one class, unknown values or endless weights."""
        check_training_rows(x, y)
        scale = fit_scale(x, is_scale=self.is_scale)
        given = self.hyperparameters(seed)
        del given["is_scale"]
        given["hidden_layer_sizes"] = given["hidden_layer_sizes"] or [max(1, x.shape[1] // 4)]
        given["batch_size"] = min(given["batch_size"], len(x))
        network = MLPClassifier(**given)
        try:
            network.fit(scale.apply(x), y)
        except ValueError as error:
            raise DataContractError(
                f"the network's weights grew without end ({error}); lower learning_rate, or set is_scale to "
                "true"
            ) from error
        model = NnModel(
            scale=scale,
            activation=given["activation"],
            weights=tuple(np.ascontiguousarray(layer) for layer in network.coefs_),
            biases=tuple(network.intercepts_),
            importance=np.zeros(x.shape[1]),
            epochs=int(network.n_iter_),
            converged=network.n_iter_ < given["max_iter"],
        )
        model.importance[:] = moved_log_odds(model.log_odds, x)
        return model


@dataclass(frozen=True, eq=False)
class NnModel:
    """Weights and biases of each layer on standardised inputs; the last layer's one unit is the log-odds."""

    scale: Scale
    activation: str
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    importance: Floats
    epochs: int
    converged: bool

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    @property
    def n_features(self) -> int:
        """How many columns `predict` expects."""
        return len(self.weights[0])

    @property
    def note(self) -> str | None:
        """A training that ran out of epochs is worth a word."""
        if self.converged:
            return None
        return f"training stopped after {self.epochs} epochs while the loss was still falling: raise max_iter"

    def log_odds(self, x: Floats) -> Floats:
        """Return the log-odds of complete rows."""
        result = np.empty(len(x))
        for start in range(0, len(x), _BLOCK):
            values = self.scale.apply(x[start : start + _BLOCK])
            for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
                values = _ACTIVATIONS[self.activation](values) if layer else values
                values = _layer(values, weights, biases)
            result[start : start + _BLOCK] = values[:, 0]
        return result

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:  # noqa: ARG002 - numpy here is one thread
        """Return one probability a row, NaN for a row with an unknown feature."""
        return predict_complete_rows(
            x, self.n_features, lambda rows: np.asarray(expit(self.log_odds(rows)), dtype=np.float64)
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the weights as lists of floats."""
        return {
            "algo": ALGO,
            "mean": self.scale.mean.tolist(),
            "scale": self.scale.scale.tolist(),
            "activation": self.activation,
            "weights": [layer.tolist() for layer in self.weights],
            "biases": [layer.tolist() for layer in self.biases],
            "importance": self.importance.tolist(),
            "epochs": self.epochs,
            "converged": self.converged,
        }

    def feature_importance(self) -> Floats:
        """Return how much one standard deviation of each feature moves the log-odds."""
        return self.importance.copy()


def _layer(values: Floats, weights: Floats, biases: Floats) -> Floats:
    """Return values @ weights + biases, input by input: the sums of a matrix product vary with its shape."""
    total = np.zeros((len(values), weights.shape[1]))
    part = np.empty_like(total)
    for j, row in enumerate(weights):
        total += np.multiply(values[:, j, None], row, out=part)
    total += biases
    return total


def load_nn(payload: Mapping[str, Any]) -> NnModel:
    """Rebuild a model from its payload; ModelRejected if a field is missing, of another type or shape."""
    layers = {name: payload_field(payload, name, list) for name in ("weights", "biases")}
    weights = tuple(payload_floats({"weights": layer}, "weights", ndim=2) for layer in layers["weights"])
    biases = tuple(payload_floats({"biases": layer}, "biases", ndim=1) for layer in layers["biases"])
    lists = {name: payload_floats(payload, name, ndim=1) for name in ("mean", "scale", "importance")}
    widths = [len(lists["mean"]), *(len(layer) for layer in biases)]
    shapes = [layer.shape for layer in weights]
    if (
        shapes != list(pairwise(widths))
        or widths[-1] != 1
        or {len(values) for values in lists.values()} != {widths[0]}
    ):
        raise ModelRejected(
            f"model payload weights have shapes {shapes}: expected {list(pairwise(widths))}, ending in one "
            "unit; train again"
        )
    activation = payload_field(payload, "activation", str)
    if activation not in _ACTIVATIONS:
        raise ModelRejected(
            f"model payload activation is {activation!r}: expected one of {', '.join(_ACTIVATIONS)}; "
            "train again"
        )
    return NnModel(
        scale=Scale(lists["mean"], lists["scale"]),
        activation=activation,
        weights=weights,
        biases=biases,
        importance=lists["importance"],
        epochs=payload_field(payload, "epochs", int),
        converged=payload_field(payload, "converged", bool),
    )
