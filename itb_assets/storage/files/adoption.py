"""A frame's file made from the frame as it lies elsewhere, as the same version of it.

Which side is the better one is decided by whoever asks; new versions are written by `frames`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from itb_assets.storage.disk.atomic import ensure_folder, storage_errors, temporary_file
from itb_assets.storage.disk.digest import hash_blocks
from itb_assets.storage.files.commit import commit, recover
from itb_assets.storage.files.dtypes import to_polars
from itb_assets.storage.files.file_frame import format_of
from itb_assets.storage.files.manifest import FrameManifest, Identity
from itb_assets.storage.files.stored_frame import StoredFrame


def adopt(
    path: Path, stored: StoredFrame, *, before_commit: Callable[[FrameManifest], object]
) -> FrameManifest:
    """Write `stored` to `path`, over whatever lies there, with its version, sources and changes.

    `before_commit` is called with the file's manifest before the file takes its name. The caller holds the
    market's lock. Raises StorageFull and StorageError; the file is then as it was.
    """
    file_format, table = format_of(path), to_polars(stored.read())
    with storage_errors(path, needed=int(table.estimated_size())), temporary_file(path) as temporary:
        ensure_folder(path.parent)
        recover(path)
        file_format.write(table, temporary)
        manifest = replace(
            stored.manifest, identity=Identity.of(temporary.stat()), blocks=hash_blocks(temporary)
        )
        changes = tuple(
            change._replace(sha256=manifest.sha256) if change.version == manifest.version else change
            for change in manifest.changes
        )
        manifest = replace(manifest, changes=changes)
        before_commit(manifest)
        commit(path, temporary, manifest)
    return manifest
