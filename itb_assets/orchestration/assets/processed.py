"""Processed assets: klines on their grid, and the features of every strategy.

What a feature is belongs to `domain.features`.
"""

import dagster as dg
import pandas as pd

from itb_assets.domain.klines import to_grid
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, rows_before, versions
from itb_assets.storage.files.frames import StoredFrame

GRID_DIGEST = "grid"


@market_asset(
    key=["processed", "data"], group="processed", kinds={"pandas"}, ins={"klines": asset_in("raw", "klines")}
)
def data(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], klines: StoredFrame
) -> FrameUpdate:
    """Klines on the full time grid: a missing kline is a row of unknown values, never an invented one."""
    market = market_of(context.partition_key)
    sources = {"raw/klines": klines}
    previous = platform.stored(market, "processed/data")
    work = pending_work(previous, digest=GRID_DIGEST, sources=sources)
    if work.nothing:
        return FrameUpdate(None, GRID_DIGEST, versions(sources))
    if work.from_time is None or previous is None or previous.last is None:
        return FrameUpdate(to_grid(klines.read(), market), GRID_DIGEST, versions(sources))
    from_time = min(
        work.from_time, previous.last
    )  # the last stored row is a real kline: the grid goes on from it
    return FrameUpdate(
        to_grid(klines.since(from_time), market),
        GRID_DIGEST,
        versions(sources),
        from_time=from_time,
    )


@market_asset(
    key=["processed", "features"],
    group="processed",
    kinds={"talib", "pandas"},
    ins={"data": asset_in("processed", "data")},
)
def features(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], data: StoredFrame
) -> FrameUpdate:
    """Every feature that the strategies name, each value computed from klines up to its own row only.

    An update computes the new rows and the lookback they need, not the history.
    """
    market = market_of(context.partition_key)
    plan, sources = platform.features, {"processed/data": data}
    work = pending_work(platform.stored(market, "processed/features"), digest=plan.digest, sources=sources)
    page = {"features": len(plan.names), "dialect": platform.dialect}
    if work.nothing:
        return FrameUpdate(None, plan.digest, versions(sources), metadata=page)
    if work.from_time is None or plan.lookback_rows is None:
        frame = plan.compute(data.read(["timestamp", *plan.inputs]))
        return FrameUpdate(frame, plan.digest, versions(sources), metadata=page)
    window = data.since(rows_before(market, work.from_time, plan.lookback_rows))
    return FrameUpdate(
        _from(plan.compute(window), work.from_time),
        plan.digest,
        versions(sources),
        from_time=work.from_time,
        metadata=page,
    )


def _from(frame: pd.DataFrame, time: pd.Timestamp) -> pd.DataFrame:
    return frame[frame["timestamp"] >= time].reset_index(drop=True)
