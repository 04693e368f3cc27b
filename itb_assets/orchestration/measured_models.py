"""What the models of a variant were worth out of sample, and how that was measured, as a report tells it.

Training and judging them belongs to `domain.training`; the trades of all of them together to `trading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.samples import MeasurableSample
from itb_assets.domain.strategy import Strategy
from itb_assets.errors import ModelNotFound
from itb_assets.observability.report_data import Measurement, ModelResult, ScoredWindow
from itb_assets.observability.wording import day, number
from itb_assets.orchestration.models import LoadedModel, load_model
from itb_assets.orchestration.platform import ModelName, Platform


@dataclass(frozen=True)
class Evidence:
    """What is known of the models behind a variant; `tried` counts the strategies this one was one of."""

    models: tuple[ModelResult, ...]
    measurement: Measurement | None
    tried: int


def evidence_of(platform: Platform, market: Market, variant: str, sample: MeasurableSample) -> Evidence:
    """Read metrics and metadata of a variant's models; raise ModelRejected where one was tampered with."""
    loaded = dict(_loaded(platform, market, platform.model_names()))
    own = {name: model for name, model in loaded.items() if name.variant == variant}
    tried = sum(_tried(platform.strategy(item), item, loaded) for item in platform.traded_variants)
    return Evidence(
        models=tuple(_result(name, model) for name, model in own.items()),
        measurement=_measurement(platform.strategy(variant), own, sample) if own else None,
        tried=max(tried, 1),
    )


def _loaded(
    platform: Platform, market: Market, names: Iterable[ModelName]
) -> Iterable[tuple[ModelName, LoadedModel]]:
    for name in names:
        with suppress(ModelNotFound):
            yield name, load_model(platform, market, name)


def _tried(strategy: Strategy, variant: str, loaded: Mapping[ModelName, LoadedModel]) -> int:
    """Count a strategy with the searches and earlier definitions of its models, where these are recorded."""
    models = len(strategy.labels) * len(strategy.algorithms)
    recorded = (
        model.stored.metrics.get("luck", {}).get("models_tried", models)
        for name, model in loaded.items()
        if name.variant == variant
    )
    return 1 + max((int(count) - models for count in recorded), default=0)


def _result(name: ModelName, model: LoadedModel) -> ModelResult:
    """Tell one model's results; what an older metrics.json does not hold is unknown."""
    metrics = model.stored.metrics
    overall, trading = metrics["overall"], metrics.get("trading") or {}
    luck = (metrics.get("luck") or {}).get("trading") or {}
    low, high = _auc_bounds(name, model)
    return ModelResult(
        name.score,
        auc=overall["auc"],
        auc_low=low,
        auc_high=high,
        positive_share=overall["base_rate"],
        threshold=overall["threshold"],
        precision=overall["precision"],
        recall=overall["recall"],
        trades=trading.get("trades"),
        win_rate=trading.get("win_rate"),
        total_pnl=trading.get("total_pnl"),
        p_value=luck.get("p_value"),
    )


def _auc_bounds(name: ModelName, model: LoadedModel) -> tuple[float | None, float | None]:
    """Return the 95 % bounds of the AUC by a block bootstrap, None where the rows are too few for one."""
    from itb_assets.domain.evaluation.leaderboard import compare_many  # noqa: PLC0415 - SciPy loads slowly

    row = compare_many({name.score: model.scores.assign(sample="out_of_sample")}).iloc[0]
    low, high = (None if pd.isna(row[key]) else float(row[key]) for key in ("auc_low", "auc_high"))
    return low, high


def _measurement(
    strategy: Strategy, models: Mapping[ModelName, LoadedModel], sample: MeasurableSample
) -> Measurement:
    """Say how the scores were made; the windows are those of the first model."""
    first = next(iter(models.values()))
    notes = [] if sample == "out_of_sample" else [_live_note(models)]
    if len({tuple(_starts(model)) for model in models.values()}) > 1:
        notes.append("The models were trained at different times; the windows are those of the first.")
    return Measurement(
        scheme=strategy.walk_forward.mode,
        purge_rows=int(first.stored.metrics["purge_rows"]),
        windows=tuple(_window(fold) for fold in first.stored.metrics["folds"]),
        thresholds=dict(_thresholds(strategy, models)),
        notes=tuple(notes),
    )


def _starts(model: LoadedModel) -> Iterable[str]:
    return (fold["score_start"] for fold in model.stored.metrics["folds"])


def _live_note(models: Mapping[ModelName, LoadedModel]) -> str:
    ends = ", ".join(f"{name.score} until {day(model.train_end)}" for name, model in models.items())
    return f"Live rows came after the training of the models that scored them: {ends}."


def _window(fold: Mapping[str, Any]) -> ScoredWindow:
    times = {key: pd.Timestamp(fold[key]) for key in ("train_start", "train_end", "score_start", "score_end")}
    return ScoredWindow(train_rows=int(fold["n_train_rows"]), **times)


def _thresholds(strategy: Strategy, models: Mapping[ModelName, LoadedModel]) -> Iterable[tuple[str, str]]:
    """Say what decides that a score is a signal, for the strategy's rules and for each model alone."""
    for entry in strategy.signal_sets:
        if entry.generator.startswith("threshold"):
            limits = entry.config.get("parameters", {})
            words = ", ".join(f"{key} {value:g}" for key, value in limits.items())
            names = " and ".join(map(str, entry.config.get("names", ())))
            yield names or entry.generator, f"{words}; set in the strategy file"
    for name, model in models.items():
        chosen = model.stored.metrics["overall"]["threshold"]
        at = "" if chosen is None else f", lately {number(chosen, 4)}"
        yield f"{name.score} alone", f"the score that the top 5 % of earlier windows reached{at}"
