"""What every asset of a market shares: partitions, one run a market, owners, errors, log context.

No asset is defined here.
"""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.models import ModelUpdate
from itb_assets.orchestration.partitions import MARKETS, market_in
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.run_log import asset_log
from itb_assets.orchestration.updates import FrameUpdate

OWNERS = ["team:market-data"]


def market_asset(
    *,
    key: list[str],
    group: str,
    io_manager: str = "frames",
    ins: Mapping[str, dg.AssetIn] | None = None,
    kinds: set[str],
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., FrameUpdate | ModelUpdate]], dg.AssetsDefinition]:
    """Define an asset partitioned by market; the function's docstring is its catalogue text."""

    def decorate(compute: Callable[..., FrameUpdate | ModelUpdate]) -> dg.AssetsDefinition:
        @functools.wraps(compute)
        def run(context: dg.AssetExecutionContext, **arguments: Any) -> FrameUpdate | ModelUpdate:
            platform: Platform = context.resources.platform
            name = "/".join(key)
            with as_failures():
                market = market_in(context.op_execution_context)
            if platform.watch is not None:
                platform.watch(market, name)
            started = time.perf_counter()
            with asset_log(context, name, market) as log, as_failures(retry=platform.retry_steps):
                stored = platform.stored(market, name) if io_manager == "frames" else None
                update = compute(context, **arguments)
                if isinstance(update, FrameUpdate):
                    update = replace(update, base=stored.manifest.version if stored else None)
                seconds = round(time.perf_counter() - started, 3)
                log.bind(rows=update.rows, seconds=seconds).info("asset computed")
            return update

        return dg.asset(
            key=key,
            ins=ins,
            group_name=group,
            partitions_def=MARKETS,
            io_manager_key=io_manager,
            owners=OWNERS,
            kinds=kinds,
            tags=tags,
            description=description,
        )(run)

    return decorate


def asset_in(*key: str) -> dg.AssetIn:
    """Name an upstream asset by its key."""
    return dg.AssetIn(key=dg.AssetKey(list(key)))
