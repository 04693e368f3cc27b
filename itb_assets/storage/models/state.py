"""What lies on disk of one model at one moment: its versions, which is used, which was before.

Nothing is written here: a reader takes no lock, and what a killed writer left is read as it will be tidied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from itb_assets.errors import InputError
from itb_assets.storage.disk.folders import current_folder
from itb_assets.storage.layout import EVENTS_FILE, METADATA_FILE, NEXT_EVENT_FILE, Layout, ModelAddress
from itb_assets.storage.models.events import EventLog, Kind, ModelEvent, in_utc
from itb_assets.storage.models.files import digest_of
from itb_assets.storage.models.folder import READ_ATTEMPTS, identity_of

_ADOPTED = "found in place, saved by no registry"

LINE_KEPT = 64
"""How many promotions back a rollback can go at most."""


@dataclass(frozen=True)
class ModelState:
    """The versions of a model by the digest of their metadata (None where it cannot be read).

    `promoted` is the version whose metadata lies in the promoted folder; `unnumbered` that same number while
    no version folder holds it, as for a model saved before there were versions: the next writer adopts it.
    """

    digests: Mapping[int, str | None]
    events: tuple[ModelEvent, ...]
    promoted: int | None
    unnumbered: int | None
    promoted_digest: str | None

    @property
    def line(self) -> tuple[int, ...]:
        """Versions promoted one after the other that are still there; the last is the promoted one."""
        line = next((event.line for event in reversed(self.events) if event.line), ())
        return settled_line((*line, *([self.promoted] if self.promoted else ())), self.digests)

    @property
    def previous(self) -> int | None:
        """The version that was promoted before the promoted one, or None."""
        line = self.line
        return line[-2] if self.promoted and len(line) > 1 else None

    @property
    def following(self) -> int:
        """The number of the next version; none is ever given twice."""
        return 1 + max((0, *self.digests, *(event.version for event in self.events)))

    def logged_digest(self, number: int) -> str | None:
        """Return the digest of a version's metadata as it was when the version was made, or None."""
        made = (e for e in reversed(self.events) if e.version == number and e.kind in {"saved", "adopted"})
        return next((event.metadata_sha256 for event in made), None)

    def unlogged(self) -> tuple[int, ...]:
        """Return the versions that the log does not know."""
        known = {event.version for event in self.events if event.kind in {"saved", "adopted"}}
        return tuple(sorted(self.digests.keys() - known))

    def step(self, kind: Kind, number: int, at: datetime, by: str, reason: str) -> ModelEvent:
        """Return the event of promoting a version that is there, or of rolling back to it."""
        line = self.line[:-1] if kind == "rolled_back" else (*self.line, number)
        line = settled_line(line, self.digests)
        return ModelEvent(kind, number, at, by, reason, self.promoted, line, self.digests[number])

    def made(self, number: int, metadata: Mapping[str, Any], at: datetime) -> ModelEvent:
        """Return the event of a version's making: saved, as its metadata say, or found in place."""
        digest = self.digests[number]
        if metadata.get("version") == number:
            with suppress(KeyError, TypeError, ValueError, InputError):
                saved_at = in_utc(datetime.fromisoformat(metadata["saved_at"]))
                return ModelEvent(
                    "saved", number, saved_at, f"run {metadata['run_id']}", metadata_sha256=digest
                )
        line = self.line if number == self.promoted else ()
        return ModelEvent("adopted", number, at, reason=_ADOPTED, line=line, metadata_sha256=digest)

    def beyond(self, keep: int) -> tuple[int, ...]:
        """Return the oldest versions beyond `keep`, never the promoted one, the one before and the newest."""
        newest_first = sorted(self.digests, reverse=True)
        always = {self.promoted, self.previous, *newest_first[:1]} - {None}
        others = [number for number in newest_first if number not in always]
        return tuple(sorted(others[max(0, keep - len(always)) :]))


def settled_line(line: tuple[int, ...], there: Collection[int]) -> tuple[int, ...]:
    """Return a line without the versions that are gone and without steps from a version to itself.

    >>> settled_line((1, 2, 3, 2, 4), {1, 2, 4})
    (1, 2, 4)
    """
    return tuple(number for number, _ in groupby(n for n in line if n in there))[-LINE_KEPT:]


def read_state(layout: Layout, model: ModelAddress) -> ModelState:
    """Return the state of a model, the same before and after it was read unless it never rests."""
    promoted, log = layout.promoted_dir(model), EventLog(layout.versions_dir(model))
    for _ in range(READ_ATTEMPTS):
        before = _moment(promoted, log)
        state = _read_state(layout, model, log)
        if _moment(promoted, log) == before:
            break
    return state


def _moment(promoted: Path, log: EventLog) -> tuple[object, ...]:
    files = (current_folder(promoted), log.folder / EVENTS_FILE, log.folder / NEXT_EVENT_FILE)
    return tuple(identity_of(path) for path in files)


def _read_state(layout: Layout, model: ModelAddress, log: EventLog) -> ModelState:
    digests = {
        number: digest_of(layout.version_dir(model, number) / METADATA_FILE)
        for number in layout.version_numbers(model)
    }
    digest = digest_of(current_folder(layout.promoted_dir(model)) / METADATA_FILE)
    announced, events = log.next(), log.read()
    if announced and announced.metadata_sha256 == digest and events[-1:] != (announced,):
        events = (*events, announced)
    if digest is None:
        return ModelState(digests, events, None, None, None)
    same = [number for number, own in digests.items() if own == digest]
    if same:
        last = next((event.version for event in reversed(events) if event.line), None)
        return ModelState(digests, events, last if last in same else same[-1], None, digest)
    number = ModelState(digests, events, None, None, None).following
    return ModelState(digests | {number: digest}, events, number, number, digest)
