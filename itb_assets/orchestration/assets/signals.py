"""Signal assets: buy and sell by a rule over a variant's scores.

What a rule means belongs to `domain.signals`.
"""

import hashlib

import dagster as dg
import pandas as pd

from itb_assets.domain.signals import compute_signals, lookback_rows
from itb_assets.observability.plots import price_with_signals
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.metadata import picture
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, rows_before, versions
from itb_assets.storage.frames import StoredFrame

PLOT_ROWS = 288


def signal_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Define one signals asset per variant."""
    return [_signals(strategy.variant) for strategy in platform.strategies]


def _signals(variant: str) -> dg.AssetsDefinition:
    @market_asset(
        key=["signals", variant],
        group="signals",
        kinds={"pandas"},
        ins={
            "predictions": asset_in("predictions", variant),
            "data": asset_in("processed", "data"),
        },
        tags={"variant": variant},
        description=f"Buy and sell signals of the {variant} strategy, with the close they were given at.",
    )
    def signals(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        predictions: StoredFrame,
        data: StoredFrame,
    ) -> FrameUpdate:
        return _update(platform, context, variant, predictions, data)

    return signals


def _update(
    platform: Platform,
    context: dg.AssetExecutionContext,
    variant: str,
    predictions: StoredFrame,
    data: StoredFrame,
) -> FrameUpdate:
    market, specs = market_of(context.partition_key), platform.strategy(variant).signal_sets
    digest = hashlib.sha256(repr(specs).encode()).hexdigest()
    sources = {f"predictions/{variant}": predictions, "processed/data": data}
    stored = platform.stored(market, f"signals/{variant}")
    work = pending_work(stored, digest=digest, sources=sources)
    if work.nothing or predictions.first is None:
        return FrameUpdate(None, digest, versions(sources))
    lookback = lookback_rows(specs)
    from_time = None if lookback is None else work.from_time
    since = predictions.first if from_time is None else max(predictions.first, from_time)
    scores = predictions.since(rows_before(market, since, lookback or 0))
    closes = data.since(scores["timestamp"].iloc[0], ["timestamp", "close"])
    outputs = compute_signals(scores, specs)
    frame = (
        scores[["timestamp", "sample"]]
        .merge(closes, on="timestamp", how="left", validate="1:1")
        .merge(outputs, on="timestamp", validate="1:1")[
            ["timestamp", "close", "sample", *outputs.columns[1:]]
        ]
    )
    frame = frame[frame["timestamp"] >= since].reset_index(drop=True)
    from_time = None if from_time is None else since
    return FrameUpdate(
        frame,
        digest,
        versions(sources),
        from_time=from_time,
        metadata=_page(market, frame),
    )


def _page(market: object, frame: pd.DataFrame) -> dict[str, object]:
    buy, sell = signal_columns(frame)
    last = frame.tail(PLOT_ROWS)
    page: dict[str, object] = {}
    if buy and sell and not frame.empty:
        page |= {"buys": int(frame[buy].sum()), "sells": int(frame[sell].sum())}
        plot = price_with_signals(last, last[buy], last[sell], title=f"{market}: close and signals")
        page["plot"] = picture(plot, "close and signals")
    return page


def signal_columns(frame: pd.DataFrame) -> tuple[str | None, str | None]:
    """Return the last rule's buy and sell columns: the last two boolean ones."""
    flags = [name for name, dtype in frame.dtypes.items() if str(dtype) in ("bool", "boolean")]
    return (str(flags[-2]), str(flags[-1])) if len(flags) > 1 else (None, None)
