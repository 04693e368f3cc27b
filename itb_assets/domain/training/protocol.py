"""What an estimator and a fitted model promise, and what rows either accepts.

The algorithms themselves belong to their own modules; choosing one belongs to `estimators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from itb_assets.errors import DataContractError, ModelRejected

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MIN_FIT_ROWS = 20
"""Fewer rows than this make no model."""


class FittedModel(Protocol):
    """A model that can score rows and be written down as plain data."""

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""

    @property
    def n_features(self) -> int:
        """How many columns `predict` expects."""

    @property
    def note(self) -> str | None:
        """What a person should know of this fit, or None."""

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:
        """Return one probability a row; NaN for a row with any value that is not finite."""

    def to_payload(self) -> dict[str, Any]:
        """Return plain data (dict, list, str, int, float, bool, None) that rebuilds this model."""

    def feature_importance(self) -> Floats:
        """Return one number at or above 0 a feature, in the order of the columns."""


@runtime_checkable
class SearchedModel(Protocol):
    """A fitted model that was chosen among others."""

    @property
    def leaderboard(self) -> tuple[dict[str, Any], ...]:
        """Return what was tried, the best first: plain data, one entry a trial."""


@dataclass(frozen=True)
class FitContext:
    """What an estimator must know of the training it is part of.

    `purge_rows` keeps rows apart whose labels overlap, for estimators that hold rows back inside a fit;
    `n_fits` is how many fits of one label share a budget.
    """

    purge_rows: int = 1
    n_fits: int = 1


class Estimator(Protocol):
    """An algorithm with its hyperparameters, not fitted yet."""

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""

    def hyperparameters(self, seed: int) -> dict[str, Any]:
        """Return every parameter the library is handed, plain data."""

    def fit(self, x: Floats, y: Bools, *, seed: int) -> FittedModel:
        """Fit on complete rows; DataContractError on too few rows, one class or unknown values."""

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[FittedModel, ...]:
        """Fit one model a label on the same rows; equal to `fit` called for each, bit for bit."""


def check_training_rows(x: Floats, y: Bools) -> None:
    """Raise DataContractError unless (x, y) can make a classifier; every breach is in the message."""
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):  # noqa: PLR2004 - rows x features
        raise DataContractError(
            f"training rows have shape {x.shape} and labels {y.shape}: expected (rows, features) and (rows,)"
        )
    problems = []
    if len(y) < MIN_FIT_ROWS:
        problems.append(f"{len(y)} training rows: expected at least {MIN_FIT_ROWS}; load more history")
    positive = int(y.sum())
    if len(y) and positive in (0, len(y)):
        problems.append(
            f"all {len(y)} training labels are {bool(positive)}: expected both classes; "
            "load more history or lower the label's threshold"
        )
    if not np.isfinite(x).all():
        unknown = int((~np.isfinite(x)).any(axis=1).sum())
        problems.append(f"{unknown} training rows hold NaN or inf: expected complete rows only")
    if problems:
        raise DataContractError("; ".join(problems))


def predict_complete_rows(x: Floats, n_features: int, predict: Callable[[Floats], Floats]) -> Floats:
    """Apply `predict` to rows without NaN or inf, leave NaN in the others; ModelRejected on a wrong width."""
    if x.ndim != 2 or x.shape[1] != n_features:  # noqa: PLR2004 - rows x features
        raise ModelRejected(f"rows to score have shape {x.shape}: expected {n_features} columns, as trained")
    complete = np.isfinite(x).all(axis=1)
    if len(x) and complete.all():
        return predict(x)
    scores = np.full(len(x), np.nan)
    if complete.any():
        scores[complete] = predict(x[complete])
    return scores


def payload_field(payload: Mapping[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401 - plain data
    """Return `payload[name]` if it is of `kind`, else raise ModelRejected naming what was found."""
    value = payload.get(name)
    if not isinstance(value, kind):
        found = "nothing" if value is None else type(value).__name__
        raise ModelRejected(
            f"model payload field {name!r} holds {found}: expected {kind.__name__}; train again"
        )
    return value


def payload_floats(payload: Mapping[str, Any], name: str, *, ndim: int) -> Floats:
    """Return a (nested) list of finite floats as an array; ModelRejected if it is anything else."""
    values = payload_field(payload, name, list)
    if not _are_floats(values, ndim):
        raise ModelRejected(
            f"model payload field {name!r} holds values that are not finite floats: train again"
        )
    try:
        return np.array(values, dtype=np.float64)
    except ValueError as error:
        raise ModelRejected(
            f"model payload field {name!r} has rows of different lengths: train again"
        ) from error


def _are_floats(values: object, ndim: int) -> bool:
    if ndim == 0:
        return isinstance(values, float) and math.isfinite(values)
    return isinstance(values, list) and all(_are_floats(value, ndim - 1) for value in values)
