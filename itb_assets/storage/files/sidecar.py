"""The record beside every archived frame: what it was, when it was archived, how to tell that it is whole.

Making, reading and removing the compressed files belongs to the archive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from itb_assets.domain.markets import Market
from itb_assets.errors import InvalidMarket, StorageError
from itb_assets.storage.disk.compressed import SUFFIX
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.layout import Layout

FORMAT = 1
SIDECAR_SUFFIX = ".json"
_FOLDER = re.compile(r"[a-z][a-z0-9_]{0,30}")
_FRAME = re.compile(r"[a-z][a-z0-9_]{0,30}\.(?:csv|parquet)")
_ARCHIVE = re.compile(r"([a-z][a-z0-9_]{0,30})(?:\.[1-9][0-9]{0,8})?(\.(?:csv|parquet))\.zst")
_PARTS = 4  # SYMBOL/FREQ/folder/file


@dataclass(frozen=True)
class Archived:
    """One archived frame: `file` is the compressed one, `original` where the frame lay below the data root.

    `size` and `sha256` are those of the frame's file, as `sha256sum` prints it; `manifest` is the frame's.
    """

    file: Path
    original: Path
    size: int
    sha256: str
    archived_at: datetime
    manifest: FrameManifest

    @property
    def sidecar(self) -> Path:
        """Where this record lies."""
        return sidecar_of(self.file)

    @property
    def market(self) -> Market:
        """The frame's market."""
        return Market(*self.original.parts[:2])

    @property
    def asset(self) -> str:
        """The frame's asset."""
        return self.manifest.asset

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.manifest.rows

    def to_json(self) -> str:
        """Write all but where it lies itself."""
        record = {
            "format": FORMAT,
            "path": self.original.as_posix(),
            "bytes": self.size,
            "sha256": self.sha256,
            "rows": self.rows,
            "archived_at": self.archived_at.isoformat(),
            "manifest": self.manifest.to_json(),
        }
        return json.dumps(record, indent=1)


def sidecar_of(file: Path) -> Path:
    """Return where the record of a compressed file lies."""
    return file.with_name(file.name + SIDECAR_SUFFIX)


def archive_name(original: Path, number: int = 1) -> Path:
    """Return what a frame's `number`th copy of a day is called: `data.csv.zst`, `data.2.csv.zst`."""
    stem = original.stem if number == 1 else f"{original.stem}.{number}"
    return original.with_name(f"{stem}{original.suffix}{SUFFIX}")


def original_of(layout: Layout, path: Path) -> Path:
    """Return where a frame lies below the data root; raise StorageError for what is not a market's frame."""
    try:
        original = path.relative_to(layout.root)
    except ValueError:
        original = Path()
    if not _is_frame(original):
        raise StorageError(
            f"{path} is not the file of a frame: expected SYMBOL/FREQ/folder/name.csv or .parquet below "
            f"{layout.root}"
        )
    inside(layout.root, path)
    return original


def inside(root: Path, path: Path) -> Path:
    """Return `path`; raise StorageError where it leads out of `root`."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise StorageError(
            f"{path} leads out of {root} to {path.resolve()}: remove the symbolic link, nothing was touched"
        )
    return path


def read_sidecar(layout: Layout, sidecar: Path) -> Archived:
    """Read a record; raise StorageError naming it where it is damaged or speaks of anything but its own file.

    What it says of the frame's path is not followed: it has to be what its own place says.
    """
    file = inside(layout.root, sidecar.with_suffix(""))
    try:
        raw: dict[str, Any] = json.loads(inside(layout.root, sidecar).read_text("utf-8"))
        return _checked(raw, file, sidecar, file.relative_to(layout.archive_dir))
    except OSError as error:
        raise StorageError(f"{sidecar} cannot be read: {error.strerror}; check its owner") from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidMarket) as error:
        raise StorageError(
            f"{sidecar} is not a record of this archive ({type(error).__name__}: {error}): nothing is "
            f"restored by it, put the right one back, or unpack {file.name} by hand with `zstd -d`"
        ) from error


def read_sidecars(
    layout: Layout, *, day: str = "*", original: Path | None = None
) -> Iterator[Archived | StorageError]:
    """Read the sidecars, of one frame or of all; an error in the place of one that is not sound."""
    frames = f"{original.parent}/{original.stem}.*" if original else "*/*/*/*"
    for sidecar in sorted(layout.archive_dir.glob(f"{day}/{frames}{SUFFIX}{SIDECAR_SUFFIX}")):
        try:
            entry = read_sidecar(layout, sidecar)
        except StorageError as error:
            yield error
        else:
            if original in (None, entry.original):
                yield entry


def _checked(raw: dict[str, Any], file: Path, sidecar: Path, place: Path) -> Archived:
    if raw["format"] != FORMAT:
        raise ValueError(f"format {raw['format']!r}, expected {FORMAT}")
    day, *folders = place.parent.parts
    named = _ARCHIVE.fullmatch(file.name)
    original = Path(*folders, f"{named[1]}{named[2]}") if named else Path()
    if raw["path"] != original.as_posix() or not _is_frame(original):
        raise ValueError(f"it says path {raw['path']!r}, its own place says {original.as_posix()!r}")
    manifest = _manifest(raw["manifest"], sidecar)
    archived_at = datetime.fromisoformat(raw["archived_at"])
    if archived_at.tzinfo is None:
        raise ValueError(f"archived_at {raw['archived_at']!r} names no time zone")
    market = Market(*original.parts[:2])
    expected = {
        "bytes": manifest.bytes,
        "rows": manifest.rows,
        "market": (manifest.symbol, manifest.freq),
        "day": archived_at.astimezone(UTC).date(),
    }
    said = {
        "bytes": raw["bytes"],
        "rows": raw["rows"],
        "market": (market.symbol, market.freq),
        "day": date.fromisoformat(day),
    }
    wrong = [f"{key} {said[key]}, expected {expected[key]}" for key in said if said[key] != expected[key]]
    if wrong:
        raise ValueError("; ".join(wrong))
    whole = int(raw["bytes"]), str(raw["sha256"])
    return Archived(file, original, *whole, archived_at.astimezone(UTC), manifest)


def _manifest(text: str, sidecar: Path) -> FrameManifest:
    try:
        return FrameManifest.from_json(text, origin=sidecar)
    except StorageError as error:  # whose advice, to delete what is beside it, is not for an archive
        raise ValueError("the manifest in it is damaged") from error


def _is_frame(path: Path) -> bool:
    """Return whether this is how a market's frame lies below a data root."""
    if len(path.parts) != _PARTS:
        return False
    try:
        Market(*path.parts[:2])
    except InvalidMarket:
        return False
    return bool(_FOLDER.fullmatch(path.parts[2]) and _FRAME.fullmatch(path.parts[3]))
