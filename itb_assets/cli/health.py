"""Commands about health: `itb verify`, `itb doctor`, `itb db`."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, replace
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.doctor import diagnose
from itb_assets.orchestration.instance import DATABASES, embedded_server, running_database
from itb_assets.orchestration.verify import verify as verify_all
from itb_assets.settings import load_settings
from itb_assets.storage.embedded import EmbeddedPostgres

db_app = typer.Typer(no_args_is_help=True, help="The embedded PostgreSQL of a data root.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(verify)
    app.command()(doctor)
    app.add_typer(db_app, name="db")


def verify(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also list what is whole.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Compare every file, table and model with its record; exit code 1 when anything differs.

    Example: `itb verify --all`
    """
    settings = load_settings()
    found = build_platform(settings)
    if not found.layout.markets() and not found.layout.models():
        emit([], title="Verified", as_json=as_json, empty=f"nothing is stored in {settings.data_root}")
        return
    with running_database(settings) as ready, closing(replace(found, settings=ready)) as platform:
        findings = list(verify_all(platform))
    bad = [finding for finding in findings if finding.problem]
    rows = [asdict(finding) for finding in (findings if everything else bad)]
    emit(rows, title="Verified", as_json=as_json, empty=f"{len(findings)} files, tables and models are whole")
    if bad:
        raise typer.Exit(1)


def doctor(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Show what is configured, reachable and missing; secrets only as set or not set.

    Example: `itb doctor`
    """
    found = list(diagnose(load_settings()))
    rows = [{key: value for key, value in asdict(item).items() if key != "ok"} for item in found]
    emit(rows, title="Doctor", as_json=as_json, empty="nothing to look at")
    if not all(item.ok for item in found):
        raise typer.Exit(1)


@db_app.command("start")
def db_start() -> None:
    """Start the embedded PostgreSQL and leave it running.

    Example: `itb db start`
    """
    server = embedded_server(load_settings())
    started = server.start()
    for name in DATABASES:
        server.ensure_database(name)
    console.print(f"{'started' if started else 'was running already'}: {_status(server)}", soft_wrap=True)


@db_app.command("stop")
def db_stop() -> None:
    """Stop the embedded PostgreSQL.

    Example: `itb db stop`
    """
    console.print("stopped" if embedded_server(load_settings()).stop() else "was not running")


@db_app.command("status")
def db_status(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Say whether the embedded PostgreSQL runs.

    Example: `itb db status`
    """
    server = embedded_server(load_settings())
    if as_json:
        typer.echo(json.dumps(asdict(server.status()) | {"running": server.status().running}, default=str))
        return
    console.print(_status(server), soft_wrap=True)


def _status(server: EmbeddedPostgres) -> str:
    status = server.status()
    if not status.running:
        return f"not running; its data lies in {status.data_dir}"
    return f"running (process {status.pid}); psql -h {status.socket_dir} -U postgres itb"
