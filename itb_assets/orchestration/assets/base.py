"""What every asset of a market shares: partitions, one run a market, owners, errors, log context.

No asset is defined here.
"""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from itb_assets.observability.logs import get_logger
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.partitions import MARKETS, market_of

OWNERS = ["team:market-data"]


def market_asset(  # noqa: PLR0913 - Dagster's own keywords
    *,
    key: list[str],
    group: str,
    io_manager: str = "frames",
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: list[list[str]] | None = None,
    kinds: set[str],
    owners: list[str] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Define an asset partitioned by market; the function's docstring is its catalogue text."""

    def decorate(compute: Callable[..., Any]) -> dg.AssetsDefinition:
        @functools.wraps(compute)
        def run(context: dg.AssetExecutionContext, **arguments: Any) -> object:
            market = market_of(context.partition_key)
            log = get_logger(
                run_id=context.run_id, asset="/".join(key), symbol=market.symbol, freq=market.freq
            )
            watch = context.resources.platform.watch
            if watch is not None:
                watch(market, "/".join(key))
            started = time.perf_counter()
            with as_failures():
                result = compute(context, **arguments)
            log.debug("asset computed", seconds=round(time.perf_counter() - started, 3))
            return result

        return dg.asset(
            key=key,
            ins=ins,
            deps=[dg.AssetKey(dep) for dep in deps or []],
            group_name=group,
            partitions_def=MARKETS,
            io_manager_key=io_manager,
            owners=owners or OWNERS,
            kinds=kinds,
            tags=tags,
            description=description,
        )(run)

    return decorate


def asset_in(*key: str) -> dg.AssetIn:
    """Name an upstream asset by its key."""
    return dg.AssetIn(key=dg.AssetKey(list(key)))
