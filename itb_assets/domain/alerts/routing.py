"""Who hears of which level and when again, and what a message carries to him.

Deciding belongs to `decision`; where a deployment's choice is read from, to the configuration of alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypedDict

from itb_assets.domain.alerts.decision import STALE_AFTER, Repeat
from itb_assets.domain.alerts.incident import Incident
from itb_assets.domain.alerts.muting import Inhibition
from itb_assets.domain.alerts.occurrence import Level, Occurrence
from itb_assets.domain.alerts.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Channels by level, intervals of repeats, what mutes what, and what is too old to be told."""

    channels: Mapping[Level, tuple[str, ...]]
    repeat: Repeat = field(default_factory=Repeat)
    inhibitions: tuple[Inhibition, ...] = (Inhibition(),)
    stale_after: timedelta | None = STALE_AFTER

    def of(self, level: Level) -> tuple[str, ...]:
        """Return the channels that hear of a level; none is possible."""
        return self.channels.get(level, ())


class Message(TypedDict, total=False):
    """What a row of the outbox says, as plain JSON; times are ISO 8601 in UTC.

    Reports, tests and alive messages have `title` and `detail`, which then may have many lines.
    """

    rule: str
    level: str
    labels: dict[str, str]
    title: str
    detail: str
    action: str
    url: str
    at: str
    first_at: str
    occurrences: int
    incident_id: int
    why: str


def message_of(occurrence: Occurrence, incident: Incident, verdict: Verdict) -> Message:
    """Return what is said of an incident at an occurrence; of one that is over not the error that it had."""
    over = occurrence.resolves
    return Message(
        rule=incident.rule,
        level=incident.level.label,
        labels=dict(incident.labels),
        title=incident.title,
        detail=occurrence.detail or ("" if over else incident.detail),
        action=occurrence.action or incident.action,
        url=occurrence.url or incident.url,
        at=occurrence.at.isoformat(),
        first_at=incident.first_at.isoformat(),
        occurrences=incident.occurrences,
        incident_id=incident.id,
        why=verdict.why,
    )
