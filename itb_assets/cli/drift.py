"""The command about drift: `itb drift`.

What is measured and stored is the domain's and the assets'; here it is only shown.
"""

from __future__ import annotations

from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.domain.markets import parse_freq, parse_symbol
from itb_assets.orchestration.drift_status import ALARMS, Wanted, drift_rows, of_note
from itb_assets.orchestration.instance import opened_platform
from itb_assets.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(drift)


def drift(
    *,
    symbol: Annotated[str, typer.Option(help="Only this symbol, such as BTCUSDT.")] = "",
    freq: Annotated[str, typer.Option(help="Only this freq, such as 5m.")] = "",
    variant: Annotated[str, typer.Option(help="Only this strategy.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Every look there was, not the newest.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also single features and scores that have not drifted.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show whether models still are what they were judged by; exit code 1 when anything alarms.

    Example: `itb drift --symbol BTCUSDT --freq 5m`

    Each measure has a value, how many trades or rows it rests on, a threshold and a verdict. "insufficient
    data" is a verdict too: the detail says what is missing, such as how many trades. JSON has every measure.
    """
    wanted = Wanted(
        symbol=parse_symbol(symbol) if symbol else "",
        freq=parse_freq(freq) if freq else "",
        variant=variant,
    )
    with opened_platform(load_settings()) as platform:
        rows = drift_rows(platform, wanted, history=history)
    shown = rows if everything or as_json else [row for row in rows if of_note(row)]
    emit(
        shown,
        title="Looks for drift" if history else "Newest look for drift",
        as_json=as_json,
        empty="nobody has looked for drift yet: `itb run` does at the end of every day",
    )
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} single features and scores do not alarm: --all lists them")
    if not history and any(row["verdict"] in ALARMS for row in rows):
        raise typer.Exit(1)
