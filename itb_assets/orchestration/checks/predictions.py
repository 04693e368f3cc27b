"""Checks of scores: that none lies on a row its model was trained on, and that live ones can be had again.

How a row is scored belongs to `domain.training`.
"""

import dagster as dg
import pandas as pd

from itb_assets.domain import training  # its names load the learning libraries at first use
from itb_assets.domain.markets import Market
from itb_assets.orchestration.checks.base import SAMPLE_ROWS, Verdict, market_check, missing
from itb_assets.orchestration.models import LoadedModel, load_model, scored_by
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.files.frames import StoredFrame

OUTDATED = Verdict(
    passed=False,
    metadata={"found": "scores of models that are not in use any more: run the market again"},
    why="these are scores of models that are not in use any more; materialize the predictions again",
    severity=dg.AssetCheckSeverity.WARN,
)


def prediction_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the checks of every variant's predictions."""
    return [check for strategy in platform.strategies for check in _prediction_checks(strategy.variant)]


def _prediction_checks(variant: str) -> list[dg.AssetChecksDefinition]:
    @market_check(["predictions", variant], "out_of_sample", blocking=True)
    def out_of_sample(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """No score lies on a row that the model giving it was trained on."""
        return _out_of_sample(platform, market, variant, stored)

    @market_check(["predictions", variant], "serve_parity")
    def serve_parity(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """The newest live scores, computed again from the stored features, are the same numbers."""
        return _serve_parity(platform, market, variant, stored)

    return [out_of_sample, serve_parity]


def _out_of_sample(platform: Platform, market: Market, variant: str, stored: StoredFrame) -> Verdict:
    models = _models(platform, market, variant)
    if stored.manifest.digest != scored_by(models):
        return OUTDATED
    frame = stored.read()
    samples = set(frame["sample"].unique())
    breaches = {}
    for name, model in models.items():
        bad = _seen_in_training(frame[["timestamp", "sample", name.score]], model)
        if len(bad):
            breaches[name.score] = f"{len(bad)} rows, first {bad['timestamp'].iloc[0]}"
    unknown = sorted(samples - {"out_of_sample", "live"})
    problems = [f"{name} on rows its model was trained on: {what}" for name, what in breaches.items()]
    problems += [f"rows that call themselves {', '.join(unknown)}"] if unknown else []
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return Verdict(
        passed=not problems,
        metadata={"samples": sorted(samples), "scores_on_training_rows": breaches},
        why=(
            "scores say nothing about a model where it was trained, so no metric, signal or trade is made "
            f"of these; train the models again{lines}"
        ),
    )


def _serve_parity(platform: Platform, market: Market, variant: str, stored: StoredFrame) -> Verdict:
    features = platform.stored(market, "processed/features")
    models = _models(platform, market, variant)
    if features is None:
        return missing("processed/features")
    if stored.manifest.digest != scored_by(models):
        return OUTDATED
    live = stored.tail(SAMPLE_ROWS)
    live = live[live["sample"] == "live"].drop(columns="sample")
    rows = features.tail(SAMPLE_ROWS).merge(live, on="timestamp", validate="1:1")
    different = {}
    for name, model in models.items():
        again = pd.Series(training.score_rows(model.payload, features=model.features, frame=rows))
        wrong = ~((again == rows[name.score]) | (again.isna() & rows[name.score].isna()))
        if wrong.any():
            different[name.score] = int(wrong.sum())
    return Verdict(passed=not different, metadata={"rows": len(rows), "scores_that_differ": different})


def _seen_in_training(scores: pd.DataFrame, model: LoadedModel) -> pd.DataFrame:
    """Return the rows before the model's live ones that do not hold its walk-forward score of that row."""
    *_, score = scores.columns
    early = scores[scores[score].notna() & (scores["timestamp"] < model.live_start)]
    tested = model.scores[["timestamp", "score"]].rename(columns={"score": "tested"})
    early = early.merge(tested, on="timestamp", how="left", validate="1:1")
    return early[(early["sample"] != "out_of_sample") | (early[score] != early["tested"])]


def _models(platform: Platform, market: Market, variant: str) -> dict[ModelName, LoadedModel]:
    names = [name for name in platform.model_names() if name.variant == variant]
    return {name: load_model(platform, market, name) for name in names}
