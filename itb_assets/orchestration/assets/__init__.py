"""The assets, one module a stage; each takes inputs, calls the domain and returns value and metadata."""

from __future__ import annotations

import dagster as dg

from itb_assets.orchestration.assets.drift import drift_assets
from itb_assets.orchestration.assets.labeled import matrix
from itb_assets.orchestration.assets.models import model_assets
from itb_assets.orchestration.assets.performance import performance_assets
from itb_assets.orchestration.assets.predictions import prediction_assets
from itb_assets.orchestration.assets.processed import data, features
from itb_assets.orchestration.assets.raw import klines
from itb_assets.orchestration.assets.signals import signal_assets
from itb_assets.orchestration.assets.trades import trade_assets
from itb_assets.orchestration.platform import Platform


def all_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return every asset of the platform, upstream first."""
    return [
        klines,
        data,
        features,
        matrix,
        *model_assets(platform),
        *prediction_assets(platform),
        *signal_assets(platform),
        *trade_assets(platform),
        *performance_assets(platform),
        *drift_assets(platform),
    ]
