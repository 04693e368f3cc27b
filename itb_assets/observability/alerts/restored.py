"""After a backup was put back: what it held to be sent is old, and who lives has not said so yet.

Putting it back belongs to the storage room. Every function works in the caller's transaction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.rows import utc
from itb_assets.observability.alerts.spoken import Spoken
from itb_assets.observability.alerts.state import move_cursor

_WATCHED = "restored, watched since"
_THERE = "SELECT to_regclass('alert_outbox') IS NOT NULL"
# one message over two channels, or escalated from one to the other, counts once
_WAITS = """
SELECT array_agg(id) AS ids, max(level) AS level, (array_agg(channel ORDER BY id))[1] AS channel
FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL
GROUP BY coalesce(incident_id, -id), kind, created_at ORDER BY max(level) DESC, min(id)
"""
_MOVED = "SELECT moved_at FROM alert_cursors WHERE name = :name"


@dataclass(frozen=True)
class Restored:
    """When a backup was put back, and since when the rules are computed again."""

    at: datetime
    watched_since: datetime


def settle_restored(connection: sa.Connection, *, made_at: datetime, now: datetime, spoken: Spoken) -> int:
    """Give up what waited when a backup was made, and say so in one message; return how many that were.

    It was sent since, or is told anew by what finds it again: sent now it would look like news. Nothing is
    done where the backup is older than the tables of alerts. What happened before `now` and is told after it
    counts as a possible repeat from here on.
    """
    if not connection.scalar(sa.text(_THERE)):
        return 0
    waits = connection.execute(sa.text(_WAITS)).all()
    if waits:
        why = f"waited when the backup of {_moment(made_at)} was made, put back {_moment(now)}: not sent"
        outbox.dead(connection, [each for row in waits for each in row.ids], why, now)
        counts = Counter(Level(row.level) for row in waits)
        draft = outbox.Draft(
            dedup_key=f"restored:{now.isoformat()}",
            channel=waits[0].channel,
            level=max(counts),
            kind="report",
            message=spoken.not_sent(counts, made_at, now),
        )
        outbox.enqueue(connection, draft, now=now)
    move_cursor(connection, outbox.RESTORED, made_at.isoformat(), now)
    return len(waits)


def since_restored(connection: sa.Connection, now: datetime) -> Restored | None:
    """Return when a backup was put back, and note the first time that is asked for; None: it never was."""
    at = utc(connection.scalar(sa.text(_MOVED), {"name": outbox.RESTORED}))
    if at is None:
        return None
    watched = utc(connection.scalar(sa.text(_MOVED), {"name": _WATCHED}))
    if watched is None or watched < at:
        watched = max(now, at)
        move_cursor(connection, _WATCHED, at.isoformat(), watched)
    return Restored(at, watched)


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
