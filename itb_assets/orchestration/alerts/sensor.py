"""The sensors of the alerts: one tells what Dagster recorded, one fails runs whose process is gone.

Both are plain sensors without runs or a cursor of Dagster's: a run status sensor loses what it could not tell
and takes five runs at a tick. What is read, and how far, belongs to `reading`.
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from itb_assets.orchestration.alerts.asset import CHECK, INCIDENTS, show_incidents
from itb_assets.orchestration.alerts.hooks import FastTeller
from itb_assets.orchestration.alerts.reading import AlertReader
from itb_assets.orchestration.alerts.subjects import Subjects
from itb_assets.orchestration.alerts.writer import writer_of
from itb_assets.orchestration.killed_runs import fail_killed
from itb_assets.orchestration.lost_runs import fail_lost, server_began
from itb_assets.orchestration.platform import Platform

EVERY_S = 3
"""The daemon looks every five seconds; asked for five, every second look would come a moment too early."""
FAST_TIMEOUT_S = 2.0
EVENTS_SENSOR = "alert_events"
RUNS_SENSOR = "lost_runs"

LEFT_TO_RULES = frozenset({("raw/klines", "gaps"), ("raw/klines", "freshness")})
"""Checks of what the rules `gap_found` and `data_stale` see in the tables by themselves; drift is a third."""


def alert_sensors(platform: Platform) -> list[dg.SensorDefinition]:
    """Return the sensors, running from the start."""
    return [_events_sensor(platform), _runs_sensor()]


def alert_reader(platform: Platform) -> AlertReader | None:
    """Return what reads Dagster's events for a platform, in a sensor or elsewhere; None without database."""
    writer = writer_of(platform)
    if writer is None:
        return None
    return AlertReader(writer, subjects_of(platform), ui_url=ui_url_of(platform))


def ui_url_of(platform: Platform) -> str:
    """Return where runs have their pages."""
    settings = platform.settings
    return (settings.ui_url or f"http://{settings.host}:{settings.port}").rstrip("/")


def fast_teller(platform: Platform) -> FastTeller | None:
    """Return what tells a failed step at once from its own process; None without a database."""
    writer = writer_of(platform, statement_timeout_s=FAST_TIMEOUT_S)
    if writer is None:
        return None
    return FastTeller(writer.tell, subjects_of(platform), ui_url_of(platform), writer.config.language)


def subjects_of(platform: Platform) -> Subjects:
    """Return the assets whose events are told, and the checks that the rules stand in for."""
    drift = {(f"drift/{strategy.variant}", "drift") for strategy in platform.strategies}
    left = set() if platform.phase == "files" else LEFT_TO_RULES | drift
    shown = {(INCIDENTS.to_user_string(), CHECK)}  # would be an alert of there being alerts
    return Subjects(platform.asset_names(), left_to_rules=left | shown)


def _events_sensor(platform: Platform) -> dg.SensorDefinition:
    reader = cache(lambda: alert_reader(platform))  # connections are opened by the process that ticks

    @dg.sensor(
        name=EVENTS_SENSOR,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells failed runs, steps, checks, ticks and daemons to the alerts, and what is over.",
    )
    def alert_events(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        opened = reader()
        if opened is None:
            return dg.SkipReason("no database is configured: set ITB_DATABASE_URL to have alerts")
        found = opened.look(context.instance)
        show_incidents(context.instance, opened.writer, opened.clock())
        return dg.SkipReason(str(found))

    return alert_events


def _runs_sensor() -> dg.SensorDefinition:
    @dg.sensor(
        name=RUNS_SENSOR,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, killed with its code server or by itself.",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        lost = fail_killed(context.instance)
        if origin is not None:
            lost += fail_lost(context.instance, location=origin.location_name, began=server_began())
        return dg.SkipReason(f"{lost} runs failed whose process was gone")

    return lost_runs
