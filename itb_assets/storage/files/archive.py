"""Frames that the database has taken over, kept as compressed files: archived, listed, restored, pruned.

Beside each lies its sidecar, put down before the compressed file takes its name: what has no compressed file
was never archived, and the frame is removed only when both are there and were read back. How bytes are
compressed belongs to `compressed`, which frames are archived and when to the storage phases.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from itb_assets.errors import InputError, StorageError
from itb_assets.storage.disk.atomic import (
    ensure_folder,
    remove_stray_files,
    storage_errors,
    sync_folder,
    temporary_file,
    write_whole,
)
from itb_assets.storage.disk.compressed import SUFFIX, Content, compress, content_of, decompress
from itb_assets.storage.files.commit import commit, manifest_path, open_described, recover
from itb_assets.storage.files.manifest import FrameManifest, Identity
from itb_assets.storage.files.sidecar import (
    Archived,
    archive_name,
    inside,
    original_of,
    read_sidecars,
    sidecar_of,
)
from itb_assets.storage.layout import Layout

MAX_KEEP_DAYS = 36_500

__all__ = [
    "Archived",
    "archive_frame",
    "archived",
    "check_archived",
    "damaged_archives",
    "prune_archives",
    "restore_frame",
]


def archive_frame(layout: Layout, path: Path, *, now: datetime) -> Archived:
    """Compress a frame, read the copy back, then remove the frame and its manifest; return the copy.

    The caller holds the market's lock. May be called again after it was killed at any moment: a frame that is
    gone already gives its newest copy. The day of `now` in UTC names the folder.

    Raises StorageFull and StorageError, after which the frame is as it was: also for one that its manifest
    does not describe, because nobody could restore it.
    """
    original = original_of(layout, path)
    file = layout.archive_dir / now.astimezone(UTC).date().isoformat() / archive_name(original)
    with storage_errors(file):
        if path.parent.is_dir():
            recover(path)
        found = open_described(path)
        if found is None:
            return _gone_already(layout, path, original)
        descriptor, manifest = found
        opened = Identity.of(os.fstat(descriptor))
        try:
            _forget_unfinished(layout, original, manifest)
            kept = _kept_already(layout, file, original, manifest)
            kept = kept or _compressed(layout, descriptor, original, manifest, now)
            if Identity.of(path.stat()) != opened:
                raise StorageError(
                    f"{path} was changed outside while it was archived: it is left as it lies, its earlier "
                    f"content is in {kept.file}; see who writes it, then archive it again"
                )
        finally:
            os.close(descriptor)
        _remove_frame(path)
        return kept


def archived(layout: Layout) -> tuple[Archived, ...]:
    """Return every archived frame, the newest last; those that cannot be told are in `damaged_archives`."""
    found = (entry for entry in read_sidecars(layout) if isinstance(entry, Archived) and entry.file.is_file())
    return tuple(sorted(found, key=_age))


def damaged_archives(layout: Layout) -> tuple[str, ...]:
    """Return what is wrong in the archive, as far as it shows without reading the compressed files.

    `check_archived` reads one of those.
    """
    problems = []
    for entry in read_sidecars(layout):
        if isinstance(entry, StorageError):
            problems.append(str(entry))
        elif not entry.file.is_file():
            problems.append(
                f"{entry.sidecar} has no {entry.file.name} beside it: {entry.original} was not archived to "
                "its end, archive it again, or somebody removed the file, restore another archive"
            )
    files = layout.archive_dir.glob(f"*/*/*/*/*{SUFFIX}")
    problems += [
        f"{file} has no {sidecar_of(file).name} beside it, which says what it is: put that back, or unpack "
        "the file by hand with `zstd -d`"
        for file in sorted(files)
        if not sidecar_of(file).is_file()
    ]
    return tuple(problems)


def check_archived(frame: Archived) -> None:
    """Read a compressed file through; raise StorageError naming it unless it is what was archived."""
    _compare(frame, content_of(frame.file, limit=frame.size))


def restore_frame(
    layout: Layout, archived: Archived, *, to: Path | None = None, replace: bool = False
) -> Path:
    """Put a frame and its manifest back where they were, or below another folder; return the frame's path.

    The copy stays in the archive. The caller holds the market's lock, unless `to` is a folder that nobody
    else writes. May be called again after it was killed: the same frame there already is left as it lies.

    Raises InputError for another frame there, unless `replace`; StorageError for a damaged copy and
    StorageFull, after which what was there before is still there.
    """
    root = layout.root if to is None else to
    path = inside(root, root / archived.original)
    with storage_errors(path, needed=archived.size):
        if path.parent.is_dir() and _is_there(path, archived, replace=replace):
            return path
        ensure_folder(path.parent)
        with temporary_file(path) as temporary:
            _compare(archived, decompress(archived.file, temporary, limit=archived.size))
            identity = Identity.of(temporary.stat())
            commit(path, temporary, dataclasses.replace(archived.manifest, identity=identity))
    return path


def prune_archives(
    layout: Layout, *, keep_days: int, now: datetime, dry_run: bool = False
) -> tuple[Archived, ...]:
    """Remove what was archived more than `keep_days` days before `now`, and return it, oldest first.

    What cannot be told (see `damaged_archives`) is left as it lies. `dry_run` removes nothing.
    """
    if not 0 <= keep_days <= MAX_KEEP_DAYS:
        raise InputError(f"{keep_days} days are not valid: expected 0 to {MAX_KEEP_DAYS}")
    before = now.astimezone(UTC) - timedelta(days=keep_days)
    told = (entry for entry in read_sidecars(layout) if isinstance(entry, Archived))
    expired = sorted((entry for entry in told if entry.archived_at < before), key=_age)
    removed = tuple(entry for entry in expired if entry.file.is_file())
    if dry_run:
        return removed
    for entry in expired:
        with storage_errors(entry.file):
            entry.file.unlink(missing_ok=True)
            sync_folder(entry.file.parent)  # a file without its sidecar would be left for ever
            entry.sidecar.unlink(missing_ok=True)
    with storage_errors(layout.archive_dir):
        _tidy(layout.archive_dir, before=before.date().isoformat())
    return removed


def _compressed(
    layout: Layout, descriptor: int, original: Path, manifest: FrameManifest, now: datetime
) -> Archived:
    """Write the copy and its sidecar under a name of its own, and read it back before it takes that name."""
    day = layout.archive_dir / now.astimezone(UTC).date().isoformat()
    names = (inside(layout.root, day / archive_name(original, number)) for number in count(1))
    file = next(name for name in names if not (os.path.lexists(name) or os.path.lexists(sidecar_of(name))))
    sidecar = sidecar_of(file)
    with storage_errors(file, needed=manifest.bytes), temporary_file(file) as temporary:
        ensure_folder(file.parent)
        for name in (file, sidecar):
            remove_stray_files(name)
        content = compress(descriptor, temporary)
        if content.blocks != manifest.blocks:
            raise StorageError(
                f"{layout.root / original} is damaged: its bytes are not those of sha256 {manifest.sha256}; "
                "it is not archived, make it again"
            )
        if content_of(temporary, limit=content.size) != content:
            raise StorageError(f"{file} did not read back as it was written: check the disk, and try again")
        frame = Archived(file, original, content.size, content.sha256, now.astimezone(UTC), manifest)
        _take_name(temporary, frame)
    return frame


def _take_name(temporary: Path, frame: Archived) -> None:
    """Put down the sidecar, then the file: what has no file was never archived."""
    try:
        write_whole(frame.sidecar, frame.to_json().encode())
        sync_folder(frame.sidecar.parent)
        temporary.replace(frame.file)
    except BaseException:
        with suppress(FileNotFoundError):
            frame.sidecar.unlink()
        raise
    sync_folder(frame.file.parent)


def _kept_already(layout: Layout, file: Path, original: Path, manifest: FrameManifest) -> Archived | None:
    """Return a sound copy that a killed call made on the same day."""
    for entry in read_sidecars(layout, day=file.relative_to(layout.archive_dir).parts[0], original=original):
        if isinstance(entry, Archived) and entry.manifest == manifest:
            with suppress(StorageError):
                check_archived(entry)
                return entry
    return None


def _gone_already(layout: Layout, path: Path, original: Path) -> Archived:
    """Finish what was killed after the frame was removed, and return its newest copy."""
    found = read_sidecars(layout, original=original)
    copies = sorted((e for e in found if isinstance(e, Archived) and e.file.is_file()), key=_age)
    beside = manifest_path(path)
    if beside.is_file():
        manifest = FrameManifest.from_json(beside.read_text("utf-8"), origin=beside)
        copies = [copy for copy in copies if copy.manifest == manifest]
    if not copies:
        raise StorageError(f"{path} does not exist and is not in the archive: there is nothing to archive")
    check_archived(copies[-1])
    _remove_frame(path)
    return copies[-1]


def _forget_unfinished(layout: Layout, original: Path, manifest: FrameManifest) -> None:
    """Remove the sidecars of killed calls: the frame that they speak of is still there."""
    for entry in read_sidecars(layout, original=original):
        if isinstance(entry, Archived) and entry.manifest == manifest and not entry.file.exists():
            entry.sidecar.unlink()


def _remove_frame(path: Path) -> None:
    """Remove the file first: a manifest alone is what remains of a frame that somebody deleted."""
    for name in (path, manifest_path(path)):
        if os.path.lexists(name):
            name.unlink()
            sync_folder(path.parent)


def _is_there(path: Path, archived: Archived, *, replace: bool) -> bool:
    """Return whether this very frame lies there; raise InputError where another one does."""
    recover(path)
    if not os.path.lexists(path):
        return False
    with suppress(StorageError):
        found = open_described(path)
        if found:
            os.close(found[0])
            if dataclasses.replace(found[1], identity=archived.manifest.identity) == archived.manifest:
                return True
    if not replace:
        raise InputError(
            f"{path} is there already and is not what was archived: restore to another folder (--to), or "
            "replace it (--replace)"
        )
    return False


def _compare(frame: Archived, content: Content) -> None:
    if content != (frame.size, frame.sha256, frame.manifest.blocks):
        raise StorageError(
            f"{frame.file} is damaged: it holds {content.size:,} bytes of sha256 {content.sha256}, expected "
            f"{frame.size:,} of {frame.sha256}; restore another archive of {frame.original}"
        )


def _age(frame: Archived) -> tuple[datetime, int, Path]:
    """Order by time; of one frame's copies at one time a later number makes a longer name, or a greater."""
    return (frame.archived_at, len(frame.file.name), frame.file)


def _tidy(folder: Path, *, before: str) -> None:
    """Remove what killed calls of earlier days left, and folders that are empty now."""
    days = [day for day in folder.glob("????-??-??") if day.name < before and day.is_dir()]
    for day in days:
        for stray in day.glob("*/*/*/.*.tmp-*"):
            stray.unlink(missing_ok=True)
        for parent, _, _ in os.walk(day, topdown=False):
            with suppress(OSError):  # it is not empty
                Path(parent).rmdir()
