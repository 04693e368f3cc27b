"""The commands `itb db backup` and `itb db restore`: a database to one file and back.

How that is done belongs to the storage room.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from pydantic import SecretStr

from itb_assets.cli.output import JsonOption, emit, errors
from itb_assets.errors import InputError
from itb_assets.orchestration.alerts.restore import settle_dagsters, settle_ours
from itb_assets.orchestration.instance import register_secrets, running_database
from itb_assets.settings import Settings, load_settings
from itb_assets.storage.backups.backup import back_up
from itb_assets.storage.backups.manifest import BackupManifest, read_manifest
from itb_assets.storage.backups.restore import restore
from itb_assets.storage.backups.tools import Progress
from itb_assets.storage.server.embedded import USER

DATA, DAGSTER = "itb", "dagster"


def register(db_app: typer.Typer) -> None:
    """Add the commands to `itb db`."""
    db_app.command("backup")(db_backup)
    db_app.command("restore")(db_restore)


def db_backup(
    file: Annotated[
        Path | None, typer.Argument(help="File to write; unset: one named by the time, in DATA_ROOT/backups.")
    ] = None,
    *,
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Dagster's own database: runs, events, schedules.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Write the database to one file, as it is at this moment; everything may go on meanwhile.

    Example: `itb db backup /mnt/other-disk/itb.dump`

    The file is pg_dump's custom format. FILE.json beside it says where it is from, and how many rows of what
    content each table had; keep the two together, on another disk or machine. A file that exists is never
    written over, and one that was not finished never has that name.

    Models, settings and, outside of phase `db`, frames are files below the data root: back them up too.
    """
    settings = load_settings()
    register_secrets(settings)
    now = datetime.now(UTC)
    kind = DAGSTER if dagster else DATA
    file = file or settings.data_root / "backups" / f"{kind}-{now:%Y%m%dT%H%M%SZ}.dump"
    with running_database(settings) as ready, _told() as progress:
        manifest = back_up(_url(ready, kind), file, kind=kind, now=now, progress=progress)
    _show(manifest, file, title="Backed up to", as_json=as_json)


def db_restore(
    file: Annotated[Path, typer.Argument(help="File of `itb db backup`, its FILE.json beside it.")],
    *,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Drop the database that is there, once the restored one is whole."),
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Put a backup back as the database it was taken of; stop what uses that database first.

    Example: `itb db restore /mnt/other-disk/itb.dump --replace`

    It is restored into a fresh database beside the old one, every value of every table is compared with
    FILE.json, and only then the two change names, in one transaction. Whatever happens before that, a kill
    or a full disk included, leaves the old database as it was. Room for both is needed meanwhile.

    Alerts that waited when the backup was made are given up, and one message says how many: `itb alerts
    replay` lists them. Of what happened since, each is told as a possible repeat.

    A server of your own: set `ITB_ADMIN_DATABASE_URL` for this command to a role that may make databases;
    with TimescaleDB a superuser, and the server has to offer the version that the backup was made of.

    Exit codes: 2 the database is not empty, or a role lacks rights; 3 it is in use; 4 the file is damaged or
    of another version.
    """
    settings = load_settings()
    register_secrets(settings)
    if settings.admin_database_url is not None:
        register_secrets(settings.model_copy(update={"database_url": settings.admin_database_url}))
    kind = read_manifest(file).kind
    with running_database(settings) as ready, _told() as progress:
        url = _url(ready, kind)
        admin = _admin_url(settings, url)

        def settle(connection: sa.Connection, found: BackupManifest) -> None:
            if kind == DATA:
                settle_ours(connection, settings, found.made_at)

        manifest = restore(file, url, admin_url=admin, replace=replace, progress=progress, settle=settle)
        if kind == DAGSTER:
            settle_dagsters(ready)
    _show(manifest, file, title="Restored from", as_json=as_json)


def _url(ready: Settings, kind: str) -> str:
    url = ready.dagster_url if kind == DAGSTER else ready.database_url
    if url is None:
        raise InputError(
            "Dagster keeps its records in the database of the data: leave out --dagster, or set "
            "ITB_DAGSTER_URL"
        )
    return url.get_secret_value()


def _admin_url(settings: Settings, url: str) -> str:
    """Return who restores: the one that is set, the embedded server's superuser, or the owner itself."""
    admin: SecretStr | None = settings.admin_database_url
    if admin is not None:
        return admin.get_secret_value()
    if settings.database_url is not None:
        return url
    embedded = sa.make_url(url).update_query_dict({"user": USER})
    return embedded.render_as_string(hide_password=False)


@contextmanager
def _told() -> Iterator[Progress]:
    """Yield what shows the step under way on a terminal; elsewhere nothing is shown."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status("connecting") as status:
        yield status.update


def _show(manifest: BackupManifest, file: Path, *, title: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file.absolute())} | asdict(manifest), indent=2))
        return
    rows = [{"table": name, "rows": table.rows} for name, table in manifest.tables.items()]
    rows.append({"table": f"{len(rows)} tables", "rows": manifest.rows})
    emit(rows, title=f"{title} {file}", as_json=False, empty="")
    origin = f"PostgreSQL {manifest.server}" + (
        f", TimescaleDB {manifest.extension}" if manifest.extension else ""
    )
    errors.print(
        f"{manifest.bytes / 1e6:,.1f} MB of {manifest.made_at}, {origin}, schema {manifest.schema_number}, "
        f"sha256 {manifest.sha256[:12]}",
        highlight=False,
        soft_wrap=True,
    )
