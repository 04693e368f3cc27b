"""Our whole chain as the assets compute it, from an exchange in memory to signals in files and database.

The real assets and IO managers run one after the other, without Dagster's own machinery between them.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import dagster as dg
import inputs
import pandas as pd
from loguru import logger
from measure import ENOUGH_CPU_S, Case, Cost, Job, Meter
from pydantic import SecretStr

from itb_assets.domain.markets import Market
from itb_assets.orchestration.assets import all_assets
from itb_assets.orchestration.assets.raw import OVERLAP_ROWS, KlinesConfig
from itb_assets.orchestration.io_managers import FrameIOManager, ModelIOManager
from itb_assets.orchestration.partitions import partition_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.updates import FrameUpdate
from itb_assets.settings import load_settings
from itb_assets.sources.protocol import FetchReport, KlineBatch, Progress

WARM_UP_ROWS = 2_500
MOST_BUILDS = 9
DATA_STAGES = ("raw", "processed", "labeled", "predictions", "signals")
PARTITION = partition_of(inputs.MARKET)


@dataclass(frozen=True)
class ExchangeInMemory:
    """A source that holds its klines: what a download costs is not measured here."""

    klines: pd.DataFrame

    def fetch(
        self, market: Market, start_ms: int, end_ms: int, *, progress: Progress | None = None
    ) -> KlineBatch:
        """Return the klines that open in [start_ms, end_ms)."""
        del market, progress
        times = self.klines["timestamp"]
        first, end = times.searchsorted([_time(start_ms), _time(end_ms)])
        whole = first == 0 and end == len(times)
        frame = self.klines if whole else self.klines.iloc[first:end].reset_index(drop=True)
        return KlineBatch(frame, FetchReport())

    def forget(self, market: Market, before_ms: int) -> int:
        """Have no cache."""
        del market, before_ms
        return 0

    def close(self) -> None:
        """Have no connection."""


def _time(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def run(job: Job, meter: Meter) -> Mapping[str, Cost]:
    """Build everything, then update it; return what the chain without fits, each part and an update cost.

    A short chain is built from nothing several times, by the models of the first. The cheapest run of each
    asset counts, as of each stage of the other ways.
    """
    logger.disable("itb_assets")
    _warm_up(job, meter)
    klines = inputs.load(job, "klines")
    first = _platform(job, "chain_0", klines)
    built = [materialize(first, meter, stages=(*DATA_STAGES, "models"))]
    while len(built) < MOST_BUILDS and sum(_sum(parts).cpu_s for parts in built) < ENOUGH_CPU_S:
        platform = _platform(job, f"chain_{len(built)}", klines)
        shutil.copytree(first.settings.data_root / "models", platform.settings.data_root / "models")
        built.append(materialize(platform, meter, stages=DATA_STAGES))
    parts = {name: min((parts[name] for parts in built), key=lambda cost: cost.cpu_s) for name in built[0]}
    costs = {f"chain: {name}": cost for name, cost in parts.items()}
    costs["chain"] = _sum(parts)
    updates = []
    for count in range(1, inputs.UPDATES + 1):
        known = inputs.new_klines(job, OVERLAP_ROWS)[: OVERLAP_ROWS + count * inputs.NEW_ROWS]
        updates.append(materialize(_platform(job, "chain_0", known), meter, stages=DATA_STAGES))
    cheapest = min(updates, key=lambda parts: _sum(parts).cpu_s)
    costs |= {f"update: {name}": cost for name, cost in cheapest.items()}
    costs["update"] = _sum(cheapest)
    return costs


def _warm_up(job: Job, meter: Meter) -> None:
    """Run the chain on few klines before the clock runs: the other ways are measured warm too."""
    klines = inputs.make_klines(WARM_UP_ROWS)
    materialize(_platform(job, "warm", klines), meter, stages=(*DATA_STAGES, "models"))


def _platform(job: Job, name: str, klines: pd.DataFrame) -> Platform:
    """Return a platform whose exchange has just these klines and whose clock stands behind the last one."""
    settings = load_settings(
        data_root=job.output / f"root_{name}",
        database_url=SecretStr(job.database(name)),
        storage_phase="dual",
        processed_format="csv",
        dialect=None,
        model_signing_key=None,
        start=datetime(2016, 1, 1, tzinfo=UTC),
        threads=1,
    )
    now = klines["timestamp"].iloc[-1] + inputs.MARKET.freq_delta
    platform = Platform(settings, (inputs.strategy(),), clock=lambda: now, retry_steps=False)
    platform.__dict__["source"] = ExchangeInMemory(klines)
    return platform


def materialize(platform: Platform, meter: Meter, *, stages: tuple[str, ...]) -> dict[str, Cost]:
    """Materialize the assets of these stages in order; return the cost of each but the models."""
    costs: dict[str, Cost] = {}
    managers = {"frames": FrameIOManager(platform), "models": ModelIOManager(platform)}
    for asset in all_assets(platform):
        work = _step(asset, platform, managers)
        if asset.key.path[0] not in stages:
            continue
        if asset.key.path[0] == "models":
            work()
        else:
            costs["/".join(asset.key.path)] = meter.measure(Case(work), repeats=1)
    return costs


def _step(asset: dg.AssetsDefinition, platform: Platform, managers: Mapping[str, Any]) -> Callable[[], None]:
    """Return what Dagster would do for one asset: load its inputs, compute, hand the result over."""
    context, is_model = _context(asset.key), asset.key.path[0] == "models"
    compute: Any = asset.op.compute_fn
    function = inspect.unwrap(compute.decorated_fn)  # without log and retries, which are Dagster's affair
    config = {"config": KlinesConfig()} if asset.key.path == ["raw", "klines"] else {}  # type: ignore[call-arg]

    def work() -> None:
        arguments = {
            name: managers["models" if key.path[0] == "models" else "frames"].load_input(_context(key))
            for name, key in asset.keys_by_input_name.items()
        }
        stored = None if is_model else platform.stored(inputs.MARKET, "/".join(asset.key.path))
        update = function(context, platform=platform, **arguments, **config)
        if isinstance(update, FrameUpdate):
            update = replace(update, base=stored.manifest.version if stored else None)
        managers["models" if is_model else "frames"].handle_output(context, update)

    return work


def _context(key: dg.AssetKey) -> Any:  # noqa: ANN401 - it stands in for three of Dagster's contexts
    """Return what assets and IO managers ask of their context."""
    return SimpleNamespace(
        asset_key=key,
        has_asset_partitions=True,
        asset_partition_keys={PARTITION},
        partition_key=PARTITION,
        run_id="benchmark",
        run=SimpleNamespace(run_id="benchmark"),
        add_output_metadata=lambda _: None,
    )


def _sum(parts: Mapping[str, Cost]) -> Cost:
    costs = parts.values()
    return Cost(sum(cost.cpu_s for cost in costs), max(cost.peak_mb for cost in costs), 1, {})
