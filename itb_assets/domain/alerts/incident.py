"""What is wrong for as long as it is wrong: occurrences of one identity counted as one incident.

Who is told belongs to `decision`; where incidents are kept to the observability of alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from itb_assets.domain.alerts.occurrence import Level, Occurrence
from itb_assets.domain.alerts.verdict import Verdict

CLOCKS_DIFFER = timedelta(minutes=1)
"""By so much the clocks of two machines may differ."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One thing that is, or was, wrong. While it is open its level is the highest it had.

    `last_notified_at` and `notified_level` say when, and at what level, somebody was told last;
    `flapping_at` and `flapping_level` the same of the notice that it comes and goes, and are carried on to
    the next incident of the identity for as long as it does.
    """

    id: int
    fingerprint: str
    rule: str
    level: Level
    labels: Mapping[str, str]
    title: str
    detail: str
    first_at: datetime
    last_at: datetime
    occurrences: int
    last_notified_at: datetime | None = None
    acked_by: str | None = None
    acked_at: datetime | None = None
    resolved_at: datetime | None = None
    action: str = ""
    url: str = ""
    opened_at: datetime | None = None
    notified_level: Level | None = None
    flapping_at: datetime | None = None
    flapping_level: Level | None = None

    @property
    def open(self) -> bool:
        """Whether it still is wrong."""
        return self.resolved_at is None


@dataclass(frozen=True)
class RecentChanges:
    """How often an identity opened within the window of flapping, the opening at hand included.

    `told_at` and `told_level` are of the notice that it flaps, None where it did not or has calmed down.
    """

    openings: int = 0
    told_at: datetime | None = None
    told_level: Level | None = None


def after(
    before: Incident | None,
    occurrence: Occurrence,
    verdict: Verdict,
    *,
    now: datetime,
    changes: RecentChanges,
) -> Incident | None:
    """Return the incident as it is after an occurrence; id 0 where it is new, None where there is none.

    A resolve that is older than the last occurrence changes nothing: it speaks of an earlier time.
    """
    if occurrence.resolves:
        if before is None or outdated(before, occurrence, now):
            return before
        resolved = replace(before, resolved_at=now)
        return replace(resolved, last_notified_at=now) if verdict.notify else resolved
    counted = _opened(occurrence, now) if before is None else _counted(before, occurrence, now)
    counted = replace(counted, flapping_at=changes.told_at, flapping_level=changes.told_level)
    return notified(counted, verdict, now) if verdict.notify else counted


def outdated(before: Incident, occurrence: Occurrence, now: datetime) -> bool:
    """Return whether an occurrence is older than the last one; none is while that lies in the future."""
    return occurrence.at < before.last_at and not ahead(before.last_at, now)


def ahead(at: datetime, now: datetime) -> bool:
    """Return whether a time was written before the clock was put back, and not by another machine's clock."""
    return at - now > CLOCKS_DIFFER


def notified(incident: Incident, verdict: Verdict, now: datetime) -> Incident:
    """Return an open incident as it is after somebody was told of it."""
    told = replace(incident, last_notified_at=now, notified_level=incident.level)
    return replace(told, flapping_at=now, flapping_level=incident.level) if verdict.flapping else told


def _opened(occurrence: Occurrence, now: datetime) -> Incident:
    return Incident(
        id=0,
        fingerprint=occurrence.fingerprint,
        rule=occurrence.rule,
        level=occurrence.level,
        labels=occurrence.labels,
        title=occurrence.title,
        detail=occurrence.detail,
        action=occurrence.action,
        url=occurrence.url,
        first_at=occurrence.at,
        last_at=occurrence.at,
        opened_at=now,
        occurrences=1,
    )


def _counted(before: Incident, occurrence: Occurrence, now: datetime) -> Incident:
    counted = replace(
        before,
        level=max(before.level, occurrence.level),
        first_at=min(before.first_at, occurrence.at),
        occurrences=before.occurrences + 1,
    )
    if outdated(before, occurrence, now):
        return counted
    return replace(
        counted,
        last_at=occurrence.at,
        title=occurrence.title,
        detail=occurrence.detail,
        action=occurrence.action,
        url=occurrence.url,
    )
