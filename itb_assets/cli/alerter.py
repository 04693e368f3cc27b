"""The command that computes the rules and delivers alerts: `itb alerter`.

What it does is the alerter's of the orchestration; here it is started, announced and stopped.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit, errors
from itb_assets.observability.logs import configure_logging
from itb_assets.orchestration.alerts.alerter import opened_alerter
from itb_assets.orchestration.alerts.channels import NONE_SET_UP, channel_names
from itb_assets.orchestration.alerts.desk import SILENT_S, heartbeat_age_s
from itb_assets.orchestration.alerts.metrics import metrics_served
from itb_assets.orchestration.instance import register_secrets
from itb_assets.settings import Settings, load_settings

LATER = 3  # exit code of what is to be tried again


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(alerter)


def alerter(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="One round: rules, then what is due is sent, then leave.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether one is alive; exit code 1 where none is.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Watch the rules and deliver alerts until Ctrl-C; of several only one works, the others wait.

    Example: `itb alerter`

    Alerts go to Telegram (ITB_TELEGRAM_TOKEN, ITB_TELEGRAM_CHAT), Slack (ITB_SLACK_URL) and whatever Apprise
    knows (ITB_APPRISE_URLS); `itb alerts test` tries them. Without a channel incidents are kept and nobody is
    told. With `--once`, for cron, the exit code is 3 while messages still wait. With ITB_METRICS_PORT it
    answers Prometheus.
    """
    settings = load_settings()
    register_secrets(settings)
    configure_logging(settings.log_level)
    if check:
        _check(settings, as_json=as_json)
        return
    names = channel_names(settings)
    if not names:
        errors.print(NONE_SET_UP, style="yellow")
    with opened_alerter(settings) as opened:
        if once:
            done = opened.once()
            emit([asdict(done)], title="Alerts", as_json=as_json, empty="")
            if names and done.waiting:
                raise typer.Exit(LATER)
            return
        with metrics_served(settings, opened.engine.url, names) as metrics:
            console.print(f"Alerts go to {', '.join(names) or 'nobody'}.   (Ctrl-C stops it)")
            if metrics is not None:
                console.print(f"Prometheus reads {metrics}")
            with suppress(KeyboardInterrupt):
                opened.run(threading.Event())
    console.print("Stopped; what waits is sent when it runs again.")


def _check(settings: Settings, *, as_json: bool) -> None:
    age_s = heartbeat_age_s(settings)
    alive = age_s is not None and age_s <= SILENT_S
    emit([{"alive": alive, "heartbeat_age_s": age_s}], title="Alerter", as_json=as_json, empty="")
    if not alive:
        raise typer.Exit(1)
