"""A database as one file: what pg_dump makes of a single moment, and a manifest of that moment beside it.

Putting it back belongs to `restore`, the programs to `tools`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psutil
import sqlalchemy as sa

from itb_assets.errors import InputError
from itb_assets.storage.backups.manifest import (
    BackupManifest,
    manifest_path,
    schema_number,
    sha256_of,
    table_owners,
    table_states,
)
from itb_assets.storage.backups.tools import (
    Progress,
    connected,
    connection_words,
    find_tools,
    run_tool,
    server_major,
)
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.timescale import probe_database
from itb_assets.storage.disk.atomic import (
    ensure_folder,
    storage_errors,
    sync_file,
    sync_folder,
    temporary_file,
    write_whole,
)

_STRAY = re.compile(r"\.tmp-(\d+)-")


def back_up(
    url: str, file: Path, *, kind: str, now: datetime, progress: Progress = lambda _: None
) -> BackupManifest:
    """Write a database to a file that is not there yet; `kind` says which of ours it is.

    Dump and manifest are of one snapshot, and others go on reading and writing meanwhile. File and manifest
    appear when complete or not at all. Raises InputError where the file exists, DatabaseUnavailable,
    StorageFull, and StorageError, also for a server that is newer than every pg_dump here.
    """
    address, file = database_address(url), file.absolute()
    if file.exists():
        raise InputError(f"{file} exists already: name another file, or remove that one")
    with storage_errors(file):
        ensure_folder(file.parent)
        _remove_strays(file)
    with temporary_file(file) as temporary:
        with database_errors(address), connected(address) as connection:
            made = _dumped(connection, address, temporary, progress)
            made = replace(made, kind=kind, made_at=now.isoformat(timespec="seconds"))
        progress("making it last")
        with storage_errors(file):
            sync_file(temporary)
            manifest = replace(made, sha256=sha256_of(temporary), bytes=temporary.stat().st_size)
            # the manifest first: one without its file is no backup, and the next one writes over it
            write_whole(manifest_path(file), manifest.to_json().encode())
            temporary.rename(file)
            sync_folder(file.parent)
    return manifest


def _dumped(connection: sa.Connection, address: sa.URL, file: Path, progress: Progress) -> BackupManifest:
    """Dump what a snapshot shows and return what the same snapshot tells about it."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    snapshot = str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one())
    server, found = server_major(connection), probe_database(connection)
    owners = table_owners(connection)
    tools = find_tools(server=server)
    dump(address, file, program=tools.program("pg_dump"), snapshot=snapshot, progress=progress)
    return BackupManifest(
        kind="",
        database=str(address.database),
        owners=tuple(sorted(set(owners.values()))),
        made_at="",
        server=server,
        tier=found.tier.label,
        extension=found.extension,
        schema_number=schema_number(connection),
        pg_dump=tools.major,
        sha256="",
        bytes=0,
        tables=table_states(connection, progress),
    )


def dump(address: sa.URL, file: Path, *, program: str, snapshot: str | None, progress: Progress) -> None:
    """Write pg_dump's custom format to a file; raise StorageFull or StorageError with what it said.

    Its warnings of circular foreign keys among TimescaleDB's own tables mean nothing: triggers are off while
    they are restored.
    """
    words, variables = connection_words(address)
    command = [program, "--format=custom", "--no-password", "--file", str(file), "--dbname", words]
    command += [] if snapshot is None else [f"--snapshot={snapshot}"]

    def watch() -> None:
        size = file.stat().st_size if file.exists() else 0
        progress(f"dumping: {size / 1e6:,.1f} MB")

    run_tool(command, variables, watch=watch)


def _remove_strays(file: Path) -> None:
    """Remove what backups to this name left that were killed."""
    for path in file.parent.glob(f".{file.name}.tmp-*"):
        found = _STRAY.search(path.name)
        if found is not None and not psutil.pid_exists(int(found[1])):
            path.unlink(missing_ok=True)
