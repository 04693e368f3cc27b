"""What keeps an occurrence quiet although it is new: a silence somebody asked for, or something worse.

Whether anybody is told in the end belongs to `decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from itb_assets.domain.alerts.incident import Incident
from itb_assets.domain.alerts.occurrence import Level
from itb_assets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Quiet for what all matchers fit, until a time, with who asked for it and why.

    A matcher's key is `rule` or a label, its value what that has to be; it may end in `*`. A label that is
    not there fits nothing; `created_at` is None until it is kept. Raises InputError without matchers:
    `rule=*` is how to mean everything.
    """

    id: int = 0
    matchers: Mapping[str, str]
    until: datetime
    who: str
    why: str
    created_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what would silence by accident, or without anybody to ask."""
        if not self.matchers:
            raise InputError("a silence without matchers would be of everything: say rule=* to mean that")
        if self.until.tzinfo is None:
            raise InputError(f"a silence until {self.until}: expected a time with a zone")
        if not self.who.strip() or not self.why.strip():
            raise InputError("a silence says who asked for it and why: one of them is empty")

    def covers(self, rule: str, labels: Mapping[str, str], now: datetime) -> bool:
        """Return whether it is in force and all its matchers fit."""
        found = {**labels, "rule": rule}
        return now < self.until and all(
            name in found and _fits(found[name], wanted) for name, wanted in self.matchers.items()
        )


def _fits(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


@dataclass(frozen=True, kw_only=True)
class Inhibition:
    """Something open and told, of `source_level` or worse, mutes what is of `target_level` or milder.

    Only where both have all of the labels `equal`, with the same values. With `source_rule` only that rule's.
    """

    source_level: Level = Level.CRITICAL
    target_level: Level = Level.WARNING
    equal: tuple[str, ...] = ("symbol",)
    source_rule: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would mute everything, or itself."""
        if not self.equal:
            raise InputError("an inhibition names the labels that have to be equal, such as symbol")
        if self.source_level <= self.target_level:
            raise InputError(
                f"an inhibition by {self.source_level.label} of {self.target_level.label}: expected what "
                "mutes to be worse than what is muted"
            )

    def needed(self, level: Level, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Return the labels that a muting incident has to have; None where this mutes nothing of the kind."""
        if level > self.target_level or not set(self.equal) <= set(labels):
            return None
        return {name: labels[name] for name in self.equal}

    def mutes(self, source: Incident, target: Incident) -> bool:
        """Return whether one incident mutes another: one that nobody was told of mutes nothing."""
        needed = self.needed(target.level, target.labels)
        return (
            needed is not None
            and source.open
            and source.last_notified_at is not None
            and source.level >= self.source_level
            and self.source_rule in (None, source.rule)
            and source.fingerprint != target.fingerprint
            and needed.items() <= dict(source.labels).items()
        )
