"""Commands about where frames are kept: `itb storage phase|backfill|archive`.

What a phase asks for and how rows are moved belong to orchestration, the archive's commands to `archive`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import Annotated, TypeVar

import typer
from rich.progress import track

from itb_assets.cli.archive import archive_app
from itb_assets.cli.output import JsonOption, console, emit, errors, tell_error
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.instance import register_secrets, running_database
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.storage_phase import (
    Step,
    backfill,
    check_setting,
    differences,
    move,
    needs_comparing,
    parse_phase,
    phase_rows,
    planned,
)
from itb_assets.settings import load_settings
from itb_assets.storage.phases import Phase

Item = TypeVar("Item")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]

storage_app = typer.Typer(
    no_args_is_help=True,
    help="Where frames are kept: files, tables or both.\n\n"
    "Phases, each safer to enter than the next: `files`, `dual`, `db_read`, `db`.",
)
storage_app.add_typer(archive_app, name="archive")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(storage_app, name="storage")


@storage_app.command("phase")
def storage_phase(
    target: Annotated[str, typer.Argument(help="Phase to move to; without one the phases are shown.")] = "",
    *,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show the storage phase, or move the data root to another; nothing is computed again.

    Example: `itb storage phase db_read`

    Before tables are read, every frame is compared, and a difference is a refusal: load files by `itb storage
    backfill`, mend by `itb verify --repair`. Into `db` files are archived (see `itb storage archive list`),
    out of it they are written again from the tables. Stop `itb ui` or the services first.
    """
    settings = load_settings()
    if not target:
        emit(phase_rows(build_platform(settings)), title="Storage phases", as_json=as_json, empty="")
        return
    wanted = parse_phase(target)
    platform = build_platform(settings)
    check_setting(platform, wanted)
    # the setting may name the phase that is moved to, which the root is not in yet
    current = replace(platform, settings=settings.model_copy(update={"storage_phase": None}))
    with _with_database(current) as opened:
        if dry_run:
            _show(list(planned(opened, wanted)), title=f"Would move to {wanted}", as_json=as_json)
            return
        if needs_comparing(opened.phase, wanted):
            _refuse_differences(opened, wanted)
        steps = list(_tracked(move(opened, wanted), f"moving to {wanted}"))
    _show(steps, title=f"Moved to {wanted}", as_json=as_json)
    if not as_json:
        console.print(f"storage phase: {wanted}")


@storage_app.command("backfill")
def storage_backfill(*, dry_run: DryRun = False, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Load into the tables what files hold and they lack; what is complete is left alone.

    Example: `itb storage backfill --dry-run`
    """
    with _with_database(build_platform(load_settings())) as platform:
        steps = list(_tracked(backfill(platform, dry_run=dry_run), "loading"))
    _show(steps, title="Would load" if dry_run else "Loaded", as_json=as_json)


def _refuse_differences(platform: Platform, wanted: Phase) -> None:
    bad = [finding for finding in _tracked(differences(platform), "comparing") if finding.problem]
    if not bad:
        return
    rows = [{key: value for key, value in asdict(item).items() if key != "mended"} for item in bad]
    emit(rows, title="Differences", as_json=False, empty="")
    tell_error(
        f"{len(bad)} frames are not the same in files and tables, so nothing was moved to {wanted}: load "
        "files by `itb storage backfill`, mend by `itb verify --repair`, then run this again"
    )
    raise typer.Exit(1)


def _show(steps: list[Step], *, title: str, as_json: bool) -> None:
    emit([asdict(step) for step in steps], title=title, as_json=as_json, empty="no frame had to be touched")


def _tracked(items: Iterator[Item], what: str) -> Iterator[Item]:
    """Pass items on, drawing a bar on a terminal."""
    yield from track(items, description=what, console=errors, disable=not errors.is_terminal, transient=True)


@contextmanager
def _with_database(platform: Platform) -> Iterator[Platform]:
    with running_database(platform.settings) as ready:
        register_secrets(ready)
        with closing(replace(platform, settings=ready)) as opened:
            yield opened
