"""Training a market's model, and what is handed to the model IO manager and by it.

How a model is fitted and judged belongs to `domain.training`, whether it is used then to `promotion`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dagster as dg
import pandas as pd

from itb_assets.domain import training  # its names load the learning libraries at first use
from itb_assets.domain.markets import Market
from itb_assets.errors import ModelRejected
from itb_assets.orchestration.evidence import PRICES, drift_reference, evidence
from itb_assets.orchestration.model_page import training_page
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.files.frames import StoredFrame
from itb_assets.storage.layout import MODEL_FILE, SCORES_FILE
from itb_assets.storage.models.folder import StoredModel

LIBRARIES = ("lightgbm", "scikit-learn", "numpy", "scipy", "pandas", "ta-lib", "optuna")
"""What decides the bits of a score; one of an extra that is not there is left out."""


@dataclass(frozen=True)
class ModelUpdate:
    """A trained model with its metadata, its metrics and what its page shows."""

    name: ModelName
    trained: training.TrainedModel
    metadata: Mapping[str, Any]
    metrics: Mapping[str, Any]
    page: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Rows that the model for live use was fitted on."""
        return self.trained.n_train_rows


@dataclass(frozen=True)
class LoadedModel:
    """A stored model that passed its checks, and what its metadata says about using it."""

    stored: StoredModel

    @property
    def payload(self) -> Mapping[str, Any]:
        """What scores rows."""
        payload: Mapping[str, Any] = self.stored.payload
        return payload

    @property
    def features(self) -> list[str]:
        """Features in the order the model was fitted with."""
        return list(self.stored.metadata["features"])

    @property
    def train_end(self) -> pd.Timestamp:
        """First row after the final fit: from here on no row was trained on."""
        return pd.Timestamp(self.stored.metadata["train_end"])

    @cached_property
    def live_start(self) -> pd.Timestamp:
        """First row that only the final fit scores and whose outcome it cannot have seen.

        The labels of its last training rows look into the rows after them, so those rows are not live yet.
        """
        metadata = self.stored.metadata
        bar = Market(metadata["symbol"], metadata["freq"]).freq_delta
        horizon_rows = int(metadata["purge_rows"]) - 1
        tested: pd.Timestamp = self.scores["timestamp"].iloc[-1]
        return max(self.train_end + (horizon_rows - 1) * bar, tested + pd.Timedelta(1, unit="ns"))

    @property
    def digest(self) -> str:
        """Digest of all that predictions take from it: the model, its scores, the end of its training."""
        digests = self.stored.metadata["sha256"]
        return f"{digests[MODEL_FILE]} {digests.get(SCORES_FILE)} {self.train_end.isoformat()}"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The walk-forward scores: timestamp, score, fold, outcome; all out of sample."""
        return self.stored.scores()


def scored_by(models: Mapping[ModelName, LoadedModel]) -> str:
    """Return what names the scores of these models together: other models, another digest."""
    return hashlib.sha256(
        repr([(name.score, model.digest) for name, model in models.items()]).encode()
    ).hexdigest()


def load_model(platform: Platform, market: Market, name: ModelName) -> LoadedModel:
    """Load the promoted model and refuse one that was made for another market, variant, algo or label."""
    address = name.at(market)
    return LoadedModel(platform.models.load(platform.layout.promoted_dir(address), expect=address.identity))


def train(platform: Platform, market: Market, name: ModelName, matrix: StoredFrame) -> ModelUpdate:
    """Fit, judge out of sample, and describe one model of one market."""
    strategy, algorithm = platform.strategy(name.variant), platform.algorithm(name)
    columns = list(dict.fromkeys(["timestamp", *PRICES, *strategy.train_features, name.label]))
    frame = (
        matrix.read(columns)
        if strategy.train_length is None
        else matrix.tail(_rows_needed(platform, name), columns)
    )
    trained = training.train_model(
        frame,
        features=strategy.train_features,
        label=name.label,
        algorithm=algorithm,
        walk_forward=strategy.walk_forward,
        label_horizon=strategy.label_horizon,
        label_horizon_rows=platform.label_horizon_rows(name.label),
        train_length=strategy.train_length,
        seed=platform.settings.seed,
        cross_validation=strategy.cross_validation,
        threads=platform.settings.threads,
    )
    metadata = _metadata(platform, market, name, matrix, trained)
    metadata["drift_reference"] = drift_reference(trained, frame, market)
    metrics = evidence(platform, market, name, trained, frame)
    return ModelUpdate(name, trained, metadata, metrics, training_page(trained, metrics))


def _rows_needed(platform: Platform, name: ModelName) -> int:
    strategy = platform.strategy(name.variant)
    evaluated = strategy.walk_forward.folds * strategy.walk_forward.window_rows
    purge = strategy.label_horizon + platform.label_horizon_rows(name.label)
    return (strategy.train_length or 0) + evaluated + 2 * purge


def _metadata(
    platform: Platform, market: Market, name: ModelName, matrix: StoredFrame, trained: training.TrainedModel
) -> dict[str, Any]:
    strategy, algorithm = platform.strategy(name.variant), platform.algorithm(name)
    return {
        "symbol": market.symbol,
        "freq": market.freq,
        "variant": name.variant,
        "algo": name.algo,
        "label": name.label,
        "features": list(trained.features),
        "feature_definitions": {item: platform.features.definitions[item] for item in trained.features},
        "label_definition": platform.labels.definitions[name.label],
        "dialect": platform.dialect,
        "hyperparameters": {
            "algo": algorithm.algo,
            "params": dict(algorithm.params),
            "train": dict(algorithm.train),
        },
        "seed": trained.seed,
        "train_start": trained.train_start.isoformat(),
        "train_end": trained.train_end.isoformat(),
        "train_rows": trained.n_train_rows,
        "positive_rows": trained.n_positive,
        "purge_rows": trained.purge_rows,
        "training_digest": platform.training_digest(name),
        "data_fingerprint": matrix.manifest.sha256,
        "data_rows": matrix.manifest.rows,
        "strategy_digest": strategy.digest,
        "trained_at": platform.clock().isoformat(),
        "code_version": version("itb-assets"),
        "libraries": _libraries(),
    }


def _libraries() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def needs_training(platform: Platform, market: Market, name: ModelName) -> bool:
    """Tell whether no model is in use, or neither it nor the newest version has the present definition.

    The newest may be a candidate that was found worse: the same training would give the same again. A
    promoted model that is refused is left as it is: whoever loads it says why, and training again is a
    person's choice.
    """
    address, wanted = name.at(market), platform.training_digest(name)
    try:
        metadata = platform.models.peek(platform.layout.promoted_dir(address))
    except ModelRejected:
        return False
    if metadata is None:
        return True
    if metadata.get("training_digest") == wanted:
        return False
    newest = platform.registry.newest(address)
    return newest is None or newest.metadata.get("training_digest") != wanted


def model_keys(platform: Platform) -> list[dg.AssetKey]:
    """Return the asset key of every model."""
    return [dg.AssetKey(name.key) for name in platform.model_names()]
