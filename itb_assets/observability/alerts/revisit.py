"""What was kept quiet and is open still, told once nothing keeps it quiet; and that what flapped has settled.

What happens is counted by `store`; here nothing happens but time: silences end, and what muted is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

import sqlalchemy as sa

from itb_assets.domain.alerts import (
    SETTLED,
    Incident,
    Inhibition,
    Level,
    Occurrence,
    Routing,
    Silence,
    changes_of,
    decide,
)
from itb_assets.domain.alerts.decision import FLAPPING_WINDOW
from itb_assets.observability.alerts import store
from itb_assets.observability.alerts.rows import INCIDENT_COLUMNS, Row, incident_of

_COLUMNS = ", ".join(INCIDENT_COLUMNS)
_UNTOLD = f"""
SELECT {_COLUMNS} FROM alert_incidents
WHERE resolved_at IS NULL AND (last_notified_at IS NULL OR notified_level < level) AND opened_at < :now
    AND level = ANY(:heard) AND (acked_at IS NULL OR notified_level < level)
ORDER BY level DESC, id
"""  # noqa: S608 - constants
_OPENINGS = """
SELECT fingerprint, count(*) AS openings FROM alert_incidents
WHERE fingerprint = ANY(:these) AND opened_at > :since GROUP BY fingerprint
"""
_MUTING = """
SELECT rule, level, labels FROM alert_incidents
WHERE resolved_at IS NULL AND last_notified_at IS NOT NULL AND level >= :level
"""
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
AT_MOST = 200
"""So many are decided about at a look, each with a lock and a few statements; the others at the next."""

_Muting = Sequence[tuple[Inhibition, set[tuple[str, ...]]]]
"""Inhibitions, each with the labels of what is open and mutes by it."""


def revisit(connection: sa.Connection, *, now: datetime, routing: Routing) -> list[store.Reported]:
    """Tell of open incidents whose silence or inhibition has ended, and of what flapped and is over for good.

    An occurrence would tell them too, but what fails once a week has none for days. What was old when it was
    first seen stays untold. Whose turn somebody else has is left for the next time.
    """
    if not any(routing.channels.values()):
        return []
    told = [*_untold(connection, now=now, routing=routing)]
    return [*told, *_settled(connection, now=now, routing=routing)]


def _untold(connection: sa.Connection, *, now: datetime, routing: Routing) -> Iterator[store.Reported]:
    turns = (each for each in _unmuted(connection, now, routing) if _turn(connection, each))
    for incident in islice(turns, AT_MOST):
        occurrence = _said(incident, f"again:{incident.id}:{now.isoformat()}")
        told = store.tell_again(connection, occurrence, now=now, routing=routing)
        yield from [] if told is None else [told]


def _unmuted(connection: sa.Connection, now: datetime, routing: Routing) -> list[Incident]:
    """Return what nothing keeps quiet, by a few statements for all: the worst first, of these the oldest.

    What is quiet still is not among it, so that nothing waits behind what is not told anyway.
    """
    heard = [int(level) for level in Level if routing.of(level)]
    rows = connection.execute(sa.text(_UNTOLD), {"now": now, "heard": heard}).mappings().all()
    if not rows:
        return []
    asked = store.silences(connection)
    ended = [each for each in asked if each.until <= now]
    flapped = [row["fingerprint"] for row in rows if row["flapping_at"] is not None]
    counted = connection.execute(sa.text(_OPENINGS), {"these": flapped, "since": now - FLAPPING_WINDOW})
    openings = {row.fingerprint: row.openings for row in counted}
    muting = _muting(connection, routing)

    def heard_of(incident: Incident) -> bool:
        verdict = decide(
            incident,
            _said(incident, "again"),
            now=now,
            silences=asked,
            repeat=routing.repeat,
            recent_changes=changes_of(incident, openings.get(incident.fingerprint, 0)),
            stale_after=None,
        )
        return verdict.notify and not _muted(incident, muting) and not _old(incident, ended, now, routing)

    return [incident for incident in map(incident_of, rows) if heard_of(incident)]


def _muting(connection: sa.Connection, routing: Routing) -> _Muting:
    if not routing.inhibitions:
        return []
    lowest = {"level": int(min(each.source_level for each in routing.inhibitions))}
    sources = connection.execute(sa.text(_MUTING), lowest).mappings().all()
    return [(each, set(_labels_of(each, sources))) for each in routing.inhibitions]


def _labels_of(inhibition: Inhibition, sources: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the labels that matter to an inhibition of every incident that mutes by it."""
    for source in sources:
        labels = source["labels"]
        mutes = source["level"] >= inhibition.source_level
        if (
            mutes
            and inhibition.source_rule in {None, source["rule"]}
            and {*inhibition.equal} <= labels.keys()
        ):
            yield tuple(labels[name] for name in inhibition.equal)


def _muted(incident: Incident, muting: _Muting) -> bool:
    """Tell whether another mutes it: never itself, because what mutes is worse than what it mutes."""
    needed = [(each.needed(incident.level, incident.labels), found) for each, found in muting]
    return any(labels is not None and tuple(labels.values()) in found for labels, found in needed)


def _settled(connection: sa.Connection, *, now: datetime, routing: Routing) -> Iterator[store.Reported]:
    values = {"since": now - 2 * FLAPPING_WINDOW, "settled": now - SETTLED}
    found = map(incident_of, connection.execute(sa.text(_SETTLED), values).mappings().all())
    for incident in islice((each for each in found if _turn(connection, each)), AT_MOST):
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
    return bool(connection.scalar(sa.text(_TURN), {"key": store.lock_key(incident.fingerprint)}))
