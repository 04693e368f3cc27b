"""Commands about the versions of models: `itb models versions`, `promote`, `rollback` and `compare`.

What a version is and how one takes the place of another belongs to the orchestration and its registry.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from itb_assets.cli.output import JsonOption, console, emit, tell_error
from itb_assets.errors import InputError, StorageError
from itb_assets.orchestration.instance import opened_platform
from itb_assets.orchestration.model_comparison import COMMON_ROWS, Wanted, compare_models, comparison_plot
from itb_assets.orchestration.model_versions import parse_model, promote, roll_back, version_rows
from itb_assets.settings import load_settings

Model = Annotated[str, typer.Argument(help="SYMBOL/FREQ/VARIANT/ALGO/LABEL, as `itb models list` names it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `itb models`."""
    app.command("versions")(models_versions)
    app.command("promote")(models_promote)
    app.command("rollback")(models_rollback)
    app.command("compare")(models_compare)


def models_versions(model: Model, *, as_json: Annotated[bool, JsonOption] = False) -> None:
    """List every kept version of a model, newest first, and which of them is used.

    Example: `itb models versions BTCUSDT/5m/aggressive/lgbm/high_040_4`
    """
    with opened_platform(load_settings()) as platform:
        rows = version_rows(platform, parse_model(model))
    emit(rows, title=f"Versions of {model}", as_json=as_json, empty="none")


def models_promote(
    model: Model,
    version: Annotated[int, typer.Argument(help="Number of the version, as `itb models versions` lists it.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the model.")],
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Use a version from now on, whatever the comparison says; the present one stays and can be had back.

    Example: `itb models promote BTCUSDT/5m/aggressive/lgbm/high_040_4 3 --reason "fits the new fees"`

    Predictions, signals and trades follow with the next `itb run`.
    """
    with opened_platform(load_settings()) as platform:
        told = promote(platform, parse_model(model), version, reason=reason, by=_person(), dry_run=dry_run)
    _show(told, dry_run=dry_run, as_json=as_json)


def models_rollback(
    model: Model,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the model.")] = "",
    dry_run: DryRun = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Use the version that was in use before; once more goes one further back.

    Example: `itb models rollback BTCUSDT/5m/aggressive/lgbm/high_040_4`

    Predictions, signals and trades follow with the next `itb run`.
    """
    with opened_platform(load_settings()) as platform:
        told = roll_back(platform, parse_model(model), reason=reason, by=_person(), dry_run=dry_run)
    _show(told, dry_run=dry_run, as_json=as_json)


def models_compare(
    *,
    symbol: Annotated[str, typer.Option(help="Only these symbols, comma separated.")] = "",
    freq: Annotated[str, typer.Option(help="Only these freqs.")] = "",
    variant: Annotated[str, typer.Option(help="Only these variants.")] = "",
    algo: Annotated[str, typer.Option(help="Only these algorithms.")] = "",
    label: Annotated[str, typer.Option(help="Only these labels.")] = "",
    every_version: Annotated[
        bool, typer.Option("--all-versions", help="Every kept version, not only those in use.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Also draw them into this PNG file.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Compare models out of sample: scores, trades after fees, and how likely luck does as well.

    Example: `itb models compare --symbol BTCUSDT --algo lgbm,automl --plot models.png`

    Models of one market and label are measured on the rows that all of them scored, the best first. `p` is
    the chance that scores, or trades, shifted against the prices do as well: above 0.05 it may be luck.
    """
    wanted = Wanted(
        symbols=_parts(symbol),
        freqs=_parts(freq),
        variants=_parts(variant),
        algos=_parts(algo),
        labels=_parts(label),
        every_version=every_version,
    )
    if plot is not None and plot.suffix.lower() != ".png":
        raise InputError(f"--plot {plot}: expected a file whose name ends in .png")
    with opened_platform(load_settings()) as platform:
        rows = compare_models(platform, wanted)
    if plot is not None:
        _draw(rows, plot)
    if as_json:
        emit(rows, title="", as_json=True, empty="")
        return
    _tables([row for row in rows if row["error"] is None])
    for row in rows:
        if row["error"] is not None:
            tell_error(f"{row['model']} version {row['version']}: {row['error']}")


def _tables(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one table for each market and label."""
    if not rows:
        console.print("no model is trained yet: `itb run` trains them")
    for (symbol, freq, label), group in groupby(rows, key=_group):
        compared = list(group)
        common = compared[0]["measured_on"] == COMMON_ROWS
        measured = f"{compared[0]['rows']:,} common rows" if common else "no common rows: each on its own"
        title = f"{symbol} {freq} {label}, out of sample, {measured}, the best first"
        emit([_compared(row) for row in compared], title=title, as_json=False, empty="")


def _group(row: Mapping[str, Any]) -> tuple[str, str, str]:
    symbol, freq, _, _, label = row["model"].split("/")
    return symbol, freq, label


def _show(told: Mapping[str, Any], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        emit([{**told, "dry_run": dry_run}], title="", as_json=True, empty="")
        return
    before = "none" if told["from_version"] is None else f"version {told['from_version']}"
    verb = "would be" if dry_run else "is"
    step = f"version {told['to_version']} {verb} in use, before it {before}"
    console.print(f"{told['model']}: {step}", markup=False, soft_wrap=True)
    console.print(f"  version {told['to_version']}: {told['comparison']}", markup=False, soft_wrap=True)
    if told["changed"]:
        console.print("predictions, signals and trades follow with the next [bold]itb run[/]")


def _compared(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a person reads it."""
    _, _, variant, algo, _ = row["model"].split("/")
    return {
        "model": f"{variant}/{algo}",
        "version": row["version"],
        "used": row["promoted"],
        "AUC": row["auc"],
        "95 %": _span(row["auc_low"], row["auc_high"]),
        "log loss": row["log_loss"],
        "trades": row["trades"],
        "win rate": row["win_rate"],
        "95 % of it": _span(row["wilson_low"], row["wilson_high"]),
        "% a trade": row["expectancy_pct"],
        "p scores": row["p_auc"],
        "p trades": row["p_trading"],
    }


def _span(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:.3f}-{high:.3f}"


def _draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    try:
        file.write_bytes(comparison_plot([row for row in rows if row["error"] is None]))
    except OSError as error:
        raise StorageError(f"--plot {file} cannot be written: {error.strerror}; name another file") from error


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _person() -> str:
    """Return who asks, as the system knows them; in some containers it does not."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "somebody at the command line"
