"""Which file an asset's frame lies in.

Where each file lies is spelt in `layout`.
"""

from __future__ import annotations

from pathlib import Path

from itb_assets.domain.markets import Market
from itb_assets.storage.layout import Layout


def frame_path(layout: Layout, market: Market, asset: str) -> Path:
    """Return where an asset such as `processed/features` of a market lies."""
    stage, _, name = asset.partition("/")
    by_variant = {
        "predictions": layout.predictions,
        "signals": layout.signals,
        "trades": layout.trades,
        "performance": layout.performance,
        "drift": layout.drift,
    }
    if stage in by_variant:
        return by_variant[stage](market, name)
    shared = {
        "raw/klines": layout.klines,
        "processed/data": layout.data,
        "processed/features": layout.features,
        "labeled/matrix": layout.matrix,
    }
    return shared[asset](market)
