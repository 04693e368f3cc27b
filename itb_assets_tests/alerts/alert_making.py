"""Occurrences and routings for tests of alerts, and a plain model of what becomes of them.

The model is written for being read: mutable, in steps, with none of the package's code that decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from itb_assets.domain.alerts import Level, Occurrence, Routing

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROUTING = Routing(
    channels={
        Level.INFO: ("telegram",),
        Level.WARNING: ("telegram",),
        Level.ERROR: ("telegram",),
        Level.CRITICAL: ("telegram", "slack"),
    }
)
IDENTITIES = (
    ("training_failed", {"asset": "models", "symbol": "BTCUSDT"}),
    ("data_stale", {"symbol": "BTCUSDT"}),
    ("data_stale", {"symbol": "ETHUSDT"}),
)


def occurrence(event_id: str = "e1", identity: int = 0, **other: Any) -> Occurrence:
    """Return one, of the first identity and level ERROR unless told otherwise."""
    rule, labels = IDENTITIES[identity]
    given = {"rule": rule, "labels": labels, "level": Level.ERROR, "title": "It failed", "at": START}
    return Occurrence(event_id=event_id, **(given | other))


@dataclass
class PlainIncident:
    """What the model keeps of one incident."""

    level: Level
    last_at: datetime
    opened_at: datetime
    count: int = 1
    told_at: datetime | None = None
    told_level: Level | None = None
    acked: bool = False
    resolved: bool = False


@dataclass
class PlainAlerts:
    """Every identity's incidents, oldest first, and who was told what; kinds as the outbox names them."""

    incidents: dict[int, list[PlainIncident]] = field(default_factory=dict)
    silenced: dict[int, datetime] = field(default_factory=dict)
    flapping: dict[int, tuple[datetime, Level]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    told: list[tuple[int, str]] = field(default_factory=list)

    def open(self, identity: int) -> PlainIncident | None:
        """Return the open incident of an identity."""
        last = self.incidents.get(identity, [])[-1:]
        return last[0] if last and not last[0].resolved else None

    def acknowledge(self, identity: int) -> None:
        """Let somebody look after what is open."""
        incident = self.open(identity)
        if incident is not None:
            incident.acked = True
            incident.told_level = incident.level

    def resolve(self, event_id: str, identity: int, at: datetime, now: datetime) -> None:
        """End what is open."""
        if event_id in self.seen:
            return
        self.seen.add(event_id)
        incident = self.open(identity)
        if incident is None or at < incident.last_at:
            return
        incident.resolved = True
        quiet = self.is_silenced(identity, now) or self.flaps(identity, now)
        if incident.told_at is not None and not quiet:
            incident.told_at = now
            self.told.append((identity, "resolved"))

    def fire(self, event_id: str, identity: int, level: Level, at: datetime, now: datetime) -> None:
        """Count what went wrong, perhaps again, and tell of it if that is due."""
        if event_id in self.seen:
            return
        self.seen.add(event_id)
        incident = self.open(identity)
        if incident is None:
            incident = PlainIncident(level, at, now)
            self.incidents.setdefault(identity, []).append(incident)
        else:
            incident.count += 1
            incident.level = max(incident.level, level)
            incident.last_at = max(incident.last_at, at)
        flapped = self.flaps(identity, now)
        if not flapped:
            self.flapping.pop(identity, None)
        kind, as_flapping = self.wanted(identity, incident, now, flapped=flapped)
        muted = self.is_silenced(identity, now) or self.is_inhibited(identity, incident.level)
        if kind is None or muted or now - at > timedelta(hours=24):
            return
        incident.told_at, incident.told_level = now, incident.level
        if as_flapping:
            self.flapping[identity] = (now, incident.level)
        self.told.append((identity, kind))

    def wanted(
        self, identity: int, incident: PlainIncident, now: datetime, *, flapped: bool
    ) -> tuple[str | None, bool]:
        """Return as what it would be told were nothing mute, and whether as flapping."""
        interval = {
            Level.INFO: timedelta(days=9999),
            Level.WARNING: timedelta(hours=24),
            Level.ERROR: timedelta(hours=4),
            Level.CRITICAL: timedelta(minutes=15),
        }[incident.level]
        if incident.told_level is not None and incident.level > incident.told_level:
            return "repeated", False
        if incident.acked:
            return None, False
        if incident.told_at is not None:
            return ("repeated" if now - incident.told_at >= interval else None), False
        if not flapped or now - incident.opened_at >= timedelta(minutes=30):
            return "opened", False
        told_at, told_level = self.flapping.get(identity, (None, None))
        fresh = told_at is None or incident.level > told_level or now - told_at >= interval
        return ("opened" if fresh else None), True

    def flaps(self, identity: int, now: datetime) -> bool:
        """Return whether it opened more than 4 times in 3 hours, or after that still more than twice."""
        since = now - timedelta(hours=3)
        opened = sum(incident.opened_at > since for incident in self.incidents.get(identity, []))
        return opened > (2 if identity in self.flapping else 4)

    def is_silenced(self, identity: int, now: datetime) -> bool:
        """Return whether somebody asked for quiet."""
        return identity in self.silenced and now < self.silenced[identity]

    def is_inhibited(self, identity: int, level: Level) -> bool:
        """Return whether something critical of the same symbol is open and told."""
        if level > Level.WARNING:
            return False
        symbol = IDENTITIES[identity][1]["symbol"]
        for other in self.incidents:
            found = self.open(other)
            if other == identity or found is None or IDENTITIES[other][1]["symbol"] != symbol:
                continue
            if found.told_at is not None and found.level == Level.CRITICAL:
                return True
        return False
