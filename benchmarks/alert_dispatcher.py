"""A dispatcher of alerts in a process of its own, to be killed: settings are one JSON argument.

What is sent to it, and when it is killed, belongs to `alert_storm`.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from itb_assets.domain.alerts.pace import Limits
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.dispatcher import DispatchRules, run_dispatcher
from itb_assets.observability.alerts.lane import LaneRules
from itb_assets.observability.alerts.post import CONNECT_TIMEOUT_S, READ_TIMEOUT_S
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
    telegram = Telegram(
        SecretStr(given["token"]),
        given["chat"],
        base_url=given["telegram_url"],
        timeouts_s=tuple(given.get("timeouts_s", (CONNECT_TIMEOUT_S, READ_TIMEOUT_S))),
    )
    channels: list[Channel] = [telegram]
    if given.get("slack_url"):
        channels.append(Slack(SecretStr(given["slack_url"])))
    engine = sa.create_engine(given["database_url"])
    poll_s = given.get("poll_s", 1.0)
    rules = DispatchRules(
        lane=LaneRules(limits=Limits(**given.get("limits", {})), poll_s=poll_s),
        escalate_to="slack" if len(channels) > 1 else None,
        look_every_s=min(1.0, poll_s),
        alive_hour=24,
    )
    sys.stdout.write("dispatching\n")
    sys.stdout.flush()
    run_dispatcher(
        connect=engine.connect,
        channels=channels,
        spoken=Spoken(),
        clock=_clock(**given.get("clock", {})),
        stop=stop,
        rules=rules,
    )
    engine.dispose()


def _clock(since: float = 0.0, factor: float = 1.0) -> Callable[[], datetime]:
    """Return a clock that runs `factor` times as fast from a moment on, alike in every process."""
    return lambda: datetime.fromtimestamp(since + (time.time() - since) * factor, UTC)


if __name__ == "__main__":
    main(sys.argv[1])
