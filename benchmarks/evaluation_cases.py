"""What is evaluated: recorded klines, the shipped strategies with each algorithm, and their trainings.

What the scores earn belongs to `evaluation_trades`, how it is shown to `evaluation_table`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from itb_assets.demo.recorded import RecordedVenue
from itb_assets.domain.features import compile_features
from itb_assets.domain.klines import to_grid
from itb_assets.domain.labels import LabelPlan, compile_labels
from itb_assets.domain.markets import Market
from itb_assets.domain.specs import AlgorithmSpec, Dialect
from itb_assets.domain.strategy import Strategy, load_strategy
from itb_assets.domain.training import TrainedModel, TrainingSpec, score_rows, train_models
from itb_assets.errors import InvalidMarket

MARKET = Market("BTCUSDT", "5m")
REFERENCE_ROWS = 51_864
"""The klines on which the old bot's numbers were measured: 2024-09-01 to 2025-02-28."""

VARIANTS = ("aggressive", "conservative")
ALGOS = ("lgbm", "logreg", "automl")
_RANGE_ROWS = 14
STRATEGIES = Path(__file__).parents[1] / "itb_assets" / "strategies"


@dataclass(frozen=True)
class Combination:
    """A shipped strategy whose models are made by one algorithm, and nothing else changed."""

    variant: str
    algo: str
    strategy: Strategy

    @property
    def scores(self) -> dict[str, str]:
        """Give each score column its label."""
        return {f"{label}_{self.algo}": label for label in self.strategy.labels}


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Models of one combination with their walk-forward scores, and the labels' definitions."""

    combination: Combination
    models: Mapping[str, TrainedModel]
    labels: LabelPlan


@dataclass(frozen=True)
class Reference:
    """One label as the old bot has it: by walk-forward, and on the very rows its model was trained on."""

    label: str
    range_auc: float
    """Of the recent range on the walk-forward rows."""
    walk_forward_auc: float
    in_sample_auc: float
    walk_forward_precision: float
    in_sample_precision: float


def recorded(rows: int | None) -> pd.DataFrame:
    """Return the last `rows` recorded klines on their grid, None for all; SystemExit where there are none."""
    folder = Path(os.environ.get("ITB_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    try:
        klines = RecordedVenue(folder / "binance_archive").klines(MARKET, 0, now_ms, now_ms=now_ms)
    except InvalidMarket as error:
        raise SystemExit(f"{error}\nset ITB_TEST_DATA to the folder above binance_archive") from error
    if rows is not None and rows > len(klines):
        raise SystemExit(f"{len(klines):,} klines of {MARKET} are recorded: expected --rows of at most that")
    data = to_grid(klines, MARKET)
    return data if rows is None else data.tail(rows).reset_index(drop=True)


def combinations(
    variants: tuple[str, ...], algos: tuple[str, ...], *, automl_trials: int
) -> list[Combination]:
    """Pair every strategy with every algorithm; an algorithm is set as a shipped strategy sets it."""
    shipped = {variant: shipped_strategy(variant) for variant in VARIANTS}
    entries = {entry.algo: entry for strategy in shipped.values() for entry in strategy.algorithms}
    # a time budget would end the search where the machine happens to be: the number of trials does instead
    search = {"max_trials": automl_trials, "time_budget_s": None}
    entries["automl"] = AlgorithmSpec("automl", "automl", train=search)
    return [
        Combination(variant, algo, with_algorithm(shipped[variant], entries[algo]))
        for variant in variants
        for algo in algos
    ]


def shipped_strategy(variant: str) -> Strategy:
    """Return a strategy as it is shipped."""
    file = STRATEGIES / f"{variant}.jsonc"
    return load_strategy(file.read_text("utf-8"), origin=file.name, variant=variant)


def with_algorithm(strategy: Strategy, algorithm: AlgorithmSpec) -> Strategy:
    """Return the strategy with this algorithm alone; its signal rules then read that algorithm's scores."""
    renamed = {
        f"{label}_{entry.name}": f"{label}_{algorithm.name}"
        for label in strategy.labels
        for entry in strategy.algorithms
    }

    def reading(columns: str | list[str]) -> str | list[str]:
        if isinstance(columns, str):
            return renamed.get(columns, columns)
        return [renamed.get(name, name) for name in columns]

    rules = tuple(
        replace(rule, config={**rule.config, "columns": reading(rule.config["columns"])})
        for rule in strategy.signal_sets
    )
    return replace(strategy, algorithms=(algorithm,), signal_sets=rules)


def train(combination: Combination, data: pd.DataFrame, *, seed: int, threads: int) -> Evaluated:
    """Train every label by walk-forward, as the model assets do."""
    strategy = combination.strategy
    models, labels = _train(strategy, data, dialect=strategy.dialect, seed=seed, threads=threads)
    return Evaluated(combination, models, labels)


def recent_range(data: pd.DataFrame) -> pd.Series:
    """Return by time how far the last 14 candles reached from low to high, as a share of the price.

    A score that nobody trained: what it does not beat has learned how busy the market is, and no more.
    """
    reach = ((data["high"] - data["low"]) / data["close"]).rolling(_RANGE_ROWS).mean()
    return reach.set_axis(pd.DatetimeIndex(data["timestamp"]))


def fingerprint(models: Mapping[str, TrainedModel]) -> str:
    """Return one digest of every byte of the models and of their scores."""
    digest = hashlib.sha256()
    for label, model in models.items():
        digest.update(repr((label, model.payload)).encode())
        digest.update(model.scores["score"].to_numpy().tobytes())
    return digest.hexdigest()


def legacy_reference(data: pd.DataFrame, *, seed: int, threads: int) -> list[Reference]:
    """Score the old bot's features and labels both ways.

    The second is what no metric of the package computes: here it is, by scikit-learn, to show its size.
    """
    strategy = shipped_strategy("aggressive")
    models, _ = _train(strategy, data, dialect="legacy", seed=seed, threads=threads)
    matrix = _matrix(strategy, data, "legacy")[0].set_index("timestamp")
    found = []
    for label, model in models.items():
        trained = matrix[(matrix.index >= model.train_start) & (matrix.index < model.train_end)]
        flattering = score_rows(model.payload, features=model.features, frame=trained.reset_index())
        tested = model.scores.dropna(subset="outcome")
        honest = tested["outcome"].to_numpy(bool), tested["score"].to_numpy()
        untrained = recent_range(data).reindex(pd.DatetimeIndex(tested["timestamp"])).to_numpy()
        own = trained[label].to_numpy(bool), flattering
        found.append(
            Reference(
                label,
                range_auc=float(roc_auc_score(honest[0], untrained)),
                walk_forward_auc=float(roc_auc_score(*honest)),
                in_sample_auc=float(roc_auc_score(*own)),
                walk_forward_precision=float(average_precision_score(*honest)),
                in_sample_precision=float(average_precision_score(*own)),
            )
        )
    return found


def _train(
    strategy: Strategy, data: pd.DataFrame, *, dialect: Dialect, seed: int, threads: int
) -> tuple[dict[str, TrainedModel], LabelPlan]:
    matrix, labels = _matrix(strategy, data, dialect)
    spec = TrainingSpec(
        features=strategy.train_features,
        algorithm=strategy.algorithms[0],
        walk_forward=strategy.walk_forward,
        label_horizon=strategy.label_horizon,
        label_horizon_rows=labels.horizon_rows,
        train_length=strategy.train_length,
        seed=seed,
    )
    return train_models(matrix, strategy.labels, spec, threads=threads), labels


def _matrix(strategy: Strategy, data: pd.DataFrame, dialect: Dialect) -> tuple[pd.DataFrame, LabelPlan]:
    """Return timestamp, features and labels; in the legacy dialect without rows of unknown features."""
    labels = compile_labels(strategy.label_sets, dialect=dialect)
    features = compile_features(strategy.feature_sets, dialect=dialect).compute(data)
    outcomes = labels.compute(data).drop(columns="timestamp")
    matrix = pd.concat([features, outcomes], axis=1)
    if dialect == "legacy":
        matrix = matrix.dropna(subset=list(strategy.train_features)).reset_index(drop=True)
    return matrix, labels
