"""Commands about trades: `itb trades list`, `itb trades import`, `itb trades executed`.

Nothing here sends an order to an exchange; what trades are worth is shown by `itb performance`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from itb_assets.cli.output import JsonOption, console, emit, tell_error
from itb_assets.domain.executed import MatchedFills
from itb_assets.domain.executed.fills import plain_text
from itb_assets.domain.markets import parse_freq, parse_symbol
from itb_assets.errors import DatabaseUnavailable, InputError
from itb_assets.orchestration.executed import (
    Imported,
    catch_up_table,
    executed_summary,
    import_fills,
    matched,
    position_rows,
)
from itb_assets.orchestration.instance import opened_platform
from itb_assets.orchestration.results import trade_rows
from itb_assets.settings import load_settings

NEWEST = 20
SHOWN = 20
_NONE_IMPORTED = "no executed trade was imported: `itb trades import FILE` does that"

trades_app = typer.Typer(no_args_is_help=True, help="Paper trades, and executed ones read from files.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(trades_app, name="trades")


@trades_app.command("list")
def trades_list(
    *,
    symbol: Annotated[str, typer.Option(help="Only this symbol.")] = "",
    freq: Annotated[str, typer.Option(help="Only this freq, such as 5m.")] = "",
    variant: Annotated[str, typer.Option(help="Only this strategy.")] = "",
    executed: Annotated[bool, typer.Option("--executed", help="Executed trades instead of paper.")] = False,
    newest: Annotated[int, typer.Option(min=0, help="How many of the newest; 0 for all.")] = NEWEST,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List the newest trades: those on paper, or with `--executed` the imported ones.

    Example: `itb trades list --variant aggressive --newest 50`
    """
    wanted = parse_symbol(symbol) if symbol else ""
    if executed:
        if variant or freq:
            raise InputError("executed trades are of no strategy and no freq: leave --variant and --freq out")
        rows = [row for row in position_rows(matched(load_settings())) if wanted in ("", row["symbol"])]
        title, empty = "Executed trades", _NONE_IMPORTED
    else:
        length = parse_freq(freq) if freq else ""
        with opened_platform(load_settings()) as platform:
            known = [strategy.variant for strategy in platform.strategies]
            if variant and variant not in known:
                raise InputError(f"variant {variant!r} is not known: expected one of {', '.join(known)}")
            markets = [
                market
                for market in platform.markets()
                if wanted in ("", market.symbol) and length in ("", market.freq)
            ]
            rows = trade_rows(platform, markets, variant=variant, newest=newest or None)
        title, empty = "Paper trades", "no paper trade is stored of these: `itb run` makes them"
    shown = rows[:newest] if newest else rows
    emit(_exact(shown) if as_json else _short(shown), title=title, as_json=as_json, empty=empty)


@trades_app.command("import")
def trades_import(
    file: Annotated[
        Path, typer.Argument(help="JSON lines of the old bot, or Binance's trade history as CSV.")
    ],
    *,
    account: Annotated[str, typer.Option(help="Whose trades a CSV export holds.")] = "main",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad lines out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be added; add nothing.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Import executed trades from a file; the same file again changes nothing.

    Example: `itb trades import trades.jsonl`

    A trade that is stored with another content is kept as it is, reported, and makes the exit code 1. A file
    with bad lines is refused as a whole (exit code 2) unless `--skip-bad` leaves them out.
    """
    settings = load_settings()
    done = import_fills(settings, file, account=account, skip_bad=skip_bad, dry_run=dry_run)
    away = ""
    try:
        table = "not asked: a dry run" if dry_run else catch_up_table(settings)
    except DatabaseUnavailable as error:
        table = away = f"not reached: {error}"
    if as_json:
        document = _document(file, done) | {"dry_run": dry_run, "database": table}
        typer.echo(json.dumps(document, indent=2, default=str))
    else:
        _tell(file, done, table, dry_run=dry_run)
    if away:
        tell_error(f"the trades are stored, their table is not up to date: {away}")
        raise typer.Exit(DatabaseUnavailable.exit_code)
    if done.merge.conflicts:
        raise typer.Exit(1)


@trades_app.command("executed")
def trades_executed(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Match the imported trades into positions, first in first out, and sum up what they earned.

    Example: `itb trades executed`

    Amounts are in each symbol's quote currency. Fees in an asset of unknown worth are in neither fees nor
    P&L; they are listed apart, and so is what belongs to no position.
    """
    found = matched(load_settings())
    if as_json:
        document = {
            "summary": _exact(executed_summary(found)),
            "positions": _exact(position_rows(found)),
            "other_fees": {asset: plain_text(amount) for asset, amount in found.other_fees.items()},
            "unmatched": _unmatched(found),
        }
        typer.echo(json.dumps(document, indent=2, default=str))
        return
    emit(_short(position_rows(found)[:SHOWN]), title="Newest positions", as_json=False, empty=_NONE_IMPORTED)
    if not found.trades and not found.unmatched:
        return
    emit(_short(executed_summary(found)), title="Closed positions, after fees", as_json=False, empty="none")
    for asset, amount in found.other_fees.items():
        console.print(f"not counted: fees of {plain_text(amount)} {asset}, whose worth is not known")
    left = _unmatched(found)
    emit(left[:SHOWN], title=f"{len(left)} fills belong to no position", as_json=False, empty="")


def _unmatched(found: MatchedFills) -> list[dict[str, str]]:
    return [
        {"fill": str(item.fill.key), "quantity": plain_text(item.quantity), "why": item.reason}
        for item in found.unmatched
    ]


def _document(file: Path, done: Imported) -> dict[str, Any]:
    return {
        "file": str(file),
        "format": done.format,
        "fills": done.fills,
        "added": done.merge.added,
        "known": done.merge.known,
        "conflicts": [str(conflict) for conflict in done.merge.conflicts],
        "bad_lines": [str(line) for line in done.bad_lines],
        "total": done.merge.total,
    }


def _tell(file: Path, done: Imported, table: str, *, dry_run: bool) -> None:
    added = "would be added" if dry_run else "added"
    merge = done.merge
    lines = [
        f"{file} ({done.format}): {done.fills} fills, {merge.added} {added}, {merge.known} known",
        f"  {len(merge.conflicts)} conflicts, {len(done.bad_lines)} bad lines",
        *(f"  {line}: left out" for line in done.bad_lines[:SHOWN]),
        *(f"  {conflict}: what was stored is kept" for conflict in merge.conflicts[:SHOWN]),
        f"stored now: {merge.total}" if not dry_run else "nothing was written",
        f"database: {table}",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _exact(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write decimals as their digits, and unknown numbers as null."""
    return [
        {
            key: plain_text(value) if isinstance(value, Decimal) else None if value != value else value  # noqa: PLR0124 - NaN
            for key, value in row.items()
        }
        for row in rows
    ]


def _short(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write decimals as numbers that a table rounds."""
    return [
        {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()}
        for row in rows
    ]
