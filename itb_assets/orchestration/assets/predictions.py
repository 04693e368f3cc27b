"""Prediction assets: the scores of a variant's models, each row saying how it came about.

How a row is scored belongs to `domain.training`.
"""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from itb_assets.domain import training  # its names load the learning libraries at first use
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.models import LoadedModel, scored_by
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, versions
from itb_assets.storage.files.frames import StoredFrame


def prediction_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define one predictions asset per variant."""
    return [_predictions(platform, strategy.variant) for strategy in platform.strategies]


def _predictions(platform: Platform, variant: str) -> dg.AssetsDefinition:
    names = [name for name in platform.model_names() if name.variant == variant]
    ins = {name.score: asset_in(*name.key) for name in names}

    @market_asset(
        key=["predictions", variant],
        group="predictions",
        kinds={"pandas"},
        ins=ins | {"features": asset_in("processed", "features")},
        tags={"variant": variant},
        description=(
            f"Scores of the {variant} models: walk-forward scores (`out_of_sample`) up to the end of "
            "training, scores of the final model (`live`) after it; never a score on a training row."
        ),
    )
    def predictions(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        features: StoredFrame,
        **models: LoadedModel,
    ) -> FrameUpdate:
        return _update(platform, context, variant, features, {name: models[name.score] for name in names})

    return predictions


def _update(
    platform: Platform,
    context: dg.AssetExecutionContext,
    variant: str,
    features: StoredFrame,
    models: Mapping[ModelName, LoadedModel],
) -> FrameUpdate:
    market, sources = market_of(context.partition_key), {"processed/features": features}
    digest = scored_by(models)
    work = pending_work(platform.stored(market, f"predictions/{variant}"), digest=digest, sources=sources)
    if work.nothing:
        return FrameUpdate(None, digest, versions(sources))
    starts = [model.live_start for model in models.values()]
    # before the last of them some score is a walk-forward one, which no update can compute again
    from_time = work.from_time if work.from_time is not None and work.from_time >= max(starts) else None
    rows = features.since(from_time or min(starts))
    scored = [_live(name, model, rows) for name, model in models.items()]
    if from_time is None:
        tested = [_history(name, model) for name, model in models.items()]
        scored = [
            pd.concat([before, live]) if len(live) else before
            for before, live in zip(tested, scored, strict=True)
        ]
    frame = _combine(scored)
    counts = {str(sample): int(count) for sample, count in frame["sample"].value_counts().items()}
    return FrameUpdate(
        frame,
        digest,
        versions(sources),
        from_time=from_time,
        metadata={"samples_computed": counts},
    )


def _live(name: ModelName, model: LoadedModel, rows: pd.DataFrame) -> pd.DataFrame:
    unseen = rows[rows["timestamp"] >= model.live_start]
    scores = training.score_rows(model.payload, features=model.features, frame=unseen)
    return pd.DataFrame({"timestamp": unseen["timestamp"].array, "sample": "live", name.score: scores})


def _history(name: ModelName, model: LoadedModel) -> pd.DataFrame:
    scores = model.scores
    return pd.DataFrame(
        {
            "timestamp": scores["timestamp"].array,
            "sample": "out_of_sample",
            name.score: scores["score"].to_numpy(),
        }
    )


def _combine(scored: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the models' scores side by side; a row with any out-of-sample score counts as out of sample."""
    by_time = [frame.set_index(pd.DatetimeIndex(frame["timestamp"])) for frame in scored]
    index = by_time[0].index
    for frame in by_time[1:]:
        index = index.union(frame.index)
    tested = pd.Series(data=False, index=index)
    columns: dict[str, pd.Series] = {}
    for frame in by_time:
        tested |= (frame["sample"] == "out_of_sample").reindex(index, fill_value=False)
        columns |= {
            name: frame[name].reindex(index) for name in frame.columns if name not in ("timestamp", "sample")
        }
    sample = pd.Series("live", index=index).where(~tested, "out_of_sample")
    return pd.DataFrame({"sample": sample, **columns}).rename_axis("timestamp").reset_index()
