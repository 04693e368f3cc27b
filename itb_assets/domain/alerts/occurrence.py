"""One thing that went wrong, or that is over, as its cause tells it: level, identity and words.

What becomes of it belongs to `incident` and `decision`, how it is shown to the messages.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from itb_assets.errors import DataContractError, InputError

MAX_EVENT_ID = 200
MAX_LABEL = 120
MAX_TITLE = 300
MAX_DETAIL = 2000
MAX_LINK = 500

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DIGEST_DIGITS = 8


class Level(IntEnum):
    """How bad it is; a higher one is worse."""

    INFO = 10
    WARNING = 20
    ERROR = 30
    CRITICAL = 40

    @property
    def label(self) -> str:
        """Its name in settings, tables of rules and messages."""
        return self.name.lower()

    @classmethod
    def named(cls, label: str) -> Level:
        """Return the level of a label; raise InputError for any other word."""
        found = {level.label: level for level in cls}.get(label.lower())
        if found is None:
            raise InputError(f"level {label!r} is none: expected {', '.join(each.label for each in cls)}")
        return found


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One report of a cause. The same cause told twice, by whomever, has the same `event_id`.

    `labels` are the identity of what is wrong (asset, symbol, freq, variant, ...), `detail` the first line
    of the error or figures, `action` an anchor in docs/operations.md, `chart` a PNG. With `resolves` it says
    that what had this identity is over, with `gone` too that nobody knows whether it is good now. Text that a
    database cannot hold is replaced and what is too long is cut, because a report with bad words is better
    than none; raises DataContractError for a rule or a label whose name is none, for no event_id and for a
    time without a zone.
    """

    event_id: str
    rule: str
    level: Level
    labels: Mapping[str, str] = field(default_factory=dict)
    title: str
    detail: str = ""
    action: str = ""
    url: str = ""
    at: datetime
    chart: bytes | None = field(default=None, repr=False)
    resolves: bool = False
    gone: bool = False

    def __post_init__(self) -> None:
        """Check what identity rests on and bring the words into a form that can be kept."""
        wrong = [name for name in (self.rule, *self.labels) if not _NAME.fullmatch(name)]
        if wrong or not self.event_id.strip() or self.at.tzinfo is None:
            found = (
                f"rule {self.rule!r}, labels {sorted(self.labels)}, event_id {self.event_id!r}, at {self.at}"
            )
            raise DataContractError(
                f"{found}: expected names of a-z, 0-9 and _, an event_id that names the cause, and a time "
                "with a zone"
            )
        kept = {
            "event_id": _distinct(storable(self.event_id), MAX_EVENT_ID),
            "level": Level(self.level),
            "labels": kept_labels(self.labels),
            "title": _cut(" ".join(storable(self.title).split()), MAX_TITLE),
            "detail": _cut(storable(self.detail).strip(), MAX_DETAIL),
            "action": _cut(storable(self.action), MAX_LINK),
            "url": _cut(storable(self.url), MAX_LINK),
            "at": self.at.astimezone(UTC),
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    @property
    def fingerprint(self) -> str:
        """Name what is wrong in 16 hex digits, whatever the words, the level and the time."""
        return fingerprint_of(self.rule, self.labels)


def fingerprint_of(rule: str, labels: Mapping[str, str]) -> str:
    """Return 16 hex digits of sha256 over the rule and its labels, whose order does not matter."""
    identity = json.dumps([rule, sorted(labels.items())], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def kept_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels in a form that can be kept, which is what identity rests on; again it changes nothing."""
    return {name: _distinct(storable(str(value)), MAX_LABEL) for name, value in sorted(labels.items())}


def storable(text: str) -> str:
    """Replace what the text of a database has no place for: NUL and halves of surrogate pairs."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _distinct(text: str, length: int) -> str:
    """Cut what is an identity so that two long ones stay two."""
    if len(text) <= length:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{text[: length - _DIGEST_DIGITS - 1]}~{digest}"
