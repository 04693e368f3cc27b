"""The record beside every stored frame: what it is, from what it was made, what changed when.

Files and their order of writing belong to the frame store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from itb_assets.errors import StorageError
from itb_assets.storage.disk.digest import tree_digest

FORMAT = 1
CHANGES_KEPT = 64
EVERYTHING = pd.Timestamp(0, unit="ns", tz="UTC")
"""Changed from here means: all of it. The epoch is earlier than any kline and safe to compute with."""


class Identity(NamedTuple):
    """What tells, without reading it, that a file is still the one that was written."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Take it from what the system says of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Change(NamedTuple):
    """One version, the earliest row it changed, and the content's digest after it."""

    version: int
    changed_from: pd.Timestamp
    sha256: str = ""


@dataclass(frozen=True)
class Record:
    """What the caller knows of a write; it is stored with the frame.

    `digest` names the definition that made the frame (its specs and code), `sources` the versions of the
    frames it was computed from.
    """

    asset: str
    symbol: str
    freq: str
    run_id: str
    written_at: datetime
    digest: str = ""
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameManifest:
    """The stored record of one frame; `unchanged` says that a write found the same content and left it."""

    asset: str
    symbol: str
    freq: str
    rows: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    columns: Mapping[str, str]
    identity: Identity
    blocks: tuple[str, ...]
    version: int
    digest: str
    sources: Mapping[str, int]
    changes: tuple[Change, ...]
    run_id: str
    written_at: datetime
    step_s: int | None = None
    """Seconds from each row to the next where they are all the same: times that need not be read."""
    unchanged: bool = False

    @property
    def bytes(self) -> int:
        """Length of the file."""
        return self.identity.size

    @property
    def sha256(self) -> str:
        """Digest of the file: the root of the tree over `blocks`."""
        return tree_digest(self.blocks)

    def newer_than(self, other: FrameManifest) -> bool:
        """Tell whether this is a later state of the same frame; of two equal versions, the one written last.

        A version whose writer was killed before its file took its name is given again.
        """
        return (self.version, self.written_at) > (other.version, other.written_at)

    def changed_since(self, version: int, *, sha256: str | None = None) -> pd.Timestamp | None:
        """Return the earliest row changed after `version`: None if none was, EVERYTHING if it is unknown.

        A copy made before its version was committed passes the digest of what it holds: a killed writer's
        version is given again, to other content.
        """
        if sha256 is not None and not self._was(version, sha256):
            return EVERYTHING
        if version == self.version:
            return None
        known = {change.version for change in self.changes}
        if version > self.version or version + 1 not in known:
            return EVERYTHING
        earliest = min(change.changed_from for change in self.changes if change.version > version)
        return max(EVERYTHING, earliest)

    def _was(self, version: int, sha256: str) -> bool:
        """Tell whether the frame is known to have had this content as this version."""
        if version == self.version:
            return sha256 == self.sha256
        return any(change.version == version and change.sha256 == sha256 for change in self.changes)

    def made_as(self, dtypes: Mapping[str, str], record: Record) -> bool:
        """Tell whether a write would have the same columns, dtypes and definition."""
        return list(self.columns.items()) == list(dtypes.items()) and self.digest == record.digest

    def with_change(self, previous: FrameManifest | None, changed_from: pd.Timestamp) -> FrameManifest:
        """Return it with this version's change; after a first write or other columns, all of it changed."""
        if previous is None or list(previous.columns) != list(self.columns):
            changed_from = EVERYTHING
        earlier = previous.changes if previous else ()
        change = Change(self.version, changed_from, self.sha256)
        return replace(self, changes=(*earlier, change)[-CHANGES_KEPT:])

    def with_record(self, record: Record) -> FrameManifest:
        """Return the same frame as confirmed by a later write that found nothing to alter."""
        return replace(
            self,
            sources=dict(record.sources),
            run_id=record.run_id,
            written_at=record.written_at,
            unchanged=True,
        )

    def to_json(self) -> str:
        """Write all but `unchanged`."""
        return json.dumps(
            {
                "format": FORMAT,
                "asset": self.asset,
                "symbol": self.symbol,
                "freq": self.freq,
                "rows": self.rows,
                "first": _text(self.first),
                "last": _text(self.last),
                "columns": dict(self.columns),
                "bytes": self.bytes,
                "sha256": self.sha256,
                "identity": list(self.identity),
                "blocks": list(self.blocks),
                "version": self.version,
                "digest": self.digest,
                "sources": dict(self.sources),
                "changes": [[version, _text(time), sha256] for version, time, sha256 in self.changes],
                "step_s": self.step_s,
                "run_id": self.run_id,
                "written_at": _text(self.written_at),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, content: str, *, origin: Path) -> FrameManifest:
        """Read what `to_json` wrote; raise StorageError naming `origin` for anything else."""
        try:
            manifest = cls._parsed(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"{origin} is not a manifest of ours ({type(error).__name__}: {error}); delete it together "
                "with the file beside it, and make that file again"
            ) from error
        return manifest

    @classmethod
    def _parsed(cls, raw: dict[str, Any]) -> FrameManifest:
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']!r}, expected {FORMAT}")
        blocks = tuple(raw["blocks"])
        if tree_digest(blocks) != raw["sha256"]:
            raise ValueError("its blocks do not add up to its sha256")
        return cls(
            asset=raw["asset"],
            symbol=raw["symbol"],
            freq=raw["freq"],
            rows=int(raw["rows"]),
            first=_time(raw["first"]),
            last=_time(raw["last"]),
            columns=dict(raw["columns"]),
            identity=Identity(*map(int, raw["identity"])),
            blocks=blocks,
            version=int(raw["version"]),
            digest=raw["digest"],
            sources={name: int(version) for name, version in raw["sources"].items()},
            changes=tuple(
                Change(int(version), pd.Timestamp(time), *sha256) for version, time, *sha256 in raw["changes"]
            ),
            step_s=raw.get("step_s"),
            run_id=raw["run_id"],
            written_at=datetime.fromisoformat(raw["written_at"]),
        )


def next_version(previous: FrameManifest | None, written_at: datetime) -> int:
    """Return one more than the version before; a first one starts at the seconds of its time.

    A frame that somebody deleted and that was made again must not meet a version its readers know.
    """
    return previous.version + 1 if previous else int(written_at.timestamp())


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> pd.Timestamp | None:
    return None if text is None else pd.Timestamp(text)
