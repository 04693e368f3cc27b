"""A message that one channel does not bring takes another: what is late, what was refused, and word of it.

When to look, and what a channel said, belongs to the dispatcher and its lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.observability.alerts.outbox import Draft, dead, enqueue, wake

_COPIED = " ~> "
_COPY = """
INSERT INTO alert_outbox (dedup_key, channel, level, incident_id, kind, message, chart, created_at, next_at)
SELECT dedup_key || :copied || :to, :to, level, incident_id, kind, message, chart, created_at, :now
FROM alert_outbox AS one
WHERE {which} AND channel <> :to AND position(:copied IN dedup_key) = 0 AND NOT EXISTS (
    SELECT FROM alert_outbox AS twin
    WHERE twin.incident_id = one.incident_id AND twin.channel = :to
        AND twin.kind = one.kind AND twin.created_at = one.created_at
)
ORDER BY id
ON CONFLICT (dedup_key) DO NOTHING
"""
_LATE = _COPY.format(
    which="sent_at IS NULL AND dead_at IS NULL AND level >= :critical "
    "AND (created_at <= :before OR created_at > :now + interval '1 minute')"  # a clock that was put back
)
_HOMELESS = (
    "SELECT id FROM alert_outbox "
    "WHERE channel <> ALL(:set_up) AND sent_at IS NULL AND dead_at IS NULL ORDER BY id"
)
_THESE = _COPY.format(which="id = ANY(:ids)")


def escalate(connection: sa.Connection, *, to: str, after_s: float, now: datetime) -> int:
    """Send what is CRITICAL and late by `after_s` seconds on its channel over another as well.

    Return how many messages; what is there already, because its level goes to both or because it was late
    before, is not doubled.
    """
    values = {"critical": int(Level.CRITICAL), "before": now - timedelta(seconds=after_s)}
    return _copied(connection, _LATE, {**values, "to": to, "now": now})


def take_over(
    connection: sa.Connection,
    ids: Sequence[int],
    *,
    refused_by: str,
    to: str,
    told: Mapping[str, Any],
    now: datetime,
) -> int:
    """Send what a channel refused for good over another, and `told` of the refusal once an hour."""
    draft = Draft(
        dedup_key=f"refused:{refused_by}:{now:%Y-%m-%dT%H}",
        channel=to,
        level=Level.CRITICAL,
        kind="report",
        message=told,
    )
    enqueue(connection, draft, now=now)
    return _copied(connection, _THESE, {"ids": list(ids), "to": to, "now": now})


def rehome(connection: sa.Connection, *, set_up: Sequence[str], to: str, now: datetime) -> list[int]:
    """Give up what waits for channels that are not set up, and send it over one that is."""
    values = {"set_up": list(set_up)}
    ids = list(connection.execute(sa.text(_HOMELESS), values).scalars())
    if ids:
        _copied(connection, _THESE, {"ids": ids, "to": to, "now": now})
        dead(connection, ids, f"its channel is not set up; sent over {to}", now)
    return ids


def _copied(connection: sa.Connection, statement: str, values: dict[str, object]) -> int:
    made = connection.execute(sa.text(statement), {**values, "copied": _COPIED}).rowcount
    if made:
        wake(connection)
    return made
