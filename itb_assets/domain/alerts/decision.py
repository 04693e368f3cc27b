"""Whether somebody is told of an occurrence, and why or why not; a pure function of what is known.

Where it is sent belongs to `routing`, what the incident becomes to `incident`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from itb_assets.domain.alerts.incident import Incident, RecentChanges, ahead, outdated
from itb_assets.domain.alerts.muting import Silence
from itb_assets.domain.alerts.occurrence import Level, Occurrence
from itb_assets.domain.alerts.verdict import Kind, Verdict, Why

FLAPPING_OPENINGS = 4
"""More openings than these within the window, and it flaps."""
CALM_OPENINGS = 2
"""Once it flaps it does until there are no more than these."""
FLAPPING_WINDOW = timedelta(hours=3)
"""Long enough for what is looked at every quarter of an hour, and is good and bad in turn."""
SETTLED = timedelta(minutes=30)
"""What flapped and then stays as it is for so long does so no more, good or bad."""
STALE_AFTER = timedelta(hours=24)
"""What happened longer ago is kept, not told: a first look at old records does not flood."""


@dataclass(frozen=True)
class Repeat:
    """How long it stays quiet about an incident that goes on, by level; None never tells it again."""

    critical: timedelta | None = timedelta(minutes=15)
    error: timedelta | None = timedelta(hours=4)
    warning: timedelta | None = timedelta(hours=24)
    info: timedelta | None = None

    def after(self, level: Level) -> timedelta | None:
        """Return the interval of a level."""
        return {
            Level.CRITICAL: self.critical,
            Level.ERROR: self.error,
            Level.WARNING: self.warning,
            Level.INFO: self.info,
        }[level]

    def due(self, told_at: datetime, level: Level, now: datetime) -> bool:
        """Return whether what was told at a time is told again."""
        interval = self.after(level)
        return interval is not None and (now - told_at >= interval or ahead(told_at, now))


def decide(
    incident_before: Incident | None,
    occurrence: Occurrence,
    *,
    now: datetime,
    silences: Sequence[Silence] = (),
    inhibited_by: Incident | None = None,
    repeat: Repeat | None = None,
    recent_changes: RecentChanges | None = None,
    stale_after: timedelta | None = STALE_AFTER,
) -> Verdict:
    """Decide about one occurrence, given the open incident of its identity (None where there is none).

    A new one is told, one that goes on only after its interval or when it is worse than what was told, an
    acknowledged one only when it is worse, one that comes and goes once as flapping until it settles. What is
    over is told if it was told that it began.
    """
    repeat = repeat or Repeat()
    changes = recent_changes or RecentChanges()
    quiet = next((each for each in silences if each.covers(occurrence.rule, occurrence.labels, now)), None)
    if occurrence.resolves:
        return _of_resolve(incident_before, occurrence, now, quiet, changes)
    level = max(occurrence.level, incident_before.level) if incident_before else occurrence.level
    wanted = _of_occurrence(incident_before, level, now, repeat, changes)
    if not wanted.notify:
        return wanted
    if quiet is not None:
        return _quiet("silenced", wanted.kind, f"silence {quiet.id}")
    if inhibited_by is not None:
        return _quiet("inhibited", wanted.kind, f"incident {inhibited_by.id}")
    if stale_after is not None and now - occurrence.at > stale_after:
        return _quiet("too old", wanted.kind)
    return wanted


def flaps(changes: RecentChanges) -> bool:
    """Return whether an identity comes and goes: it starts with many openings and ends with few."""
    return changes.openings > (FLAPPING_OPENINGS if changes.told_at is None else CALM_OPENINGS)


def changes_of(latest: Incident | None, openings: int) -> RecentChanges:
    """Return what is known of an identity's coming and going, given its newest incident, open or not.

    `openings` are those within the window, the one at hand included. A notice from before it calmed down
    no longer counts.
    """
    if latest is None or latest.flapping_at is None:
        return RecentChanges(openings)
    told = RecentChanges(openings, latest.flapping_at, latest.flapping_level)
    return told if flaps(told) else RecentChanges(openings)


def _of_resolve(
    before: Incident | None,
    occurrence: Occurrence,
    now: datetime,
    quiet: Silence | None,
    changes: RecentChanges,
) -> Verdict:
    if before is None or outdated(before, occurrence, now):
        return _quiet("not open", "resolved")
    if before.last_notified_at is None:
        return _quiet("never told", "resolved")
    if quiet is not None:
        return _quiet("silenced", "resolved", f"silence {quiet.id}")
    if flaps(changes):
        return _quiet("flapping", "resolved")
    return Verdict(notify=True, why="gone" if occurrence.gone else "over", kind="resolved")


def _of_occurrence(
    before: Incident | None, level: Level, now: datetime, repeat: Repeat, changes: RecentChanges
) -> Verdict:
    if before is not None:
        if before.notified_level is not None and level > before.notified_level:
            return Verdict(notify=True, why="worse", kind="repeated")
        if before.acked_at is not None:
            return _quiet("acknowledged", "repeated")
        if before.last_notified_at is not None:
            again = repeat.due(before.last_notified_at, level, now)
            return Verdict(again, "repeat" if again else "too soon", "repeated")
    if flaps(changes) and not _settled(before, now):
        return _of_flapping(level, now, repeat, changes)
    return Verdict(notify=True, why="new" if before is None else "unsaid")


def _settled(before: Incident | None, now: datetime) -> bool:
    return before is not None and before.opened_at is not None and now - before.opened_at >= SETTLED


def _of_flapping(level: Level, now: datetime, repeat: Repeat, changes: RecentChanges) -> Verdict:
    told_at, told_level = changes.told_at, changes.told_level
    again = told_at is None or told_level is None or level > told_level or repeat.due(told_at, level, now)
    return Verdict(again, "flapping")


def _quiet(why: Why, kind: Kind = "opened", by: str = "") -> Verdict:
    return Verdict(notify=False, why=why, kind=kind, by=by)
