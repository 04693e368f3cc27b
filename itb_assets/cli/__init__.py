"""The `itb` command: thin, every subcommand asks another room and shows the answer.

Exit codes: 0 done; 1 problems found; 2 wrong input; 3 try again later; 4 bad data, model or storage.
"""

from __future__ import annotations

import signal
import sys
import threading
from importlib.metadata import version
from typing import Annotated

import typer

from itb_assets.cli import (
    alerter,
    alerts,
    database,
    drift,
    health,
    markets,
    models,
    performance,
    query,
    run,
    runs,
    storage,
    trades,
)
from itb_assets.cli.output import errors, tell_error
from itb_assets.orchestration.failures import cause_of

INTERRUPTED = 130  # what a shell, and so typer, makes of Ctrl-C

app = typer.Typer(
    name="itb",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help=(
        "Klines to signals as Dagster assets.\n\n"
        "Start with `itb demo` (a local exchange, nothing to configure) or "
        "`itb run --symbols BTCUSDT --freqs 5m` (Binance's public data, no key)."
    ),
    epilog="Exit codes: 0 done, 1 problems found, 2 wrong input, 3 try again later, 4 bad data or storage.",
)
for module in (
    *(run, runs, markets, models, performance, trades, query, drift),
    *(alerter, alerts, storage, database, health),
):
    module.register(app)


@app.callback(invoke_without_command=True)
def _root(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False
) -> None:
    if show_version:
        typer.echo(version("itb-assets"))
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of ours becomes one clear message and its exit code.

    SIGTERM stops it as Ctrl-C does: what it started, such as the embedded database, is stopped with it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SystemExit as left:
        if left.code == INTERRUPTED:
            errors.print("stopped; what was finished is kept, run the same command to go on", style="yellow")
        raise
    except Exception as raised:
        error = cause_of(raised)
        if error is None:
            raise
        tell_error(str(error))
        sys.exit(error.exit_code)
