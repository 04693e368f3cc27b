"""The matrix that models are trained on: klines, features and labels side by side.

What a label is belongs to `domain.labels`. Nothing on the way to a signal reads this asset.
"""

import dagster as dg
import pandas as pd

from itb_assets.domain.columns import columns_of
from itb_assets.errors import DataContractError
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, rows_before, versions
from itb_assets.storage.files.frames import StoredFrame


@market_asset(
    key=["labeled", "matrix"],
    group="labeled",
    kinds={"pandas"},
    ins={"data": asset_in("processed", "data"), "features": asset_in("processed", "features")},
)
def matrix(
    context: dg.AssetExecutionContext,
    platform: dg.ResourceParam[Platform],
    data: StoredFrame,
    features: StoredFrame,
) -> FrameUpdate:
    """Klines, features and labels; a label is unknown until every kline of its horizon is there."""
    market = market_of(context.partition_key)
    plan = platform.labels
    sources = {"processed/data": data, "processed/features": features}
    digest = matrix_digest(platform)
    work = pending_work(platform.stored(market, "labeled/matrix"), digest=digest, sources=sources)
    if work.nothing:
        return FrameUpdate(None, digest, versions(sources))
    if work.from_time is None:
        frame = _matrix(platform, data.read(), features.read())
        return FrameUpdate(
            frame, digest, versions(sources), metadata={"label_rates": _rates(platform, frame)}
        )
    from_time = rows_before(market, work.from_time, plan.horizon_rows)
    since = rows_before(market, from_time, plan.lookback_rows)
    frame = _matrix(platform, data.since(since), features.since(since))
    frame = frame[frame["timestamp"] >= from_time].reset_index(drop=True)
    return FrameUpdate(frame, digest, versions(sources), from_time=from_time)


def matrix_digest(platform: Platform) -> str:
    """Return the digest of all definitions that decide what the matrix holds."""
    return f"{platform.features.digest}+{platform.labels.digest}"


def _matrix(platform: Platform, data: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    if not data["timestamp"].equals(features["timestamp"]):
        raise DataContractError(
            f"processed/data has {len(data)} rows and processed/features {len(features)} on other times: "
            "materialize processed/features again"
        )
    labels = platform.labels.compute(data)
    return pd.DataFrame(columns_of(data, features, labels), copy=False)


def _rates(platform: Platform, frame: pd.DataFrame) -> dict[str, float]:
    """Return the share of rows on which each label is true, of those on which it is known."""
    return {name: float(frame[name].mean()) for name in platform.labels.names if frame[name].notna().any()}
