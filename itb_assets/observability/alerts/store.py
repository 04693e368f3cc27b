"""What was reported, as incidents: counted, decided about and handed to the outbox in one transaction.

Deciding belongs to `domain.alerts`, sending to the dispatcher. Every function works in the caller's
transaction (READ COMMITTED, as a connection is unless told otherwise) and takes the time from him.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from itb_assets.domain.alerts.decision import FLAPPING_WINDOW, changes_of, decide
from itb_assets.domain.alerts.incident import Incident, RecentChanges, after, notified
from itb_assets.domain.alerts.muting import Silence
from itb_assets.domain.alerts.occurrence import Level, Occurrence
from itb_assets.domain.alerts.routing import Routing, message_of
from itb_assets.domain.alerts.verdict import Verdict
from itb_assets.errors import InputError
from itb_assets.observability.alerts import statements as sql
from itb_assets.observability.alerts.outbox import Draft, enqueue
from itb_assets.observability.alerts.rows import as_json, incident_of, silence_of, values_of
from itb_assets.observability.alerts.state import Beat, beat, beats

__all__ = [
    "Beat",
    "Reported",
    "acknowledge",
    "add_silence",
    "beat",
    "beats",
    "close",
    "incidents",
    "lock_key",
    "remove_silence",
    "report",
    "report_all",
    "silences",
    "tell_again",
    "tell_settled",
]

_TOLD_ALREADY = Verdict(notify=False, why="told already")


@dataclass(frozen=True)
class Reported:
    """What became of an occurrence: its incident (None where nothing is open), the verdict, rows made."""

    incident: Incident | None
    verdict: Verdict
    rows: tuple[int, ...] = ()


def report(connection: sa.Connection, occurrence: Occurrence, *, now: datetime, routing: Routing) -> Reported:
    """Count an occurrence into its incident and put messages into the outbox if somebody is to be told.

    A cause that was told before changes nothing. Others that report the same identity wait until the
    caller's transaction has ended; whoever has several to report uses `report_all`, or two such could wait
    for each other.
    """
    return report_all(connection, [occurrence], now=now, routing=routing)[0]


def report_all(
    connection: sa.Connection, occurrences: Iterable[Occurrence], *, now: datetime, routing: Routing
) -> list[Reported]:
    """Report several in the order given and return what became of each.

    Turns are taken in one order by everybody, so that no two callers wait for each other.
    """
    given = list(occurrences)
    for key in sorted({lock_key(occurrence.fingerprint) for occurrence in given}):
        connection.execute(sa.text(sql.ALONE), {"key": key})
    return [_report(connection, occurrence, now=now, routing=routing) for occurrence in given]


def _report(
    connection: sa.Connection, occurrence: Occurrence, *, now: datetime, routing: Routing
) -> Reported:
    event = {"event_id": occurrence.event_id, "at": occurrence.at}
    if connection.execute(sa.text(sql.TOLD), event).first() is None:
        return Reported(None, _TOLD_ALREADY)
    latest = _latest(connection, occurrence.fingerprint)
    before, changes, verdict = _decided(connection, latest, occurrence, now, routing)
    incident = after(before, occurrence, verdict, now=now, changes=changes)
    if incident is None:
        return Reported(None, verdict)
    kept = _keep(connection, incident)
    connection.execute(sa.text(sql.LINK), {"incident_id": kept.id, "event_id": occurrence.event_id})
    rows = _put_in(connection, occurrence, kept, verdict, now=now, routing=routing)
    return Reported(kept, verdict, rows)


def tell_again(
    connection: sa.Connection, occurrence: Occurrence, *, now: datetime, routing: Routing
) -> Reported | None:
    """Decide anew about an open incident that stands as `occurrence` says, of which nothing new happened.

    Nothing is counted, and it is never too old. None where it is told, or over. Its turn is the caller's.
    """
    incident = _latest(connection, occurrence.fingerprint)
    if incident is None or not incident.open:
        return None
    never_old = replace(routing, stale_after=None)
    _, _, verdict = _decided(connection, incident, occurrence, now, never_old)
    if not verdict.notify or verdict.why == "repeat":
        return None
    told = _keep(connection, notified(incident, verdict, now))
    return Reported(told, verdict, _put_in(connection, occurrence, told, verdict, now=now, routing=routing))


def tell_settled(
    connection: sa.Connection, occurrence: Occurrence, *, now: datetime, routing: Routing
) -> Reported | None:
    """Tell that what flapped is over for good, unless it is not, or silenced; its turn is the caller's."""
    incident = _latest(connection, occurrence.fingerprint)
    if incident is None or incident.open or incident.flapping_at is None:
        return None
    quiet = any(each.covers(incident.rule, incident.labels, now) for each in silences(connection, now=now))
    verdict = Verdict(notify=not quiet, why="silenced" if quiet else "settled", kind="resolved")
    calm = replace(notified(incident, verdict, now), flapping_at=None, flapping_level=None)
    kept = _keep(connection, calm)
    return Reported(kept, verdict, _put_in(connection, occurrence, kept, verdict, now=now, routing=routing))


def _decided(
    connection: sa.Connection,
    latest: Incident | None,
    occurrence: Occurrence,
    now: datetime,
    routing: Routing,
) -> tuple[Incident | None, RecentChanges, Verdict]:
    """Return the open incident, how often it opened of late, and the verdict."""
    before = latest if latest is not None and latest.open else None
    since = {"fingerprint": occurrence.fingerprint, "since": now - FLAPPING_WINDOW}
    openings = int(connection.execute(sa.text(sql.OPENINGS), since).scalar_one())
    opens = before is None and not occurrence.resolves
    changes = changes_of(latest, openings + opens)
    level = occurrence.level if before is None else max(before.level, occurrence.level)
    verdict = decide(
        before,
        occurrence,
        now=now,
        silences=silences(connection, now=now),
        inhibited_by=None if occurrence.resolves else _muting(connection, occurrence, level, routing),
        repeat=routing.repeat,
        recent_changes=changes,
        stale_after=routing.stale_after,
    )
    if verdict.notify and not routing.of(before.level if before and occurrence.resolves else level):
        verdict = replace(verdict, notify=False, why="no channel")  # told once somebody hears of the level
    return before, changes, verdict


def lock_key(fingerprint: str) -> int:
    """Return an identity as the 64 bits of the lock that whoever reports it takes."""
    return int.from_bytes(bytes.fromhex(fingerprint), signed=True)


def _latest(connection: sa.Connection, fingerprint: str) -> Incident | None:
    found = connection.execute(sa.text(sql.LATEST), {"fingerprint": fingerprint}).mappings().first()
    return None if found is None else incident_of(found)


def _muting(
    connection: sa.Connection, occurrence: Occurrence, level: Level, routing: Routing
) -> Incident | None:
    for inhibition in routing.inhibitions:
        needed = inhibition.needed(level, occurrence.labels)
        if needed is None:
            continue
        wanted = {
            "level": int(inhibition.source_level),
            "rule": inhibition.source_rule,
            "labels": as_json(needed),
            "fingerprint": occurrence.fingerprint,
        }
        found = connection.execute(sa.text(sql.MUTING), wanted).mappings().first()
        if found is not None:
            return incident_of(found)
    return None


def _keep(connection: sa.Connection, incident: Incident) -> Incident:
    values = values_of(incident)
    if incident.id:
        connection.execute(sa.text(sql.UPDATE), values)
        return incident
    return replace(incident, id=connection.execute(sa.text(sql.INSERT), values).scalar_one())


def _put_in(
    connection: sa.Connection,
    occurrence: Occurrence,
    incident: Incident,
    verdict: Verdict,
    *,
    now: datetime,
    routing: Routing,
) -> tuple[int, ...]:
    if not verdict.notify:
        return ()
    made = [
        enqueue(
            connection,
            Draft(
                dedup_key=f"{channel}:{verdict.kind}:{occurrence.event_id}",
                channel=channel,
                level=incident.level,
                kind=verdict.kind,
                message=message_of(occurrence, incident, verdict),
                incident_id=incident.id,
                chart=occurrence.chart,
                happened_at=occurrence.at,
            ),
            now=now,
        )
        for channel in routing.of(incident.level)
    ]
    return tuple(row for row in made if row is not None)


def incidents(connection: sa.Connection, *, open_only: bool = True, limit: int = 100) -> list[Incident]:
    """Return incidents, open ones first and of these the worst, then those seen last."""
    values = {"open_only": open_only, "limit": limit}
    return [incident_of(row) for row in connection.execute(sa.text(sql.INCIDENTS), values).mappings()]


def acknowledge(connection: sa.Connection, incident_id: int, who: str, now: datetime) -> Incident:
    """Note who looks after an open incident: it is repeated no more unless it gets worse.

    The first who does stays. Raises InputError where no such incident is open.
    """
    return _changed(connection, sql.ACKNOWLEDGE, incident_id, {"who": _named(who), "now": now})


def close(connection: sa.Connection, incident_id: int, now: datetime) -> Incident:
    """End an incident of which nothing says that it is over, telling nobody; raises as `acknowledge`."""
    return _changed(connection, sql.CLOSE, incident_id, {"now": now})


def _changed(
    connection: sa.Connection, statement: str, incident_id: int, values: dict[str, object]
) -> Incident:
    found = connection.execute(sa.text(statement), values | {"id": incident_id}).mappings().first()
    if found is None:
        raise InputError(f"no incident {incident_id} is open: `itb alerts list` shows those that are")
    return incident_of(found)


def _named(who: str) -> str:
    if not who.strip():
        raise InputError("who acknowledges is empty: expected a name that others can ask")
    return who.strip()


def add_silence(connection: sa.Connection, silence: Silence, now: datetime) -> int:
    """Keep quiet from now on about what a silence covers; return its id.

    Raises InputError if it has ended.
    """
    if silence.until <= now:
        raise InputError(f"a silence until {silence.until:%Y-%m-%d %H:%M:%S %Z} has ended before it begins")
    values = {
        "matchers": as_json(silence.matchers),
        "until": silence.until,
        "who": silence.who,
        "why": silence.why,
        "now": now,
    }
    return int(connection.execute(sa.text(sql.ADD_SILENCE), values).scalar_one())


def remove_silence(connection: sa.Connection, silence_id: int, now: datetime) -> bool:
    """End a silence, whose record stays; return whether it was in force."""
    ended = connection.execute(sa.text(sql.END_SILENCE), {"id": silence_id, "now": now}).first()
    return ended is not None


def silences(connection: sa.Connection, *, now: datetime | None = None) -> Sequence[Silence]:
    """Return the silences in force at a time, those that end first first; without a time all there were."""
    rows = connection.execute(sa.text(sql.SILENCES), {"now": now}).mappings()
    return [silence_of(row) for row in rows]
