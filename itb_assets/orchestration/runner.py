"""Runs markets from the command line, on the same jobs and the same instance as the UI.

What a run computes is the assets'; how it is shown is the caller's.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import DatabaseUnavailable, InputError, ItbError
from itb_assets.orchestration.assets.raw import KlinesConfig, parse_time
from itb_assets.orchestration.build import build_defs
from itb_assets.orchestration.failures import cause_of
from itb_assets.orchestration.jobs import BUILD
from itb_assets.orchestration.killed_runs import process_tag
from itb_assets.orchestration.partitions import SYMBOLS, partition_of
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.schedules import assets_due

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class MarketRun:
    """How the run of one market ended."""

    market: Market
    run_id: str
    seconds: float
    rows_new: int
    error: ItbError | None = None


@dataclass(frozen=True)
class RunPlan:
    """Which markets to run, over which time, and whether models are trained again."""

    markets: tuple[Market, ...]
    start: str = ""
    end: str = ""
    full_refresh: bool = False
    repair_gaps: bool = False
    retrain: bool = False

    def __post_init__(self) -> None:
        """Refuse times that are none, and an end before the start."""
        start, end = parse_time(self.start, "start"), parse_time(self.end, "end")
        if start is not None and end is not None and end <= start:
            raise InputError(f"end {self.end} is not after start {self.start}: expected a later time")


def planned_rows(platform: Platform, plan: RunPlan) -> list[dict[str, Any]]:
    """Describe what a run of the plan would load and train, as plain rows."""
    rows = []
    for market in plan.markets:
        stored = platform.stored(market, "raw/klines")
        start = parse_time(plan.start, "start")
        end = parse_time(plan.end, "end") or pd.Timestamp(platform.clock())
        if stored is None or stored.first is None or stored.last is None:
            start = start or pd.Timestamp(platform.settings.start)
        elif plan.full_refresh:
            start = min(start or stored.first, stored.first)
        elif start is None or start >= stored.first:
            start = stored.last + market.freq_delta
        due = [key.path[0] for key in assets_due(platform, market, retrain=plan.retrain)]
        rows.append(
            {
                "market": str(market),
                "klines_from": f"{start:%Y-%m-%d %H:%M}",
                "klines_until": f"{end:%Y-%m-%d %H:%M}",
                "rows_stored": stored.rows if stored else 0,
                "models_to_train": due.count("models"),
            }
        )
    return rows


def run_markets(platform: Platform, instance: dg.DagsterInstance, plan: RunPlan) -> Iterator[MarketRun]:
    """Run each market in turn and yield how it ended; one that fails does not stop the others."""
    job = build_defs(platform=platform).resolve_job_def(BUILD)
    for market in plan.markets:
        yield _run(platform, instance, job, market, plan)


def _run(
    platform: Platform, instance: dg.DagsterInstance, job: dg.JobDefinition, market: Market, plan: RunPlan
) -> MarketRun:
    config = KlinesConfig(
        start=plan.start, end=plan.end, full_refresh=plan.full_refresh, repair_gaps=plan.repair_gaps
    )
    run_id = str(uuid.uuid4())
    started = time.perf_counter()
    error: ItbError | None = None
    rows_new, added = 0, False
    try:
        added = follow(instance, market.symbol)
        result = job.execute_in_process(
            run_config=QUIET | {"ops": {"raw__klines": {"config": config.model_dump()}}},
            instance=instance,
            partition_key=partition_of(market),
            asset_selection=assets_due(platform, market, retrain=plan.retrain),
            run_id=run_id,
            tags=process_tag(),
            raise_on_error=True,
        )
        rows_new = _rows_new(result)
    except dg.DagsterExecutionInterruptedError as stopped:
        raise KeyboardInterrupt from stopped
    except Exception as raised:
        error = cause_of(raised)
        if error is None:
            raise
        lost = isinstance(error, DatabaseUnavailable)
        if added and not lost and platform.stored(market, "raw/klines") is None:
            instance.delete_dynamic_partition(str(SYMBOLS.name), market.symbol)
    return MarketRun(market, run_id, time.perf_counter() - started, rows_new, error)


def _rows_new(result: dg.ExecuteInProcessResult) -> int:
    for event in result.asset_materializations_for_node("raw__klines"):
        entry = event.metadata.get("rows_new")
        if entry is not None and isinstance(entry.value, int):
            return entry.value
    return 0


def follow(instance: dg.DagsterInstance, symbol: str) -> bool:
    """Have schedules and backfills cover a symbol; return False if they did already."""
    if instance.has_dynamic_partition(str(SYMBOLS.name), symbol):
        return False
    instance.add_dynamic_partitions(str(SYMBOLS.name), [symbol])
    return True


def unfollow(instance: dg.DagsterInstance, symbol: str) -> bool:
    """Stop covering a symbol, keep its data; return False if it was not covered."""
    if not instance.has_dynamic_partition(str(SYMBOLS.name), symbol):
        return False
    instance.delete_dynamic_partition(str(SYMBOLS.name), symbol)
    return True


def followed_symbols(instance: dg.DagsterInstance) -> Sequence[str]:
    """Return the symbols that schedules and backfills cover."""
    return sorted(instance.get_dynamic_partitions(str(SYMBOLS.name)))
