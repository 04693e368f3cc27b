"""The command `itb query`: questions about what the database holds, answered by the files of `docs/queries`.

The statements belong to those files, checking and running them to the storage room.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit, errors
from itb_assets.domain.executed.fills import plain_text
from itb_assets.errors import InputError
from itb_assets.orchestration.instance import running_database
from itb_assets.settings import load_settings
from itb_assets.storage.disk.atomic import storage_errors, write_whole
from itb_assets.storage.queries.files import ANY, Query, find_query, nearest, queries
from itb_assets.storage.queries.parameters import Value, checked_values
from itb_assets.storage.queries.run import TIMEOUT_S, Answer, explain_query, run_query

WIDEST = 14
"""Rows of more columns are printed one below the other, a column a line."""

_TINY = 0.01
_OWN = ("symbol", "freq", "json", "csv", "sql", "explain", "timeout", "help")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
    )(query)


def query(  # noqa: PLR0913 - each is an option
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The query; without one, all are listed.")] = "",
    *,
    symbol: Annotated[str | None, typer.Option(help="Symbol, such as BTCUSDT.")] = None,
    freq: Annotated[str | None, typer.Option(help="Freq, such as 5m.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the rows to this file.")] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statement and its values; run nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Run it and print the plan, with times.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds after which it is stopped.")] = TIMEOUT_S,
    show_help: Annotated[bool, typer.Option("--help", help="Show this, or what a query asks for.")] = False,
) -> None:
    """Ask the database: newest features, results by model, calibration, gaps, drift and more.

    Every query has parameters of its own, written as options: `itb query NAME --help` shows them.

    Example: `itb query model_performance --days 7 --source paper`

    Others:

    `itb query` lists all queries

    `itb query recent_features --symbol BTCUSDT --freq 5m --at 2024-06-01T12:00 --json`

    `itb query calibration --symbol BTCUSDT --freq 5m --label high_040_4 --csv calibration.csv`

    Nothing is changed: a query runs read only. Samples are never mixed, nor trades on paper with executed
    ones. Times are UTC.
    """
    if not name:
        _without_name(context, show_help=show_help, as_json=as_json)
        return
    if name.startswith("-"):
        raise InputError(f"{name} stands before the name of a query: expected itb query NAME {name} ...")
    wanted = find_query(name)
    if show_help:
        _describe(wanted)
        return
    if sum((as_json, csv_file is not None, sql, explain)) > 1:
        raise InputError("--json, --csv, --sql and --explain are four ways to answer: choose one")
    values = _values(wanted, context.args, symbol=symbol, freq=freq)
    if csv_file is not None:
        _require_folder(csv_file)
    if sql:
        _print_statement(wanted, values)
        return
    with running_database(load_settings()) as settings:
        assert settings.database_url is not None  # noqa: S101 - a running database has one
        url = settings.database_url.get_secret_value()
        if explain:
            typer.echo(explain_query(url, wanted, values, timeout_s=timeout))
            return
        answer = run_query(url, wanted, values, timeout_s=timeout)
    _print(wanted, answer, as_json=as_json, file=csv_file)


def _without_name(context: typer.Context, *, show_help: bool, as_json: bool) -> None:
    if show_help:
        typer.echo(context.get_help())
        return
    if context.args:
        words = " ".join(context.args)
        raise InputError(f"{words!r} is not expected without a query: `itb query` lists them")
    _list(as_json=as_json)


def _values(wanted: Query, arguments: Sequence[str], **own: str | None) -> dict[str, Value]:
    """Return the checked values of a query's parameters: those we have options for, and the others."""
    given = {key: value for key, value in own.items() if value is not None}
    return checked_values(wanted, given | _extra(arguments, wanted), now=datetime.now(UTC))


def _extra(arguments: Sequence[str], wanted: Query) -> dict[str, object]:
    """Read `--name value` and `--name=value`; raise InputError for anything else."""
    given: dict[str, object] = {}
    words = iter(arguments)
    for word in words:
        key, equals, value = word.partition("=")
        if not key.startswith("--"):
            raise InputError(f"{word!r} is not expected here: parameters are written --name value")
        key = key.removeprefix("--").replace("-", "_")
        if key in given:
            raise InputError(f"--{key} is given twice")
        if not equals:
            try:
                value = next(words)
            except StopIteration:
                raise InputError(f"--{key} has no value: {_such(wanted, key)}") from None
        given[key] = value
    return given


def _such(wanted: Query, key: str) -> str:
    known = {one.name: one for one in wanted.parameters}
    if key in known:
        return f"expected one such as --{key} {known[key].example}"
    return f"{nearest(key, [*known, *_OWN])}`itb query {wanted.name} --help` shows what there is"


def _list(*, as_json: bool) -> None:
    rows = [
        {
            "query": one.name,
            "what it answers": one.answers,
            "needs": " ".join(f"--{each.name}" for each in one.parameters if each.required),
        }
        for one in queries()
    ]
    emit(rows, title="Queries", as_json=as_json, empty="there is none")
    if not as_json:
        console.print("`itb query NAME --help` shows parameters and columns of one", highlight=False)


def _describe(wanted: Query) -> None:
    lines = [f"{wanted.name}: {wanted.title}", wanted.answers, "", f"reads {', '.join(wanted.reads)}", ""]
    lines.append("Parameters:")
    for one in wanted.parameters:
        default = {ANY: "optional"}.get(one.default, f"default {one.default}")
        state = "required" if one.required else default
        lines.append(f"  --{one.name}  {one.meaning} ({one.kind}; {state}; such as {one.example})")
    lines += ["", "Columns:", *(f"  {column}  {meaning}" for column, meaning in wanted.columns)]
    lines += [
        "",
        f"Example: {wanted.example}",
        "More: --json, --csv FILE, --sql, --explain, --timeout SECONDS",
    ]
    typer.echo("\n".join(lines))


def _print_statement(wanted: Query, values: dict[str, Value]) -> None:
    lines = [f"-- {name} = {_shown(value)}" for name, value in values.items()]
    typer.echo("\n".join([*lines, wanted.statement + ";"]))


def _shown(value: Value) -> str:
    if value is None:
        return "NULL"
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _print(wanted: Query, answer: Answer, *, as_json: bool, file: Path | None) -> None:
    if file is not None:
        _write_csv(file, answer)
        console.print(f"{file}: {len(answer.rows)} rows", markup=False, highlight=False, soft_wrap=True)
    elif as_json:
        rows = [dict(zip(answer.columns, map(_json, row), strict=True)) for row in answer.rows]
        typer.echo(json.dumps(rows, indent=2, allow_nan=False))
    elif len(answer.columns) > WIDEST and answer.rows:
        typer.echo("\n".join(_below_each_other(answer)))
    else:
        named = [dict(zip(answer.columns, map(_cell, row), strict=True)) for row in answer.rows]
        emit(named, title=wanted.title, as_json=False, empty="no rows")
    for remark in answer.remarks:
        errors.print(remark, markup=False, highlight=False, soft_wrap=True)


def _below_each_other(answer: Answer) -> Iterator[str]:
    width = max(map(len, answer.columns))
    for number, row in enumerate(answer.rows, start=1):
        yield f"-- row {number}"
        for column, value in zip(answer.columns, row, strict=True):
            yield f"{column:<{width}}  {'-' if value is None else _text(value)}"


def _cell(value: object) -> object:
    """Return what a table shows: it rounds numbers to three places, too few for the price of a cheap coin."""
    if isinstance(value, float | Decimal):
        number = float(value)
        return f"{number:.3g}" if 0 < abs(number) < _TINY else number
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value


def _json(value: object) -> object:
    """Return a JSON value: money as the text of its digits, what is no finite number as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain_text(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _require_folder(file: Path) -> None:
    if not file.absolute().parent.is_dir():
        raise InputError(
            f"there is no folder {file.absolute().parent} to write {file.name} into: make it first"
        )


def _write_csv(file: Path, answer: Answer) -> None:
    """Write a header and the rows; NULL is empty, a number as short as it reads back."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(["" if value is None else _text(value) for value in row] for row in answer.rows)
    with storage_errors(file):
        write_whole(file, text.getvalue().encode())
