"""Jobs: which assets one run of a market covers.

When a run is due belongs to the schedules, what an asset does to the assets.
"""

from __future__ import annotations

import dagster as dg

from itb_assets.orchestration.models import model_keys
from itb_assets.orchestration.platform import Platform

BUILD = "build_market"
UPDATE = "update_market"
TRAIN = "train_market"


def all_jobs(platform: Platform) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs: everything, everything but training, and training with what follows from it."""
    everything = dg.AssetSelection.all()
    models = dg.AssetSelection.assets(*model_keys(platform))
    return [
        dg.define_asset_job(
            BUILD,
            everything,
            description="One market from the exchange to signals, models trained.",
        ),
        dg.define_asset_job(
            UPDATE,
            everything - models,
            description="Newest klines, features, scores and signals with the models at hand.",
        ),
        dg.define_asset_job(
            TRAIN,
            models.downstream(),
            description="Train a market's models and compute what follows from them.",
        ),
    ]
