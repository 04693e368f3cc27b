"""A small pipeline on invented markets: a clock that is set, runs in this process, what they left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from quick_strategies import brisk, steady

from itb_assets.demo.exchange import DemoExchange
from itb_assets.demo.faults import Faults
from itb_assets.domain.markets import Market
from itb_assets.domain.strategy import Strategy
from itb_assets.orchestration.build import build_defs
from itb_assets.orchestration.jobs import BUILD
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.schedules import assets_due
from itb_assets.settings import Settings
from itb_assets.storage.files.frames import Record

WOLF = Market("DEMOWOLFUSDT", "5m")
START = datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2024, 3, 5, 0, 0, 30, tzinfo=UTC)
"""No outage of the invented exchange lies between the two."""

ASSETS = (
    "raw/klines",
    "processed/data",
    "processed/features",
    "labeled/matrix",
    "predictions/brisk",
    "predictions/steady",
    "signals/brisk",
    "signals/steady",
    "trades/brisk",
    "trades/steady",
    "performance/brisk",
    "performance/steady",
    "drift/brisk",
    "drift/steady",
)
BY_KLINE = ASSETS[:8]
"""Those with a row a kline; trades, days and looks for drift come when they come."""

QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def ms(self) -> int:
        """Return the time in milliseconds."""
        return int(self.now.timestamp() * 1000)


@dataclass
class Pipeline:
    """One data root with all that runs on it."""

    platform: Platform
    instance: dg.DagsterInstance
    clock: Clock
    exchange: DemoExchange
    defs: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        """Assemble the definitions."""
        self.defs = build_defs(platform=self.platform)

    @property
    def root(self) -> Path:
        """The data root."""
        return self.platform.settings.data_root

    def run(
        self,
        market: Market = WOLF,
        *,
        assets: Sequence[str] | None = None,
        retrain: bool = False,
        config: Mapping[str, Any] | None = None,
        job: str = BUILD,
    ) -> dg.ExecuteInProcessResult:
        """Run a market in this process; `assets` such as `processed/data`, by default those due."""
        self.instance.add_dynamic_partitions(str(SYMBOLS.name), [market.symbol])
        selected = [dg.AssetKey(name.split("/")) for name in assets or ()]
        return self.defs.resolve_job_def(job).execute_in_process(
            run_config=dict(QUIET) | ({"ops": {"raw__klines": {"config": dict(config)}}} if config else {}),
            instance=self.instance,
            partition_key=partition_of(market),
            asset_selection=selected or assets_due(self.platform, market, retrain=retrain),
            raise_on_error=False,
        )

    def run_well(self, market: Market = WOLF, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a market and require that nothing fails."""
        result = self.run(market, **options)
        assert result.success, problems(result)
        return result

    def check(self, asset: str, name: str, market: Market = WOLF) -> dg.AssetCheckEvaluation:
        """Ask one check by itself, as a person does on the partition page."""
        self.instance.add_dynamic_partitions(str(SYMBOLS.name), [market.symbol])
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
        job = dg.define_asset_job("check", selection=dg.AssetSelection.checks(key))
        result = (
            dg.Definitions.merge(self.defs, dg.Definitions(jobs=[job]))
            .resolve_job_def("check")
            .execute_in_process(
                run_config=dict(QUIET),
                instance=self.instance,
                tags={"dagster/partition": str(partition_of(market))},
                raise_on_error=False,
            )
        )
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation

    def at(self, now: datetime) -> Pipeline:
        """Set the clock."""
        self.clock.now = now
        return self

    def with_strategies(self, *strategies: Strategy) -> Pipeline:
        """Return the same data root under other strategies."""
        return replace(self, platform=replace(self.platform, strategies=strategies))

    def frame(self, asset: str, market: Market = WOLF) -> Any:
        """Return all stored rows of an asset."""
        stored = self.platform.stored(market, asset)
        assert stored is not None, f"{asset} of {market} is not stored"
        return stored.read()

    def rewrite(self, asset: str, frame: Any, market: Market = WOLF) -> None:
        """Store other rows of an asset under the record of those there, as a fault or an intruder would."""
        old = self.manifest(asset, market)
        record = Record(
            asset=asset,
            symbol=market.symbol,
            freq=market.freq,
            run_id="test",
            written_at=self.clock.now,
            digest=old.digest,
            sources=old.sources,
        )
        self.platform.frames.write(self.platform.frame_path(market, asset), frame, record=record)

    def manifest(self, asset: str, market: Market = WOLF) -> Any:
        """Return the record of a stored asset."""
        stored = self.platform.stored(market, asset)
        assert stored is not None, f"{asset} of {market} is not stored"
        return stored.manifest


def pages(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of every materialization, by asset."""
    return {
        "/".join(event.asset_key.path): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def problems(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the steps that failed, and why."""
    return {
        str(event.step_key): "\n".join(_messages(event.step_failure_data.error))
        for event in result.all_events
        if event.is_step_failure
    }


def _messages(error: Any) -> list[str]:
    return [] if error is None else [error.message, *_messages(error.cause or error.context)]


def settings_of(root: Path, url: str, **changes: object) -> Settings:
    """Return settings that lead to an exchange and read no environment."""
    values: dict[str, object] = {
        "data_root": root,
        "start": START,
        "binance_url": url,
        "binance_archive": url,
        "storage_phase": "files",
        "threads": 1,
    }
    return Settings(_env_file=None, **(values | changes))  # type: ignore[arg-type,call-arg]


@contextmanager
def open_pipeline(
    root: Path,
    *strategies: Strategy,
    now: datetime = NOW,
    instance: dg.DagsterInstance | None = None,
    **settings: object,
) -> Iterator[Pipeline]:
    """Open a data root with an exchange of its own; without strategies, with both."""
    clock = Clock(now)
    with (
        DemoExchange(now_ms=clock.ms, faults=Faults()) as exchange,
        nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as opened,
    ):
        platform = Platform(
            settings_of(root, exchange.url, **settings), strategies or (brisk(), steady()), clock=clock
        )
        with closing(platform):
            yield Pipeline(platform, opened, clock, exchange)
