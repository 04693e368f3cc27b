"""Signal assets: buy and sell by a rule over a variant's scores.

What a rule means belongs to `domain.signals`.
"""

import hashlib
from collections.abc import Sequence

import dagster as dg
import numpy as np
import pandas as pd

from itb_assets.domain.columns import columns_of
from itb_assets.domain.klines import open_times_ns
from itb_assets.domain.markets import Market
from itb_assets.domain.signals import compute_signals, lookback_rows
from itb_assets.domain.specs import GeneratorSpec
from itb_assets.errors import DataContractError
from itb_assets.observability.signal_plot import signal_plot
from itb_assets.orchestration.assets.base import asset_in, market_asset
from itb_assets.orchestration.metadata import pictures
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate, pending_work, rows_before, versions
from itb_assets.storage.files.frames import StoredFrame

PLOT_ROWS = 288
_CONTEXT = ["timestamp", "close", "sample"]


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
    lookback = lookback_rows(specs)
    from_time = None if lookback is None else work.from_time
    first, last = predictions.first, predictions.last
    if work.nothing or first is None or last is None or (from_time is not None and last < from_time):
        return FrameUpdate(None, digest, versions(sources), metadata=_page(market, _newest(stored)))
    since = first if from_time is None else max(first, from_time)
    frame = _signals_since(predictions, data, specs, since, rows_before(market, since, lookback or 0))
    return FrameUpdate(
        frame,
        digest,
        versions(sources),
        from_time=None if from_time is None else since,
        metadata=_page(market, _newest(None if from_time is None else stored, frame)),
    )


def _signals_since(
    predictions: StoredFrame,
    data: StoredFrame,
    specs: Sequence[GeneratorSpec],
    since: pd.Timestamp,
    read_from: pd.Timestamp,
) -> pd.DataFrame:
    """Apply the rules on every kline of the grid, so that a window of 12 rows is 12 klines, scored or not."""
    closes = data.since(read_from, ["timestamp", "close"])
    scores = predictions.since(read_from)
    scored = len(scores)
    scores = _beside(closes, scores)
    outputs = compute_signals(scores, specs)
    frame = pd.DataFrame(columns_of(scores[_CONTEXT], outputs), copy=False)
    start = int(frame["timestamp"].searchsorted(since))
    if not start and len(scores) == scored:
        return frame
    frame = frame.iloc[start:]
    return frame[frame["sample"].notna()].reset_index(drop=True)


def _beside(closes: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Put scores on the rows of the grid, NaN where there is none; both are sorted and unique."""
    grid, times = open_times_ns(closes), open_times_ns(scores)
    if len(grid) == len(times) and (grid == times).all():  # the rule: a score for every kline
        return pd.DataFrame(columns_of(closes, scores), copy=False)
    positions = np.full(len(grid), -1, dtype=np.int64)
    place = np.searchsorted(grid, times)
    if not (len(grid) and (grid[np.minimum(place, len(grid) - 1)] == times).all()):
        raise DataContractError(
            "predictions hold rows that processed/data has not: materialize the predictions again"
        )
    positions[place] = np.arange(len(times))
    values = {
        name: pd.api.extensions.take(scores[name].to_numpy(), positions, allow_fill=True)
        for name in scores.columns
        if name != "timestamp"
    }
    return pd.DataFrame(columns_of(closes) | values, copy=False)


def _newest(stored: StoredFrame | None, fresh: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the last rows as they will be stored, for the page."""
    before = pd.DataFrame() if stored is None else stored.tail(PLOT_ROWS)
    if fresh is None or fresh.empty:
        return before
    if not before.empty:
        before = before[before["timestamp"] < fresh["timestamp"].iloc[0]]
    return (fresh if before.empty else pd.concat([before, fresh], ignore_index=True)).tail(PLOT_ROWS)


def _page(market: Market, newest: pd.DataFrame) -> dict[str, object]:
    buy, sell = signal_columns(newest)
    if not buy or not sell:
        return {}
    plot = signal_plot(newest, newest[buy], newest[sell], title=f"{market}: close and signals")
    return {
        "newest_rows": len(newest),
        "newest_buys": int(newest[buy].sum()),
        "newest_sells": int(newest[sell].sum()),
        "plot": pictures({"close and signals": plot}),
    }


def signal_columns(frame: pd.DataFrame) -> tuple[str | None, str | None]:
    """Return the last rule's buy and sell columns: the last two boolean ones."""
    flags = [name for name, dtype in frame.dtypes.items() if str(dtype) in ("bool", "boolean")]
    return (str(flags[-2]), str(flags[-1])) if len(flags) > 1 else (None, None)
