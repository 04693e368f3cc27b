"""Commands about the database: `itb db start|stop|status`, `init`, `migrate`, `sql`, `columns`.

What is asked of it is decided in the orchestration room; backup and restore belong to `backup`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from itb_assets.cli import backup
from itb_assets.cli.output import JsonOption, console, emit, errors
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.instance import (
    DATABASES,
    embedded_server,
    register_secrets,
    running_database,
)
from itb_assets.orchestration.policies import policies_of
from itb_assets.orchestration.schema import (
    DEFAULT_ROLES,
    brought_up,
    known_columns,
    looked_at,
    provide,
    redefined,
    wanted_steps,
)
from itb_assets.settings import Settings, load_settings
from itb_assets.storage.database.administration import NEEDS, TO_DO, Step
from itb_assets.storage.database.errors import database_address
from itb_assets.storage.database.schema_report import SchemaReport, describe
from itb_assets.storage.database.schema_script import as_text, script
from itb_assets.storage.database.timescale import Tier
from itb_assets.storage.server.embedded import EmbeddedPostgres, ServerStatus

db_app = typer.Typer(no_args_is_help=True, help="The database: server, roles, schema, columns.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    backup.register(db_app)
    app.add_typer(db_app, name="db")


@db_app.command("start")
def db_start() -> None:
    """Start the embedded PostgreSQL and leave it running.

    Example: `itb db start`
    """
    server = embedded_server(load_settings())
    started = server.start()
    for name in DATABASES:
        server.ensure_database(name)
    console.print(f"{'started' if started else 'was running already'}: {_embedded(server)}", soft_wrap=True)


@db_app.command("stop")
def db_stop() -> None:
    """Stop the embedded PostgreSQL.

    Example: `itb db stop`
    """
    console.print("stopped" if embedded_server(load_settings()).stop() else "was not running")


@db_app.command("init")
def db_init(*, dry_run: DryRun = False, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Make roles, databases and the extension where that is allowed, then the schema.

    Set `ITB_ADMIN_DATABASE_URL` to an administrator's URL for this one command. What that role may not do
    either is printed as SQL, with exit code 1.

    Example: `itb db init --dry-run`
    """
    settings = load_settings()
    register_secrets(settings)
    policies_of(settings)  # what cannot be meant is told before anything is made
    rows, left = _provided(settings, dry_run=dry_run)
    if any(row["state"] == TO_DO for row in rows):
        rows.append({"what": "schema", "state": TO_DO})
    elif not left:
        rows += _brought_up(settings, dry_run=dry_run)
    emit(rows, title="Database", as_json=as_json, empty="everything is there")
    if left:
        errors.print("an administrator has to run this first, in the database postgres:", style="yellow")
        for step in left:
            errors.print(f"{step.shown};", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _provided(settings: Settings, *, dry_run: bool) -> tuple[list[dict[str, Any]], list[Step]]:
    """Return a row a step, and the steps that are left to an administrator."""
    if settings.database_url is None:
        return [], []
    done = provide(settings, dry_run=dry_run)
    rows = [{"what": one.step.what, "state": one.state} for one in done]
    return rows, [one.step for one in done if one.state == NEEDS]


def _brought_up(settings: Settings, *, dry_run: bool) -> list[dict[str, Any]]:
    if dry_run and settings.database_url is None and not embedded_server(settings).status().running:
        return [{"what": "embedded server", "state": TO_DO}, {"what": "schema", "state": TO_DO}]
    with running_database(settings) as ready:
        changes = brought_up(ready, dry_run=dry_run)
    return [{"what": f"migration {change.name}", "state": change.state} for change in changes]


@db_app.command("migrate")
def db_migrate(*, dry_run: DryRun = False, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Bring tables, grants and policies to what this version and the settings ask for.

    Every run does so too; this is for doing it ahead, such as before a deployment.

    Example: `itb db migrate --dry-run`
    """
    settings = load_settings()
    register_secrets(settings)
    with running_database(settings) as ready:
        changes = brought_up(ready, dry_run=dry_run)
    rows = [asdict(change) for change in changes]
    emit(rows, title="Migrations", as_json=as_json, empty="the schema is up to date")


@db_app.command("status")
def db_status(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Show server, tier, schema, tables, policies and their failures; exit code 1 where something is wrong.

    Example: `itb db status`
    """
    settings = load_settings()
    register_secrets(settings)
    server = embedded_server(settings)
    found = looked_at(settings)
    if as_json:
        embedded = asdict(server.status()) | {"running": server.status().running}
        typer.echo(json.dumps(embedded | {"database": _as_json(found)}, default=str, indent=2))
    else:
        _show_status(settings, server, found)
    if found is not None and any(job["last_failure"] for job in found.jobs):
        raise typer.Exit(1)


def _show_status(settings: Settings, server: EmbeddedPostgres, found: SchemaReport | None) -> None:
    if settings.database_url is None:
        console.print(_embedded(server), soft_wrap=True)
    if found is None:
        return
    console.print(describe(found.database, found.state), soft_wrap=True)
    if found.role_problem:
        console.print(f"role: {found.role_problem}", style="yellow", soft_wrap=True)
    chunked = found.database.tier > Tier.POSTGRES
    rows = [_sized(row, chunked=chunked) for row in found.tables]
    emit(rows, title="Tables", as_json=False, empty="no table yet: `itb db migrate` makes them")
    if found.jobs:
        emit(found.jobs, title="Policies", as_json=False, empty="")


def _sized(row: dict[str, Any], *, chunked: bool) -> dict[str, Any]:
    sizes = {"table": row["table"], "mb": row["bytes"] / 1e6}
    if not chunked:
        return sizes
    before, after = row["bytes_before"], row["bytes_after"]
    return sizes | {
        "chunks": row["chunks"],
        "compressed": row["compressed"],
        "mb_before": None if before is None else before / 1e6,
        "mb_after": None if after is None else after / 1e6,
        "saved_pct": None if not before else 100 * (1 - after / before),
    }


def _as_json(found: SchemaReport | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "server": found.database.server,
        "tier": found.database.tier.label,
        "timescaledb": found.database.extension,
        "missing": found.database.tier.missing,
        "role": found.role,
        "role_problem": found.role_problem,
        "schema": found.state.number,
        "pending": [migration.name for migration in found.state.pending],
        "waiting_for_tier": [migration.name for migration in found.state.waiting],
        "tables": list(found.tables),
        "policies": list(found.jobs),
    }


@db_app.command("sql")
def db_sql(
    *,
    tier: Annotated[
        str, typer.Option(help="For which database: postgres, apache or community.")
    ] = "community",
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Print roles, extension, schema and policies as a script for psql, to review or to run.

    It connects nowhere. Passwords are psql's variables: `psql --set itb_password=...`.

    Example: `itb db sql --tier postgres`
    """
    settings = load_settings()
    database, role = _names(settings)
    wanted = wanted_steps(settings)
    parts = list(script(wanted, Tier.named(tier), policies_of(settings), database=database, role=role))
    if as_json:
        emit([asdict(part) for part in parts], title="", as_json=True, empty="")
    else:
        typer.echo(as_text(parts))


def _names(settings: Settings) -> tuple[str, str]:
    if settings.database_url is None:
        return DEFAULT_ROLES[0].database, DEFAULT_ROLES[0].role
    address = database_address(settings.database_url.get_secret_value())
    return str(address.database), str(address.username)


@db_app.command("columns")
def db_columns(
    *,
    redefine: Annotated[
        str | None,
        typer.Option(help="Take the strategies' definition of this name from now on; the old one is kept."),
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List the columns of features and labels: their names, what defines them, when they were first seen.

    Example: `itb db columns --redefine close_SMA_5`
    """
    settings = load_settings()
    register_secrets(settings)
    with running_database(settings) as ready:
        rows: Iterable[dict[str, Any]]
        if redefine is None:
            rows = known_columns(ready)
        else:
            platform = build_platform(settings)
            definitions = {"features": platform.features.definitions, "labels": platform.labels.definitions}
            rows = redefined(ready, redefine, definitions)
    emit(list(rows), title="Columns", as_json=as_json, empty="no column yet: the first run adds them")


def _embedded(server: EmbeddedPostgres) -> str:
    status: ServerStatus = server.status()
    if not status.running:
        return f"not running; its data lies in {status.data_dir}"
    return f"running (process {status.pid}); psql -h {status.socket_dir} -U itb itb"
