"""How the command line speaks: tables for people, JSON for machines, errors that say what to do.

What is shown is computed elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from itb_assets.observability.logs import redact

PIPE_WIDTH = 150  # what a log or a file can take; a terminal says its own


def _console(*, stderr: bool) -> Console:
    terminal = Console(stderr=stderr)
    return terminal if terminal.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


console = _console(stderr=False)
errors = _console(stderr=True)

JsonOption = typer.Option("--json", help="Print JSON for a machine instead of a table.")


def emit(rows: Sequence[Mapping[str, Any]], *, title: str, as_json: bool, empty: str) -> None:
    """Print rows as a table or as a JSON list; say `empty` where there is none."""
    if as_json:
        typer.echo(json.dumps(list(rows), default=str, indent=2))
        return
    if not rows:
        console.print(empty)
        return
    table = Table(title=title, title_justify="left", header_style="bold", min_width=len(title))
    numeric = {name for name in rows[0] if all(isinstance(row[name], int | float | None) for row in rows)}
    for name in rows[0]:
        table.add_column(
            name.replace("_", " "),
            justify="right" if name in numeric else "left",
            overflow="fold",
            no_wrap=name in numeric or name in ("model", "market"),
        )
    for row in rows:
        table.add_row(*(_shown(_cell(value)) for value in row.values()))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if value == round(value, 1) else f"{value:,.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _shown(text: str) -> Text:
    """Return text as it is: brackets are no markup, and what would move the cursor is replaced."""
    return Text("".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text))


def tell_error(message: str) -> None:
    """Print an error on standard error; its lines are not broken, so that a path in it can be copied."""
    errors.print(f"error: {redact(message)}", style="red", markup=False, highlight=False, soft_wrap=True)
