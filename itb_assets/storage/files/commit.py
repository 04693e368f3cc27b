"""How a data file and its manifest change together, although they are two names in a folder.

A writer puts down the manifest to come, renames the data, then renames the manifest. Whatever moment it is
killed at, one of the two manifests describes the data: a reader takes that one, the next writer tidies up.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from itb_assets.errors import StorageError
from itb_assets.storage.disk.atomic import remove_stray_files, sync_folder, write_whole
from itb_assets.storage.disk.digest import hash_blocks
from itb_assets.storage.files.manifest import FrameManifest, Identity

_ATTEMPTS = 5


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a data file lies."""
    return path.with_name(f".{path.name}.manifest.json")


def open_described(path: Path) -> tuple[int, FrameManifest] | None:
    """Open a data file with the manifest that describes it; None where there is no such file.

    A writer may be between its renames, so a mismatch is looked at again before the file is hashed.
    Raises StorageError when no manifest describes the content.
    """
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            manifest = _describing(descriptor, path, by_content=attempt == _ATTEMPTS - 1)
        except BaseException:
            os.close(descriptor)
            raise
        if manifest:
            return descriptor, manifest
        os.close(descriptor)
    raise StorageError(
        f"{path} was changed outside: its content is not what {manifest_path(path).name} says; "
        "delete it and make it again, or put the original back"
    )


def recover(path: Path) -> FrameManifest | None:
    """Finish or undo what a killed writer of `path` left, and return the manifest in force, if there is one.

    The caller holds the market's lock.
    """
    coming = _next_path(path)
    for name in (path, manifest_path(path), coming):
        remove_stray_files(name)
    if coming.exists():
        if _is_described(path, _load(coming)):
            coming.replace(manifest_path(path))
        else:
            coming.unlink()
    return _load(manifest_path(path))


def commit(path: Path, temporary: Path, manifest: FrameManifest) -> None:
    """Put a finished, synced temporary file and its manifest in place."""
    coming = _next_path(path)
    try:
        write_whole(coming, manifest.to_json().encode())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            coming.unlink()
        raise
    coming.replace(manifest_path(path))
    sync_folder(path.parent)


def confirm(path: Path, manifest: FrameManifest) -> None:
    """Replace the manifest of a data file that stays as it is."""
    write_whole(manifest_path(path), manifest.to_json().encode())
    sync_folder(path.parent)


def _next_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.manifest.next.json")


def _load(path: Path) -> FrameManifest | None:
    try:
        content = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    return FrameManifest.from_json(content, origin=path)


def _describing(descriptor: int, path: Path, *, by_content: bool) -> FrameManifest | None:
    identity = Identity.of(os.fstat(descriptor))
    candidates = [m for m in (_load(manifest_path(path)), _load(_next_path(path))) if m]
    if not candidates and by_content:
        raise StorageError(
            f"{path} has no manifest {manifest_path(path).name}: it was not written by this project; "
            "move it away"
        )
    for manifest in candidates:
        if manifest.identity == identity:
            return manifest
    likely = [m for m in candidates if m.bytes == identity.size] if by_content else []
    blocks = hash_blocks(descriptor) if likely else ()
    return next((m for m in likely if m.blocks == blocks), None)


def _is_described(path: Path, manifest: FrameManifest | None) -> bool:
    try:
        identity = Identity.of(path.stat())
    except FileNotFoundError:
        return False
    if manifest is None or manifest.bytes != identity.size:
        return False
    return manifest.identity == identity or manifest.blocks == hash_blocks(path)
