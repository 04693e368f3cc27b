"""What every asset is handed: settings, strategies, stores and the exchange, opened once a process.

It assembles the rooms below; no rule of the domain and no SQL belongs here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from itb_assets.domain.features import FeaturePlan, compile_features
from itb_assets.domain.labels import LabelPlan, compile_labels
from itb_assets.domain.markets import Market
from itb_assets.domain.specs import AlgorithmSpec, Dialect
from itb_assets.domain.strategy import Strategy, check_strategies
from itb_assets.domain.trading.resolve import buys_and_sells, resolve_rule
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.errors import ConfigError, DatabaseUnavailable
from itb_assets.orchestration.policies import policies_of
from itb_assets.settings import Settings
from itb_assets.sources.history import HistorySource, open_history
from itb_assets.sources.http import RetryPolicy
from itb_assets.sources.protocol import Progress
from itb_assets.storage.database.timescale import Policies
from itb_assets.storage.files.frame_paths import frame_path
from itb_assets.storage.files.frames import FrameStore, StoredFrame
from itb_assets.storage.keeper import FrameKeeper
from itb_assets.storage.layout import Layout, ModelAddress
from itb_assets.storage.models.folder import ModelStore
from itb_assets.storage.models.registry import ModelRegistry
from itb_assets.storage.phases import Phase, phase_of, reads_tables
from itb_assets.storage.tables.database import SqlStore

FRAMES = ("raw/klines", "processed/data", "processed/features", "labeled/matrix")
"""Frames that every strategy shares, upstream first."""
BY_VARIANT = ("predictions", "signals", "trades", "performance", "drift")
"""Stages with one frame a variant, upstream first."""
TRADED = ("trades", "performance")
"""Those of them that only a variant whose signals buy and sell has."""


@dataclass(frozen=True)
class ModelName:
    """What names a model within a market."""

    variant: str
    algo: str
    label: str

    @property
    def score(self) -> str:
        """Name of its score column."""
        return f"{self.label}_{self.algo}"

    @property
    def key(self) -> list[str]:
        """Asset key of its artifact."""
        return ["models", self.variant, self.algo, self.label]

    def at(self, market: Market) -> ModelAddress:
        """Address it in a market."""
        return ModelAddress(market, self.variant, self.algo, self.label)


@dataclass(frozen=True)
class Platform:
    """Settings and strategies, and the stores and sources they lead to."""

    settings: Settings
    strategies: tuple[Strategy, ...]
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    progress: Progress | None = None
    watch: Callable[[Market, str], None] | None = None
    """Told the market and the asset whenever one begins to be computed."""
    retry_steps: bool = True
    """Whether Dagster tries a step again, some seconds later, that met a transient error."""
    moving_in: Phase | None = None
    """The phase to act in while the data root is moved from one to another."""

    def __post_init__(self) -> None:
        """Refuse strategies that define one name in two ways."""
        check_strategies(
            [replace(item, dialect=self.settings.dialect or item.dialect) for item in self.strategies]
        )

    @cached_property
    def dialect(self) -> Dialect:
        """The one dialect of this data root."""
        dialects: set[Dialect] = {strategy.dialect for strategy in self.strategies}
        if self.settings.dialect is not None:
            return self.settings.dialect
        if len(dialects) > 1:
            names = ", ".join(f"{item.variant}: {item.dialect}" for item in self.strategies)
            raise ConfigError([f"strategies of two dialects share one data root ({names}): set ITB_DIALECT"])
        return dialects.pop() if dialects else "causal"

    @cached_property
    def features(self) -> FeaturePlan:
        """Every feature of every strategy, each computed once."""
        plans = [compile_features(item.feature_sets, dialect=self.dialect) for item in self.strategies]
        return functools.reduce(FeaturePlan.joined, plans, compile_features((), dialect=self.dialect))

    @cached_property
    def labels(self) -> LabelPlan:
        """Every label of every strategy, each computed once."""
        plans = [compile_labels(item.label_sets, dialect=self.dialect) for item in self.strategies]
        return functools.reduce(LabelPlan.joined, plans, compile_labels((), dialect=self.dialect))

    @cached_property
    def traded_variants(self) -> tuple[str, ...]:
        """Variants whose signals buy and sell, so that there is something to trade on paper."""
        return tuple(item.variant for item in self.strategies if buys_and_sells(item.signal_sets))

    @cached_property
    def layout(self) -> Layout:
        """Where things lie."""
        return Layout(self.settings.data_root, processed_format=self.settings.processed_format)

    @cached_property
    def frames(self) -> FrameStore:
        """Frames on disk."""
        return FrameStore()

    @cached_property
    def models(self) -> ModelStore:
        """Model folders on disk."""
        key = self.settings.model_signing_key
        return ModelStore(signing_key=key.get_secret_value().encode() if key else None)

    @cached_property
    def registry(self) -> ModelRegistry:
        """Versions of the models, and which of them are used."""
        return ModelRegistry(self.layout, self.models)

    @cached_property
    def source(self) -> HistorySource:
        """The exchange: its archive and its REST interface."""
        return open_history(
            rest_url=self.settings.binance_url,
            archive_url=self.settings.binance_archive,
            cache_dir=self.layout.cache_dir,
            parallel=self.settings.parallel_downloads,
            policy=RetryPolicy(max_pause_s=self.settings.max_wait_s),
            now_ms=lambda: int(self.clock().timestamp() * 1000),
        )

    @cached_property
    def phase(self) -> Phase:
        """Which of files and tables is written, and which is read; ConfigError for one not moved to."""
        return self.moving_in or phase_of(self.layout, self.settings.storage_phase)

    @cached_property
    def database(self) -> SqlStore | None:
        """The tables, or None in storage phase `files`; raise DatabaseUnavailable when none is configured."""
        if self.phase == "files":
            return None
        if self.settings.database_url is None:
            raise DatabaseUnavailable(
                "no database is running for this data root: `itb run` and `itb ui` start the embedded one; "
                "else set ITB_DATABASE_URL, or ITB_STORAGE_PHASE=files to do without"
            )
        definitions = {"features": self.features.definitions, "labels": self.labels.definitions}
        url = self.settings.database_url.get_secret_value()
        return SqlStore(url, definitions=definitions, policies=self.policies)

    @cached_property
    def policies(self) -> Policies:
        """What the settings want of the database; ConfigError for rows dropped from a table that is read."""
        policies = policies_of(self.settings)
        if policies.retention_days and reads_tables(self.phase):
            named = ", ".join(policies.retention_days)
            problem = (
                f"ITB_RETENTION_DAYS drops rows of {named}, which phase {self.phase} reads: frames would "
                "lose their beginning; unset it, or move to dual by `itb storage phase dual`"
            )
            raise ConfigError([problem], origin="storage phase")
        return policies

    @cached_property
    def keeper(self) -> FrameKeeper:
        """Frames in files and tables, as the storage phase says."""
        return FrameKeeper(self.layout, self.frames, self.phase, self.database)

    def close(self) -> None:
        """Let go of the database and of the exchange, as far as they were used."""
        for name in ("database", "source"):
            opened = vars(self).get(name)  # a cached_property is there once it was used
            if opened is not None:
                opened.close()

    def frame_path(self, market: Market, asset: str) -> Path:
        """Return where the file of an asset such as `processed/features` of a market lies."""
        return frame_path(self.layout, market, asset)

    def stored(self, market: Market, asset: str) -> StoredFrame | None:
        """Return a handle on what is stored of an asset such as `processed/features`, or None."""
        if not reads_tables(self.phase):
            path = self.frame_path(market, asset)
            return self.frames.open(path) if path.exists() else None
        return self.keeper.find(market, asset)

    def markets(self) -> tuple[Market, ...]:
        """Return every market whose klines are stored, by symbol and then by length of the kline."""
        return self.keeper.markets() if self.phase == "db" else self.layout.markets()

    def model_names(self) -> tuple[ModelName, ...]:
        """Name every model that the strategies ask for."""
        return tuple(
            ModelName(strategy.variant, algorithm.name, label)
            for strategy in self.strategies
            for algorithm in strategy.algorithms
            for label in strategy.labels
        )

    def frame_names(self) -> tuple[str, ...]:
        """Name every frame of a market, upstream first, as `processed/features`."""
        variants = tuple(strategy.variant for strategy in self.strategies)
        of_stage = {stage: self.traded_variants if stage in TRADED else variants for stage in BY_VARIANT}
        return (*FRAMES, *(f"{stage}/{variant}" for stage in BY_VARIANT for variant in of_stage[stage]))

    def asset_names(self) -> tuple[str, ...]:
        """Name every asset of a market, upstream first: its frames, and its models after the matrix."""
        frames, models = self.frame_names(), ("/".join(name.key) for name in self.model_names())
        return (*frames[: len(FRAMES)], *models, *frames[len(FRAMES) :])

    def strategy(self, variant: str) -> Strategy:
        """Return the strategy of a variant."""
        return next(item for item in self.strategies if item.variant == variant)

    def trading_rule(self, variant: str) -> TradingRule:
        """Return how a variant's signals become positions; raise ConfigError where that stays open."""
        strategy = self.strategy(variant)
        scores = {
            f"{label}_{algorithm.name}": label
            for label in strategy.labels
            for algorithm in strategy.algorithms
        }
        try:
            return resolve_rule(
                strategy.trading,
                signal_sets=strategy.signal_sets,
                scores=scores,
                definitions=self.labels.definitions,
            )
        except ConfigError as error:
            raise ConfigError(error.problems, origin=f"{strategy.origin}: {error.origin}") from error

    def algorithm(self, name: ModelName) -> AlgorithmSpec:
        """Return the algorithm entry behind a model."""
        return next(item for item in self.strategy(name.variant).algorithms if item.name == name.algo)

    def label_horizon_rows(self, label: str) -> int:
        """Return the later rows that one label depends on."""
        return next(group.horizon_rows for group in self.labels.groups if label in group.names)

    def training_digest(self, name: ModelName) -> str:
        """Digest of everything but data that decides how a model comes out."""
        strategy = self.strategy(name.variant)
        parts = (
            self.algorithm(name),
            name,
            strategy.train_features,
            [self.features.definitions[feature] for feature in strategy.train_features],
            self.labels.definitions[name.label],
            strategy.label_horizon,
            strategy.train_length,
            strategy.walk_forward,
            strategy.cross_validation,
            self.dialect,
            self.settings.seed,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()
