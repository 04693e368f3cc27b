"""Gradient boosting by LightGBM: deterministic, one thread a fit, kept as LightGBM's own model text.

Which rows are fitted and what the scores are worth belong to `train` and `metrics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from itb_assets.domain.training.protocol import (
    Bools,
    Floats,
    check_training_rows,
    payload_field,
    predict_complete_rows,
)
from itb_assets.errors import DataContractError, ModelRejected

ALGO = "lgbm"

_NATIVE = {
    "min_child_samples": "min_data_in_leaf",
    "min_child_weight": "min_sum_hessian_in_leaf",
    "min_split_gain": "min_gain_to_split",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "boosting_type": "boosting",
}
"""scikit-learn's names, which strategies use, to LightGBM's own."""

_FIXED = {
    "deterministic": True,
    "force_row_wise": True,  # else LightGBM times both layouts and may choose differently next time
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class LgbmEstimator:
    """LightGBM with the hyperparameters of one strategy entry, defaults filled in.

    No row with an unknown feature is fitted or scored: LightGBM reads a NaN as 0.0 in any feature that
    was never NaN in training, which scores a candle after a gap as if its moving average were zero.
    """

    train: Mapping[str, Any]

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    def hyperparameters(self, seed: int) -> dict[str, Any]:
        """Return every parameter LightGBM is handed; a `random_state` in the strategy wins over `seed`."""
        given = dict(self.train)
        own_seed = given.pop("random_state")
        balanced = given.pop("class_weight") == "balanced"
        given["is_unbalance"] = given["is_unbalance"] or balanced
        if given["objective"] == "cross_entropy":
            del given["is_unbalance"]  # a parameter of `binary` only
        native = {_NATIVE.get(key, key): value for key, value in given.items()}
        return {**native, **_FIXED, "seed": seed if own_seed is None else own_seed}

    def fit(self, x: Floats, y: Bools, *, seed: int) -> LgbmModel:
        """Fit one label; see `fit_many`."""
        return self.fit_many(x, [y], seed=seed)[0]

    def fit_many(self, x: Floats, labels: Sequence[Bools], *, seed: int) -> tuple[LgbmModel, ...]:
        """Bin the rows once and fit one model a label; bit-identical to separate fits."""
        for y in labels:
            check_training_rows(x, y)
        if not labels:
            return ()
        params = self.hyperparameters(seed)
        rounds = params.pop("n_estimators")
        targets = [y.astype(np.float32) for y in labels]
        dataset = lightgbm.Dataset(x, label=targets[0], params=params)
        models = []
        try:
            for target in targets:
                dataset.set_label(target)
                booster = lightgbm.train(params, dataset, num_boost_round=rounds)
                models.append(LgbmModel(booster.model_to_string(), x.shape[1], booster))
        except lightgbm.basic.LightGBMError as error:
            raise DataContractError(f"LightGBM refused {x.shape[0]} x {x.shape[1]} rows: {error}") from error
        return tuple(models)


@dataclass(frozen=True, eq=False)
class LgbmModel:
    """A fitted booster beside the text it was written to; both predict the same bits."""

    text: str
    n_features: int
    booster: lightgbm.Booster

    @property
    def algo(self) -> str:
        """The registry's name of the algorithm."""
        return ALGO

    @property
    def note(self) -> str | None:
        """A booster of single leaves ignores its inputs: say so."""
        if np.any(self.feature_importance() > 0):
            return None
        return "no split was found: every row gets the same score"

    def predict(self, x: Floats, *, threads: int = 1) -> Floats:
        """Return one probability a row, NaN for a row with an unknown feature; `threads` changes no bit."""

        def probabilities(rows: Floats) -> Floats:
            return np.asarray(self.booster.predict(rows, num_threads=threads), dtype=np.float64)

        return predict_complete_rows(x, self.n_features, probabilities)

    def to_payload(self) -> dict[str, Any]:
        """Return LightGBM's model text, its sha256 and the number of features."""
        return {
            "algo": ALGO,
            "n_features": self.n_features,
            "model": self.text,
            "sha256": _digest(self.text),
        }

    def feature_importance(self) -> Floats:
        """Return the total gain of each feature's splits."""
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)


def load_lgbm(payload: Mapping[str, Any]) -> LgbmModel:
    """Rebuild a model from its payload; ModelRejected if the text is not what was written.

    The sha256 is checked first: LightGBM's parser reads past the end of torn text and ends the process.
    """
    text = payload_field(payload, "model", str)
    n_features = payload_field(payload, "n_features", int)
    if _digest(text) != payload_field(payload, "sha256", str):
        raise ModelRejected("model text does not match its sha256: it is torn or altered; train again")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelRejected(f"LightGBM cannot read the model text: {error}; train again") from error
    if booster.num_feature() != n_features:
        raise ModelRejected(
            f"model text has {booster.num_feature()} features, its payload says {n_features}: train again"
        )
    return LgbmModel(text, n_features, booster)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
