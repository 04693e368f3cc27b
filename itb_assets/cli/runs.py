"""Commands about Dagster's own records: `itb runs prune`.

What is deleted, and what never is, belongs to the orchestration.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.orchestration.instance import running_instance
from itb_assets.orchestration.retention import Pruned, RetentionRule, prune_runs
from itb_assets.settings import load_settings

runs_app = typer.Typer(no_args_is_help=True, help="Dagster's own records of finished runs.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(runs_app, name="runs")


@runs_app.command("prune")
def runs_prune(
    *,
    older_than: Annotated[
        int | None, typer.Option(min=1, help="Age in days; default ITB_RUN_RETENTION_DAYS.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which would be deleted, and delete nothing.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Delete Dagster's records of old finished runs: events, check results, logs. Market data is not touched.

    Example: `itb runs prune --older-than 14 --dry-run`

    Kept are runs that hold the newest materialization, observation or check result of a partition, and
    failures younger than 90 days. `itb ui` and docker compose do this every night by themselves.
    """
    settings = load_settings()
    days = settings.run_retention_days if older_than is None else older_than
    if days == 0 and not as_json:
        console.print("ITB_RUN_RETENTION_DAYS is 0, runs are kept for ever: pass --older-than DAYS")
        return
    done = Pruned()
    if days:
        with running_instance(settings) as (_, instance):
            done = prune_runs(instance, RetentionRule(days), dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(_plain(done, days=days, dry_run=dry_run), indent=2))
        return
    rows = [
        {"table": name, "rows": weight.rows, "MB": round(weight.bytes / 1e6, 1)}
        for name, weight in sorted(done.freed.items())
        if weight.rows
    ]
    title = "Would be freed" if dry_run else "Freed for new records"
    emit(rows, title=title, as_json=False, empty="nothing to delete")
    console.print(
        f"{done.looked_at:,} runs older than {days} days: {done.deleted:,} "
        f"{'would be deleted' if dry_run else 'deleted'}, {done.kept_newest:,} kept because they hold "
        "the newest of a partition"
    )


def _plain(done: Pruned, *, days: int, dry_run: bool) -> dict[str, object]:
    return {
        "older_than_days": days,
        "dry_run": dry_run,
        "runs_looked_at": done.looked_at,
        "runs_deleted": done.deleted,
        "runs_kept_because_newest": done.kept_newest,
        "rows": done.total.rows,
        "bytes": done.total.bytes,
        "tables": {name: weight._asdict() for name, weight in sorted(done.freed.items())},
    }
