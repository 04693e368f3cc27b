"""What happened to the versions of a model, one JSON object a line, oldest first; lines are only added.

When something is logged, and what follows from it, belongs to the registry.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from itb_assets.errors import InputError
from itb_assets.storage.disk.atomic import ensure_folder, remove_stray_files, sync_folder, write_whole
from itb_assets.storage.layout import EVENTS_FILE, MAX_VERSION, NEXT_EVENT_FILE
from itb_assets.storage.models.files import read_file

Kind = Literal["saved", "adopted", "promoted", "rolled_back", "pruned", "unreadable"]

_NO_EVENT = (KeyError, TypeError, ValueError, OverflowError, RecursionError, InputError)


@dataclass(frozen=True)
class ModelEvent:
    """One event: what happened to which version, when, by whom and why.

    `line` are the versions promoted one after the other, the last being in use after a promotion or a
    rollback (else empty); `metadata_sha256` identifies the version's content. A line of the log that cannot
    be read is an event of kind `unreadable` that carries the reason and version 0.
    """

    kind: Kind
    version: int
    at: datetime
    by: str = ""
    reason: str = ""
    before: int | None = None
    line: tuple[int, ...] = ()
    metadata_sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that is written."""
        return {
            "event": self.kind,
            "version": self.version,
            "from": self.before,
            "at": self.at.isoformat(),
            "by": self.by,
            "reason": self.reason,
            "line": list(self.line),
            "metadata_sha256": self.metadata_sha256,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelEvent:
        """Return the event that was written; raise KeyError, TypeError or ValueError for what is none."""
        if values["event"] not in get_args(Kind):
            raise ValueError(f"event {values['event']!r} is not one of {', '.join(get_args(Kind))}")
        return cls(
            values["event"],
            _number(values["version"]),
            in_utc(datetime.fromisoformat(values["at"])),
            str(values["by"]),
            str(values["reason"]),
            None if values["from"] is None else _number(values["from"]),
            tuple(_number(number) for number in values["line"]),
            values["metadata_sha256"],
        )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_VERSION:
        raise ValueError(f"{value!r} is not the number of a version")
    return value


def in_utc(now: datetime) -> datetime:
    """Return a time in UTC; raise InputError for one without time zone."""
    if now.tzinfo is None:
        raise InputError(f"time {now} has no time zone: expected one in UTC")
    return datetime.fromtimestamp(now.timestamp(), UTC)


@dataclass(frozen=True)
class EventLog:
    """The events of one model in `folder`, and the one about to happen.

    The event of a promotion is put down before the folder is replaced and moved to the log after it, so that
    a killed writer leaves the reason of what it did: whether it did is told by the folder.
    """

    folder: Path

    def read(self) -> tuple[ModelEvent, ...]:
        """Return the events of the log; a last line without its end was never written."""
        try:
            content = read_file(self.folder / EVENTS_FILE)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        lines = content.split(b"\n")[:-1]
        return tuple(_event(line, number) for number, line in enumerate(lines, start=1))

    def next(self) -> ModelEvent | None:
        """Return the event that is about to happen or that just did, or None."""
        try:
            return ModelEvent.from_json(json.loads(read_file(self.folder / NEXT_EVENT_FILE)))
        except (FileNotFoundError, NotADirectoryError, *_NO_EVENT):
            return None

    def announce(self, event: ModelEvent) -> None:
        """Put down what is about to happen, to disk."""
        ensure_folder(self.folder)
        write_whole(self.folder / NEXT_EVENT_FILE, _line(event))
        sync_folder(self.folder)

    def settle(self, *, happened: bool) -> None:
        """Move what was announced to the log if it happened, and forget it."""
        path = self.folder / NEXT_EVENT_FILE
        if self.folder.is_dir():
            remove_stray_files(path)
        event, events = self.next(), self.read()
        if happened and event is not None and events[-1:] != (event,):
            self.append([event])
        with suppress(FileNotFoundError):
            path.unlink()

    def append(self, events: Iterable[ModelEvent]) -> None:
        """Add events at the end, to disk; the log is as it was when they do not fit."""
        content = b"".join(map(_line, events))
        if not content:
            return
        ensure_folder(self.folder)
        path = self.folder / EVENTS_FILE
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        try:
            end = read_file(path).rfind(b"\n") + 1  # what follows is the torn line of a killed writer
            os.ftruncate(descriptor, end)
            try:
                _write(descriptor, content, end)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self.folder)


def _write(descriptor: int, content: bytes, end: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], end + written)


def _line(event: ModelEvent) -> bytes:
    return json.dumps(event.to_json(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _event(line: bytes, number: int) -> ModelEvent:
    try:
        return ModelEvent.from_json(json.loads(line))
    except _NO_EVENT as error:
        reason = f"line {number} of {EVENTS_FILE} is no event: {type(error).__name__} {error}"
        return ModelEvent("unreadable", 0, datetime.fromtimestamp(0, UTC), reason=reason)
