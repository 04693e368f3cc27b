"""Commands about health: `itb verify` and `itb doctor`.

What is compared and asked, and what each finding means, belongs to orchestration.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, emit
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.doctor import diagnose
from itb_assets.orchestration.instance import running_database
from itb_assets.orchestration.verify import verify as verify_all
from itb_assets.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(verify)
    app.command()(doctor)


def verify(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also list what is whole.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend frames from the better side, file or database.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Compare files and tables with their records and with each other, and models with their digests.

    Example: `itb verify --repair`

    Exit code 1 when anything differs. Frames are read whole and compared value by value. With `--repair` a
    file is made again from the database or the database loaded again from the file, whichever is whole or,
    of two, later; each line says which. Models are not mended: train them again.
    """
    settings = load_settings()
    found = build_platform(settings)
    if found.phase != "db" and not found.layout.markets() and not found.layout.models():
        emit([], title="Verified", as_json=as_json, empty=f"nothing is stored in {settings.data_root}")
        return
    with running_database(settings) as ready, closing(replace(found, settings=ready)) as platform:
        findings = list(verify_all(platform, repair=repair))
    rows = [asdict(finding) for finding in findings if everything or finding.problem]
    emit(rows, title="Verified", as_json=as_json, empty=f"{len(findings)} frames and models are whole")
    if any(finding.bad for finding in findings):
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
