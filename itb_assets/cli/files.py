"""Files that a command is asked to write: whole or not at all, and never over another without being told.

What is in them is made elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import typer

from itb_assets.errors import InputError
from itb_assets.storage.disk.atomic import storage_errors, write_whole

ForceOption = typer.Option("--force", help="Replace a file that is there already.")


def check_new(path: Path, *, force: bool) -> None:
    """Raise InputError for a file that cannot be written there, before anything is computed for it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file in it")
    if path.exists() and not force:
        raise InputError(f"{path} is there already: name another file, or add --force to replace it")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist: create it, or name another")


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file in one step; raise InputError, StorageFull or StorageError, and leave what was there."""
    check_new(path, force=force)
    with storage_errors(path, needed=len(content)):
        write_whole(path, content)
