"""What was kept quiet and is open still, told once nothing keeps it quiet; and that what flapped has settled.

What happens is counted by `store`; here nothing happens but time: silences end, and what muted is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from itb_assets.domain.alerts import SETTLED, Incident, Occurrence, Routing, Silence
from itb_assets.domain.alerts.decision import FLAPPING_WINDOW
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.rows import INCIDENT_COLUMNS, incident_of

_COLUMNS = ", ".join(INCIDENT_COLUMNS)
_UNTOLD = f"""
SELECT {_COLUMNS} FROM alert_incidents
WHERE resolved_at IS NULL AND (last_notified_at IS NULL OR notified_level < level) AND opened_at < :now
ORDER BY level DESC, id
"""  # noqa: S608 - constants
_SETTLED = f"""
SELECT {_COLUMNS} FROM alert_incidents AS i
WHERE last_at > :since AND resolved_at <= :settled AND flapping_at IS NOT NULL
    AND (last_notified_at IS NULL OR last_notified_at < resolved_at)
    AND NOT EXISTS (
        SELECT FROM alert_incidents AS later WHERE later.fingerprint = i.fingerprint AND later.id > i.id
    )
ORDER BY id
"""  # noqa: S608 - constants
_TURN = "SELECT pg_try_advisory_xact_lock(:key)"


def revisit(connection: sa.Connection, *, now: datetime, routing: Routing) -> list[store.Reported]:
    """Tell of open incidents whose silence or inhibition has ended, and of what flapped and is over for good.

    An occurrence would tell them too, but what fails once a week has none for days. What was old when it was
    first seen stays untold. Whose turn somebody else has is left for the next time.
    """
    if not any(routing.channels.values()):
        return []
    ended = [each for each in store.silences(connection) if each.until <= now]
    told = [*_untold(connection, ended, now=now, routing=routing)]
    return [*told, *_settled(connection, now=now, routing=routing)]


def _untold(
    connection: sa.Connection, ended: Sequence[Silence], *, now: datetime, routing: Routing
) -> Iterator[store.Reported]:
    for row in connection.execute(sa.text(_UNTOLD), {"now": now}).mappings().all():
        incident = incident_of(row)
        if not _old(incident, ended, now, routing) and _turn(connection, incident):
            occurrence = _said(incident, f"again:{incident.id}:{now.isoformat()}")
            told = store.tell_again(connection, occurrence, now=now, routing=routing)
            yield from [] if told is None else [told]


def _settled(connection: sa.Connection, *, now: datetime, routing: Routing) -> Iterator[store.Reported]:
    values = {"since": now - 2 * FLAPPING_WINDOW, "settled": now - SETTLED}
    for row in connection.execute(sa.text(_SETTLED), values).mappings().all():
        incident = incident_of(row)
        if _turn(connection, incident):
            over = _said(incident, f"settled:{incident.id}")
            over = replace(over, resolves=True, detail="", at=incident.resolved_at or now)
            told = store.tell_settled(connection, over, now=now, routing=routing)
            yield from [] if told is None else [told]


def _old(incident: Incident, ended: Sequence[Silence], now: datetime, routing: Routing) -> bool:
    """Tell whether it was not for a silence that nobody heard of it in time."""
    if routing.stale_after is None or now - incident.last_at <= routing.stale_after:
        return False
    old_at = incident.last_at + routing.stale_after
    return not any(
        each.covers(incident.rule, incident.labels, incident.last_at)
        and (each.created_at is None or each.created_at <= old_at)
        for each in ended
    )


def _said(incident: Incident, event_id: str) -> Occurrence:
    return Occurrence(
        event_id=event_id,
        rule=incident.rule,
        level=incident.level,
        labels=incident.labels,
        title=incident.title,
        detail=incident.detail,
        action=incident.action,
        url=incident.url,
        at=incident.last_at,
    )


def _turn(connection: sa.Connection, incident: Incident) -> bool:
    """Take the turn of an identity unless somebody has it: waiting for it here could be waited for there."""
    key = int.from_bytes(bytes.fromhex(incident.fingerprint), signed=True)
    return bool(connection.scalar(sa.text(_TURN), {"key": key}))
