"""A dispatcher of alerts in a process of its own, to be killed: settings are one JSON argument.

What is sent to it, and when it is killed, belongs to `alert_storm`.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from itb_assets.domain.alerts.pace import Limits
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.dispatcher import DispatchRules, run_dispatcher
from itb_assets.observability.alerts.lane import LaneRules
from itb_assets.observability.alerts.slack import Slack
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.observability.logs import configure_logging


def main(argument: str) -> None:
    """Deliver until SIGTERM; a line on standard output says that it is there."""
    given: dict[str, Any] = json.loads(argument)
    configure_logging("WARNING")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    channels: list[Channel] = [
        Telegram(SecretStr(given["token"]), given["chat"], base_url=given["telegram_url"])
    ]
    if given.get("slack_url"):
        channels.append(Slack(SecretStr(given["slack_url"])))
    engine = sa.create_engine(given["database_url"])
    rules = DispatchRules(
        lane=LaneRules(limits=Limits(**given.get("limits", {})), poll_s=given.get("poll_s", 1.0)),
        escalate_to="slack" if len(channels) > 1 else None,
        alive_hour=24,
    )
    sys.stdout.write("dispatching\n")
    sys.stdout.flush()
    run_dispatcher(
        connect=engine.connect,
        channels=channels,
        spoken=Spoken(),
        clock=lambda: datetime.now(UTC),
        stop=stop,
        rules=rules,
    )
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
