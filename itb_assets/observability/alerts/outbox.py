"""Messages that wait to be sent: put in by whoever has something to say, in his own transaction.

Whether something is said belongs to `store`, sending and its pace to the dispatcher. Every function works
in the caller's transaction and takes the time from him.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.domain.alerts.verdict import Kind
from itb_assets.observability.alerts.rows import Row, as_json, utc

WAKE = "alert_outbox"
"""What the dispatcher listens to."""

RESTORED = "restored"
"""The cursor that keeps of which time a backup was, and by `moved_at` when it was put back."""

_COLUMNS = (
    "id, dedup_key, channel, level, incident_id, kind, message, chart, created_at, next_at, attempts, "
    "leased_before, sent_at, receipt, last_error, dead_at"
)
_WAITS = "sent_at IS NULL AND dead_at IS NULL"
DUE = f"""
{_WAITS} AND (lease_until IS NULL OR lease_until <= :now) AND (
    next_at <= :now
    OR (attempts = 0 AND created_at > :now)
    OR (attempts > 0 AND next_at > :now + interval '2 minutes')
)
"""
"""What may be sent now. What was made in the future, and what waits longer than ever after a failure, was
written before the clock was put back; where a channel asked for a longer pause its lane keeps it."""

_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT id AS due_id FROM alert_outbox
    WHERE {DUE} AND (CAST(:channel AS text) IS NULL OR channel = :channel)
    ORDER BY level DESC, id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE alert_outbox SET
    lease_until = CAST(:lease_until AS timestamptz),
    leased_before = leased_before OR lease_until IS NOT NULL,
    attempts = attempts + 1
FROM due WHERE id = due_id
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_ENQUEUE = f"""
INSERT INTO alert_outbox (
    dedup_key, channel, level, incident_id, kind, message, chart, created_at, next_at, leased_before
) VALUES (
    :dedup_key, :channel, :level, :incident_id, :kind, CAST(:message AS jsonb), :chart, :now, :next_at,
    EXISTS (SELECT FROM alert_cursors WHERE name = '{RESTORED}' AND moved_at > :happened_at)
)
ON CONFLICT (dedup_key) DO NOTHING RETURNING id
"""  # noqa: S608 - constants
_AGAIN = "SELECT FROM alert_outbox AS again WHERE again.dedup_key = 'replay:' || alert_outbox.id"
"""The message that brought one back first; who asks for one more by its number adds the time to its key."""

_GIVEN_UP = f"dead_at IS NOT NULL AND NOT EXISTS ({_AGAIN})"
_REPLAY = f"""
INSERT INTO alert_outbox (dedup_key, channel, level, incident_id, kind, message, chart, created_at, next_at)
SELECT 'replay:' || id || CASE WHEN EXISTS ({_AGAIN} AND again.created_at <> :now) THEN :stamp ELSE '' END,
    channel, level, incident_id, kind, message, chart, :now, :now
FROM alert_outbox WHERE {{which}}
ORDER BY id
ON CONFLICT (dedup_key) DO NOTHING RETURNING id
"""  # noqa: S608 - constants
_BACKLOG = f"""
SELECT channel, count(*) AS rows, min(created_at) AS oldest_at,
    min(created_at) FILTER (WHERE level >= {int(Level.CRITICAL)}) AS oldest_critical_at
FROM alert_outbox WHERE {_WAITS} GROUP BY channel ORDER BY channel
"""  # noqa: S608 - constants


@dataclass(frozen=True, kw_only=True)
class OutboxRow:
    """One message to one channel. `leased_before`: an earlier attempt may have reached the reader."""

    id: int
    dedup_key: str
    channel: str
    level: Level
    incident_id: int | None
    kind: Kind
    message: Mapping[str, Any]
    chart: bytes | None = field(default=None, repr=False)
    created_at: datetime
    next_at: datetime
    attempts: int
    leased_before: bool
    sent_at: datetime | None = None
    receipt: str | None = None
    last_error: str | None = None
    dead_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message to put in; two with one `dedup_key` are one. Due at once unless `next_at` says later.

    What `happened_at` a time before a backup was put back may have been sent before: a possible repeat.
    """

    dedup_key: str
    channel: str
    level: Level
    kind: Kind
    message: Mapping[str, Any]
    incident_id: int | None = None
    chart: bytes | None = field(default=None, repr=False)
    next_at: datetime | None = None
    happened_at: datetime | None = None


@dataclass(frozen=True)
class Backlog:
    """What waits for one channel: how many messages, and since when the oldest of all and of the critical."""

    channel: str
    rows: int
    oldest_at: datetime
    oldest_critical_at: datetime | None


def enqueue(connection: sa.Connection, draft: Draft, *, now: datetime) -> int | None:
    """Put one message in and wake the dispatcher at commit; None where its key is there already."""
    values = {
        "dedup_key": draft.dedup_key,
        "channel": draft.channel,
        "level": int(draft.level),
        "incident_id": draft.incident_id,
        "kind": draft.kind,
        "message": as_json(draft.message),
        "chart": draft.chart,
        "now": now,
        "next_at": draft.next_at or now,
        "happened_at": draft.happened_at or now,
    }
    made: int | None = connection.execute(sa.text(_ENQUEUE), values).scalar()
    if made is not None:
        wake(connection)
    return made


def wake(connection: sa.Connection) -> None:
    """Tell whoever listens, when the transaction commits, that there is something to send."""
    connection.execute(sa.text("SELECT pg_notify(:channel, '')"), {"channel": WAKE})


def claim(
    connection: sa.Connection, *, now: datetime, limit: int, lease_s: float, channel: str | None = None
) -> list[OutboxRow]:
    """Take what is due for `lease_s` seconds, critical first, then in order; nobody else gets it meanwhile.

    A row whose earlier lease ran out comes again with `leased_before`: it may have been sent.
    """
    until = now + timedelta(seconds=lease_s)
    values = {"now": now, "lease_until": until, "limit": limit, "channel": channel}
    rows = connection.execute(sa.text(_CLAIM), values).mappings()
    return sorted((_row(row) for row in rows), key=lambda row: (-row.level, row.id))


def sent(connection: sa.Connection, ids: Sequence[int], receipt: str, now: datetime) -> int:
    """Note that messages arrived; return of how many that was news."""
    return _settle(
        connection, ids, "sent_at = :now, receipt = :word, last_error = NULL", {"now": now, "word": receipt}
    )


def retry(
    connection: sa.Connection,
    ids: Sequence[int],
    next_at: datetime,
    error: str,
    *,
    maybe_sent: bool = False,
) -> int:
    """Give messages back until `next_at`.

    `maybe_sent`: the answer was lost, so that the next attempt may be a repeat.
    """
    return _settle(
        connection,
        ids,
        "next_at = :next_at, last_error = :word, leased_before = leased_before OR :maybe_sent",
        {"next_at": next_at, "word": error, "maybe_sent": maybe_sent},
    )


def hurry(connection: sa.Connection, channel: str, now: datetime) -> int:
    """Make what waits after a failure due at once, for its channel is back; return how much that is."""
    statement = (
        f"UPDATE alert_outbox SET next_at = :now WHERE channel = :channel AND {_WAITS} "  # noqa: S608 - ours
        "AND next_at > :now AND last_error IS NOT NULL"
    )
    return connection.execute(sa.text(statement), {"channel": channel, "now": now}).rowcount


def dead(connection: sa.Connection, ids: Sequence[int], error: str, now: datetime) -> int:
    """Give messages up that their channel refuses for good; `replay` brings them back."""
    return _settle(connection, ids, "dead_at = :now, last_error = :word", {"now": now, "word": error})


def _settle(connection: sa.Connection, ids: Sequence[int], change: str, values: dict[str, object]) -> int:
    statement = f"UPDATE alert_outbox SET lease_until = NULL, {change} WHERE id = ANY(:ids) AND {_WAITS}"  # noqa: S608 - ours
    return connection.execute(sa.text(statement), values | {"ids": list(ids)}).rowcount


def clear_leases(connection: sa.Connection) -> int:
    """End all leases at once, for the one dispatcher that has just taken over; return how many there were."""
    statement = (
        "UPDATE alert_outbox SET lease_until = NULL, leased_before = TRUE WHERE lease_until IS NOT NULL"
    )
    return connection.execute(sa.text(statement)).rowcount


def replay(connection: sa.Connection, ids: Sequence[int] | None, now: datetime) -> list[int]:
    """Put sent or dead messages in once more, as new ones; return their ids. What still waits stays alone.

    None: all that were given up and did not come back yet.
    """
    which = _GIVEN_UP if ids is None else f"id = ANY(:ids) AND NOT ({_WAITS})"
    values = {"now": now, "stamp": f":{now.isoformat()}"} | ({} if ids is None else {"ids": list(ids)})
    made = list(connection.execute(sa.text(_REPLAY.format(which=which)), values).scalars())
    if made:
        wake(connection)
    return made


def sent_times(connection: sa.Connection, channel: str, since: datetime) -> list[datetime]:
    """Return when messages went to a channel from `since` on, oldest first; those sent as one count once."""
    statement = (
        "SELECT DISTINCT sent_at FROM alert_outbox WHERE channel = :channel AND sent_at >= :since "
        "ORDER BY sent_at"
    )
    return [
        utc(at)
        for at in connection.execute(sa.text(statement), {"channel": channel, "since": since}).scalars()
    ]


def pending(connection: sa.Connection, *, limit: int = 1000) -> list[OutboxRow]:
    """Return what waits, leased or not, critical first; without its charts."""
    return _listed(connection, _WAITS, "level DESC, id", limit)


def dead_letters(connection: sa.Connection, *, limit: int = 1000) -> list[OutboxRow]:
    """Return what was given up and did not come back, newest first; without its charts."""
    return _listed(connection, _GIVEN_UP, "dead_at DESC, id DESC", limit)


def given_up(connection: sa.Connection) -> int:
    """Return how many messages `dead_letters` has without a limit."""
    statement = f"SELECT count(*) FROM alert_outbox WHERE {_GIVEN_UP}"  # noqa: S608 - ours
    found: int = connection.execute(sa.text(statement)).scalar_one()
    return found


def numbered(connection: sa.Connection, ids: Sequence[int]) -> list[OutboxRow]:
    """Return the messages of these ids that are there, whatever became of them; without their charts."""
    return _listed(connection, "id = ANY(:ids)", "id", len(ids), ids=list(ids))


def _listed(
    connection: sa.Connection, which: str, order: str, limit: int, **values: object
) -> list[OutboxRow]:
    columns = _COLUMNS.replace(" chart,", " NULL AS chart,")
    statement = f"SELECT {columns} FROM alert_outbox WHERE {which} ORDER BY {order} LIMIT :limit"  # noqa: S608 - ours
    return [_row(row) for row in connection.execute(sa.text(statement), values | {"limit": limit}).mappings()]


def backlog(connection: sa.Connection) -> list[Backlog]:
    """Return what waits for each channel that something waits for."""
    rows = connection.execute(sa.text(_BACKLOG))
    return [Backlog(row.channel, row.rows, utc(row.oldest_at), utc(row.oldest_critical_at)) for row in rows]


def _row(row: Row) -> OutboxRow:
    values = {name: utc(value) for name, value in row.items()}
    chart = values["chart"]
    return OutboxRow(
        **values | {"level": Level(values["level"]), "chart": None if chart is None else bytes(chart)}
    )
