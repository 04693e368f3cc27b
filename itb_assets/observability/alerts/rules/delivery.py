"""Alerts that no channel has taken for too long.

Sending them, and sending them another way, belongs to the dispatcher: this tells of it on the other channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.domain.alerts.thresholds import age_s
from itb_assets.observability.alerts.rules.look import Look

RULE = "alert_delivery_lagging"
_WAITING = """
SELECT channel, count(*) AS waiting, min(created_at) AS oldest FROM alert_outbox
WHERE sent_at IS NULL AND dead_at IS NULL GROUP BY channel
"""
_DEAD = """
SELECT channel, count(*) AS dead FROM alert_outbox WHERE dead_at >= :since GROUP BY channel
"""


def alert_delivery(look: Look) -> Iterator[Evaluation]:
    """Yield one evaluation a channel: the age of the oldest message that waits for it."""
    waiting = {row["channel"]: row for row in look.rows(_WAITING)}
    dead = {row["channel"]: row["dead"] for row in look.rows(_DEAD, since=look.now - timedelta(days=1))}
    chosen = {channel for names in look.config.channels.named.values() for channel in names}
    for channel in sorted({*chosen, *waiting, *dead}):
        row = waiting.get(channel)
        age = age_s(row["oldest"], look.now) if row else 0.0
        detail = look.say(
            "outbox", rows=row["waiting"] if row else 0, age=timedelta(seconds=age), dead=dead.get(channel, 0)
        )
        yield look.measured(RULE, age, labels={"channel": channel}, detail=detail)
