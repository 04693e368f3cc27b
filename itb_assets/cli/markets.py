"""Commands about markets: `itb status`, `itb symbols`, `itb gaps`.

The rows that they print are made in orchestration; running a market belongs to `run`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.cli.run import finish, run_all
from itb_assets.domain.markets import Market, parse_symbol
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.instance import opened_platform, running_instance
from itb_assets.orchestration.runner import RunPlan, follow, followed_symbols, unfollow
from itb_assets.orchestration.status import gap_rows, market_rows
from itb_assets.settings import Settings, load_settings

symbols_app = typer.Typer(no_args_is_help=True, help="Symbols that schedules and backfills cover.")
gaps_app = typer.Typer(no_args_is_help=True, help="Missing klines: listed, asked for again, never invented.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(status)
    app.add_typer(symbols_app, name="symbols")
    app.add_typer(gaps_app, name="gaps")


def status(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Show every stored market: rows, last kline, gaps, models, freshness.

    Example: `itb status --json`
    """
    settings = load_settings()
    with opened_platform(settings) as platform:
        rows = market_rows(platform)
    emit(
        rows,
        title=f"Markets in {settings.data_root}",
        as_json=as_json,
        empty=f"nothing is stored in {settings.data_root}: start with `itb run --symbols BTCUSDT --freqs 5m`",
    )


@symbols_app.command("add")
def symbols_add(
    names: Annotated[list[str], typer.Argument(help="Symbols, such as BTCUSDT.")],
    *,
    check: Annotated[bool, typer.Option(help="Ask the exchange whether it lists them.")] = True,
) -> None:
    """Follow symbols: schedules load them from their next candle on, no redeploy.

    Example: `itb symbols add BTCUSDT ETHUSDT`
    """
    wanted = [parse_symbol(name) for name in names]
    with running_instance(load_settings()) as (settings, instance):
        if check:
            source = build_platform(settings).source
            for name in wanted:
                source.symbol_status(name)
        added = [name for name in wanted if follow(instance, name)]
    console.print(f"added: {', '.join(added) or 'nothing new'}")


@symbols_app.command("list")
def symbols_list(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """List the followed symbols.

    Example: `itb symbols list`
    """
    with running_instance(load_settings()) as (_, instance):
        rows = [{"symbol": name} for name in followed_symbols(instance)]
    emit(
        rows, title="Followed symbols", as_json=as_json, empty="none: add one with `itb symbols add BTCUSDT`"
    )


@symbols_app.command("remove")
def symbols_remove(names: Annotated[list[str], typer.Argument(help="Symbols, such as BTCUSDT.")]) -> None:
    """Stop following symbols; their files, tables and history stay.

    Example: `itb symbols remove ETHUSDT`
    """
    wanted = [parse_symbol(name) for name in names]
    with running_instance(load_settings()) as (_, instance):
        removed = [name for name in wanted if unfollow(instance, name)]
    console.print(
        f"removed: {', '.join(removed) or 'none of them was followed'}; their data stays where it is"
    )


@gaps_app.command("list")
def gaps_list(
    *,
    closed: Annotated[bool, typer.Option("--all", help="Also gaps that late klines filled.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List the missing klines of every market.

    Example: `itb gaps list --all`
    """
    with opened_platform(load_settings()) as platform:
        rows = gap_rows(platform, closed=closed)
    emit(rows, title="Gaps", as_json=as_json, empty="no gap is recorded")


@gaps_app.command("repair")
def gaps_repair(
    *,
    symbol: Annotated[str, typer.Option(help="Only this symbol.")] = "",
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Ask the exchange again for missing klines; what arrives replaces the gap and all computed from it.

    Example: `itb gaps repair --symbol BTCUSDT`
    """
    settings = load_settings()
    before = _open_gaps(settings, parse_symbol(symbol) if symbol else "")
    if not before:
        emit([], title="Runs", as_json=as_json, empty="no gap is recorded: nothing to repair")
        return
    markets = sorted({market for market, _ in before})
    results = run_all(settings, RunPlan(tuple(markets), repair_gaps=True))
    if not as_json:
        still = _open_gaps(settings, symbol)
        console.print(f"{len(before - still)} gaps filled, {len(still)} still open")
    finish(results, settings, as_json=as_json)


def _open_gaps(settings: Settings, symbol: str) -> set[tuple[Market, str]]:
    with opened_platform(settings) as platform:
        rows = gap_rows(platform)
    return {
        (Market(row["symbol"], row["freq"]), row["first_missing"])
        for row in rows
        if not symbol or row["symbol"] == symbol
    }
