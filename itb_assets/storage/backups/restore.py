"""A backup put back: into a fresh database, which is compared and only then takes the old one's name.

Until that last step, one transaction, the old database is as it was. Making backups belongs to `backup`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, StorageError
from itb_assets.storage.backups.manifest import (
    BackupManifest,
    differences,
    read_manifest,
    table_states,
)
from itb_assets.storage.backups.swap import DatabaseSwap
from itb_assets.storage.backups.tools import (
    Progress,
    Tools,
    connected,
    connection_words,
    find_tools,
    run_tool,
    server_major,
)
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.timescale import EXTENSION, Tier, probe_tier

_LOCK = 0x697464


def restore(
    file: Path,
    url: str,
    *,
    admin_url: str,
    replace: bool = False,
    progress: Progress = lambda _: None,
    settle: Callable[[sa.Connection, BackupManifest], object] = lambda *_: None,
) -> BackupManifest:
    """Put a backup into the database of `url`, whose role owns it then; return its manifest.

    `admin_url` leads to the same server as a role that makes databases, with TimescaleDB a superuser. Every
    value of every table is compared before the old database, with `replace` one that has tables, is dropped.
    `settle` may change what is true no more, in a transaction, before anybody sees it.
    Raises InputError, StorageError and DatabaseUnavailable; then the old database is as it was.
    """
    manifest = read_manifest(file)
    target, admin = database_address(url), database_address(admin_url)
    with database_errors(admin), connected(admin.set(database="postgres"), autocommit=True) as server:
        swap = DatabaseSwap(server, admin, target)
        tools = find_tools(server=server_major(server), archive=manifest.pg_dump)
        with _alone(server, swap.name):
            swap.check(manifest, replace=replace)
            progress(f"making {swap.fresh}")
            swap.make_fresh()
            try:
                _fill(swap, file, manifest, tools, progress)
                _compare(swap, manifest, progress)
                with connected(swap.address(swap.fresh)) as connection, connection.begin():
                    settle(connection, manifest)
                progress("taking the place of the old database")
                swap.exchange(manifest)
            except BaseException:
                swap.drop(swap.fresh)
                raise
            swap.drop(swap.old)
    return manifest


@contextmanager
def _alone(server: sa.Connection, name: str) -> Iterator[None]:
    """Be the only restore of a database; the server itself lets go when this process is gone."""
    taken = server.execute(
        sa.text("SELECT pg_try_advisory_lock(:key, hashtext(:name))"), {"key": _LOCK, "name": name}
    ).scalar_one()
    if not taken:
        raise DatabaseUnavailable(f"another restore of the database {name} is under way: wait for its end")
    try:
        yield
    finally:
        if not server.invalidated:
            server.exec_driver_sql("SELECT pg_advisory_unlock_all()")


def _fill(swap: DatabaseSwap, file: Path, manifest: BackupManifest, tools: Tools, progress: Progress) -> None:
    address = swap.address(swap.fresh)
    if manifest.extension:
        _prepare_extension(address, manifest)
    fill(
        address,
        file,
        program=tools.program("pg_restore"),
        owner=None if manifest.extension else swap.owner,
        progress=progress,
    )
    with connected(address, autocommit=True) as connection:
        if manifest.extension:
            connection.exec_driver_sql("SELECT timescaledb_post_restore()")
        progress("gathering statistics")
        connection.exec_driver_sql("ANALYZE")


def _prepare_extension(address: sa.URL, manifest: BackupManifest) -> None:
    with connected(address, autocommit=True) as connection:
        # the first statement of the session: no other version of the library may have been loaded
        connection.exec_driver_sql(f"CREATE EXTENSION {EXTENSION} VERSION '{manifest.extension}'")
        tier = probe_tier(connection)
        if tier < Tier.named(manifest.tier):
            raise StorageError(
                f"the backup is of TimescaleDB under its {manifest.tier} licence, the server runs it under "
                f"{tier.label}: start it with timescaledb.license = 'timescale'"
            )
        connection.exec_driver_sql("SELECT timescaledb_pre_restore()")


def fill(address: sa.URL, file: Path, *, program: str, owner: str | None, progress: Progress) -> None:
    """Have pg_restore fill a database; without an owner, tables belong to whom the backup says.

    One job: the catalogue of TimescaleDB does not survive several. Rights are left out, the next migration
    gives them to the roles there are.
    """
    words, variables = connection_words(address)
    command = [program, "--exit-on-error", "--no-password", "--no-privileges", "--dbname", words]
    command += [] if owner is None else ["--no-owner", f"--role={owner}"]
    started = time.monotonic()
    run_tool(
        [*command, str(file)],
        variables,
        watch=lambda: progress(f"restoring: {time.monotonic() - started:.0f} s"),
    )


def _compare(swap: DatabaseSwap, manifest: BackupManifest, progress: Progress) -> None:
    with connected(swap.address(swap.fresh)) as connection:
        found = differences(manifest.tables, table_states(connection, progress))
    if found:
        raise StorageError(
            f"what was restored is not what was backed up: {'; '.join(found)}; the old database is as it "
            "was. Compare the versions of both servers, take another backup"
        )
