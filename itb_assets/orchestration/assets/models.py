"""Model assets: one per (variant, algo, label) of the strategies, partitioned by market like all others.

Training itself belongs to `orchestration.models`, keeping its result to the IO manager.
"""

import dagster as dg

from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.models import ModelUpdate, train
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.files.frames import StoredFrame


def model_asset(name: ModelName, description: str) -> dg.AssetsDefinition:
    """Define the asset of one model."""

    @market_asset(
        key=name.key,
        group=f"models_{name.variant}",
        io_manager="models",
        kinds={name.algo},
        ins={"matrix": asset_in("labeled", "matrix")},
        tags={"variant": name.variant, "algo": name.algo, "label": name.label},
        description=description,
    )
    def model(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], matrix: StoredFrame
    ) -> ModelUpdate:
        return train(platform, market_of(context.partition_key), name, matrix)

    return model


def model_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define the asset of every model that the strategies ask for."""
    return [
        model_asset(
            name,
            f"`{name.algo}` model of `{name.label}` for the {name.variant} strategy. "
            "Judged by walk-forward with the label's horizon purged; no metric is computed on training rows.",
        )
        for name in platform.model_names()
    ]
