"""Assembles the Dagster project from its parts, each of which a test or a deployment may replace.

It computes nothing and reads the environment only where no settings are handed over.
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from itb_assets.orchestration.alerts.asset import incidents_asset, incidents_check
from itb_assets.orchestration.alerts.hooks import telling_executor
from itb_assets.orchestration.alerts.sensor import alert_sensors, fast_teller
from itb_assets.orchestration.assets import all_assets
from itb_assets.orchestration.checks import all_checks
from itb_assets.orchestration.io_managers import FrameIOManager, ModelIOManager
from itb_assets.orchestration.jobs import all_jobs
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.retention import retention_job, retention_schedule
from itb_assets.orchestration.schedules import all_schedules
from itb_assets.settings import Settings, load_settings
from itb_assets.storage.strategies import read_strategies


def build_platform(settings: Settings) -> Platform:
    """Read the strategies and open the platform they need; raise ConfigError for a strategy that is wrong."""
    return Platform(settings, read_strategies(settings.strategies_dir))


def build_defs(*, settings: Settings | None = None, platform: Platform | None = None) -> dg.Definitions:
    """Assemble assets, checks, jobs, schedules, sensors, IO managers and the platform they all share."""
    platform = platform or build_platform(settings or load_settings())
    return dg.Definitions(
        assets=[*all_assets(platform), incidents_asset(platform)],
        asset_checks=[*all_checks(platform), incidents_check()],
        jobs=[*all_jobs(platform), retention_job(platform)],
        schedules=[*all_schedules(platform), retention_schedule(platform)],
        sensors=alert_sensors(platform),
        resources={
            "platform": platform,
            "frames": FrameIOManager(platform),
            "models": ModelIOManager(platform),
        },
        executor=telling_executor(cache(lambda: fast_teller(platform))),
    )
