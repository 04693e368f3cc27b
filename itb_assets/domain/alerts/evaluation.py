"""What one look at one rule found, whether that is news, and the occurrence that tells it.

How a rule is computed belongs to the rules; what becomes of the occurrence to `decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from itb_assets.domain.alerts.occurrence import Level, Occurrence, fingerprint_of, kept_labels

State = Literal["firing", "ok", "insufficient", "no_data"]
"""`insufficient`: there are data, but too few or too old to tell; `no_data`: nothing feeds the rule yet."""

FASTEST_REMINDER, SLOWEST_REMINDER = timedelta(minutes=1), timedelta(minutes=10)
UNKNOWN: tuple[State, ...] = ("insufficient", "no_data")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One rule at one look: its state for what `labels` name, the value beside its threshold, and words.

    `level` is that of the rule unless a rule knows better. `value` and `threshold` are None where there are
    none, `title` is one line of what is wrong, `detail` says what was found, or what is lacking.
    """

    rule: str
    level: Level
    state: State
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    threshold: float | None = None
    title: str = ""
    detail: str = ""
    chart: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Bring the labels into the form that an occurrence has, so that both have one identity."""
        object.__setattr__(self, "labels", kept_labels(self.labels))

    @property
    def fingerprint(self) -> str:
        """The identity of what is, or would be, wrong."""
        return fingerprint_of(self.rule, self.labels)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a rule stood after the last look, and since when what it found wrong is open; None: nothing is.

    It stays open while the rule cannot tell: what was wrong is not over because the data ended. `last_at` is
    the newest report of it, which a clock that was put back, or another machine's, may place after now.
    """

    state: State
    labels: Mapping[str, str]
    value: float | None
    at: datetime
    opened_at: datetime | None
    last_at: datetime | None = None


def news(
    before: Standing | None, found: Evaluation, *, now: datetime, remind: timedelta
) -> Occurrence | None:
    """Return what a look has to tell: that something is wrong, still is, or is over; mostly nothing.

    What goes on is told again once in every `remind`, and whoever is told decides whether to pass it on. Ids
    follow from when it began, so a look that is repeated tells nothing twice.
    """
    opened_at = before.opened_at if before is not None else None
    if found.state == "firing":
        if before is None or opened_at is None:
            return _occurrence(found, f"{now.isoformat()}", now)
        due, told = ((time - opened_at) // remind for time in (now, before.at))
        # told apart by the time: a clock that was put back counts the same reminders once more
        return _occurrence(found, f"{opened_at.isoformat()}/{now.isoformat()}", now) if due != told else None
    if found.state == "ok" and before is not None and opened_at is not None:
        at = max(now, before.last_at or now)  # an end that is older than the last report would end nothing
        return _occurrence(found, f"{opened_at.isoformat()}/{now.isoformat()}/over", at, resolves=True)
    return None


def reminder(repeat: timedelta | None) -> timedelta:
    """Return how often what goes on is told again, given how often somebody is to hear of it.

    Much oftener, so that a repeat is due shortly after its interval, and so that the end of a silence is
    noticed.

    >>> [reminder(timedelta(minutes=minutes)).total_seconds() for minutes in (5, 15, 240)]
    [60.0, 90.0, 600.0]
    """
    if repeat is None:
        return SLOWEST_REMINDER
    return min(max(repeat / 10, FASTEST_REMINDER), SLOWEST_REMINDER)


def _occurrence(found: Evaluation, key: str, at: datetime, *, resolves: bool = False) -> Occurrence:
    return Occurrence(
        event_id=f"rule:{found.rule}:{found.fingerprint}:{key}",
        rule=found.rule,
        level=found.level,
        labels=found.labels,
        title=found.title or found.rule.replace("_", " "),
        detail=found.detail,
        action=f"alert-{found.rule.replace('_', '-')}",
        at=at,
        chart=found.chart,
        resolves=resolves,
    )
