"""The command `itb performance`: what paper trades earned, in a terminal, as JSON, as a page or a picture.

The figures are the orchestration's, their words the room `observability`'s.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args

import pandas as pd
import typer

from itb_assets.cli.files import ForceOption, check_new, write_file
from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.domain.markets import Market, parse_freq, parse_symbol
from itb_assets.domain.samples import MeasurableSample
from itb_assets.errors import InputError
from itb_assets.observability.performance_plots import equity_and_drawdown
from itb_assets.observability.report_data import PerformanceReport
from itb_assets.observability.report_meaning import key_figures
from itb_assets.observability.report_words import headline
from itb_assets.observability.wording import day, share
from itb_assets.orchestration.instance import opened_platform
from itb_assets.orchestration.performance_report import Question, performance_report
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.results import result_rows
from itb_assets.settings import load_settings

SHOWN_DAYS = 14
_COLOURS = {"lost": "red", "unclear": "yellow", "won": "green", "nothing": "yellow"}
_FRAMES = ("equity", "daily", "by_hour")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(performance)


def performance(  # noqa: PLR0913 - each is an option of the command
    *,
    symbol: Annotated[str, typer.Option(help="Only this symbol.")] = "",
    freq: Annotated[str, typer.Option(help="Only this freq, such as 5m.")] = "",
    variant: Annotated[str, typer.Option(help="Only this strategy.")] = "",
    sample: Annotated[
        str,
        typer.Option(help="out_of_sample (walk-forward rows, the default) or live (after training)."),
    ] = "",
    days: Annotated[int | None, typer.Option(min=1, help="Only the last days of the sample.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write equity and drawdown as a PNG file.")] = None,
    force: Annotated[bool, ForceOption] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show what signals would have earned after fees, traded on paper by the strategy's rule.

    Example: `itb performance --symbol BTCUSDT --variant aggressive --html report.html`

    One strategy on one market is shown in full; of several, a row each. Out of sample and live are never
    added up together, and no trade rests on a row its model was trained on.
    """
    chosen = _sample(sample)
    for path in (html, plot):
        if path is not None:
            check_new(path, force=force)
    with opened_platform(load_settings()) as platform:
        found = _chosen(platform, symbol, freq, variant)
        if len(found) != 1:
            if html or plot or days is not None:
                raise InputError(_too_many(found))
            _show_all(platform, found, sample, as_json=as_json)
            return
        ((market, name),) = found
        report = performance_report(platform, Question(market, name, chosen, days))
    for path, content in ((html, _page), (plot, _picture)):
        if path is not None:
            write_file(path, content(report), force=force)
    if as_json:
        typer.echo(json.dumps(report_document(report), indent=2, default=str))
        return
    _show(report)
    for path in (html, plot):
        if path is not None:
            console.print(f"written: {path}", markup=False, soft_wrap=True)


def _sample(text: str) -> MeasurableSample:
    for known in get_args(MeasurableSample):
        if text in ("", known):
            sample: MeasurableSample = known
            return sample
    raise InputError(f"sample {text!r} is not known: expected out_of_sample or live")


def _chosen(platform: Platform, symbol: str, freq: str, variant: str) -> list[tuple[Market, str]]:
    """Return the stored paper trades that are asked for; raise InputError where none are."""
    wanted = parse_symbol(symbol) if symbol else "", parse_freq(freq) if freq else ""
    known = [strategy.variant for strategy in platform.strategies]
    if variant and variant not in known:
        raise InputError(f"variant {variant!r} is not known: expected one of {', '.join(known)}")
    if variant and variant not in platform.traded_variants:
        raise InputError(f"the signals of {variant} neither buy nor sell: there is nothing to trade on paper")
    stored = [
        (market, name)
        for market in platform.markets()
        for name in platform.traded_variants
        if platform.stored(market, f"trades/{name}") is not None
    ]
    found = [
        (market, name)
        for market, name in stored
        if wanted[0] in ("", market.symbol) and wanted[1] in ("", market.freq) and variant in ("", name)
    ]
    if stored and not found:
        raise InputError(f"no paper trades of these: stored are those of {_listed(stored)}")
    return found


def _listed(found: Sequence[tuple[Market, str]]) -> str:
    return ", ".join(f"{market} {name}" for market, name in found)


def _too_many(found: Sequence[tuple[Market, str]]) -> str:
    if not found:
        return "no paper trades are stored yet: `itb run` makes them"
    return (
        "--html, --plot and --days are of one strategy on one market: choose with --symbol, --freq and "
        f"--variant among {_listed(found)}"
    )


def _show_all(platform: Platform, found: Sequence[tuple[Market, str]], sample: str, *, as_json: bool) -> None:
    wanted = {(str(market), name) for market, name in found}
    markets = list(dict.fromkeys(market for market, _ in found))
    rows = result_rows(platform, markets, sample=sample)
    rows = [row for row in rows if (row["market"], row["variant"]) in wanted]
    emit(
        rows,
        title="Paper trades, after fees",
        as_json=as_json,
        empty="no paper trades are stored yet: `itb run` makes them",
    )
    if rows and not as_json:
        market, name = found[0]
        one = f"itb performance --symbol {market.symbol} --freq {market.freq} --variant {name}"
        console.print(verdict_of(rows))
        console.print(f"One in full, with its luck test: {one}", highlight=False, soft_wrap=True)


def verdict_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in a sentence how many of several results are a profit."""
    traded = [row for row in rows if row["trades"]]
    gained = sum(row["pnl_after_fees"] > 0 for row in traded)
    if not traded:
        return "No position was closed yet."
    if not gained:
        return "Everything here loses money after fees." if len(traded) > 1 else "It loses money after fees."
    return (
        f"{gained} of {len(traded)} gained after fees; whether that is luck, only the test of each one says."
    )


def _page(report: PerformanceReport) -> bytes:
    from itb_assets.observability.report import render_report  # noqa: PLC0415 - only a page needs templates

    return render_report(report).encode()


def _picture(report: PerformanceReport) -> bytes:
    title = f"{report.market} {report.variant}, {report.sample}: equity after fees"
    return equity_and_drawdown(report.equity, title=title)


def _show(report: PerformanceReport) -> None:
    """Print the headline, the key figures with their meaning, the newest days, and the hours."""
    said = headline(report)
    about = f"{report.market} {report.variant}, {day(report.start)} to {day(report.end)}"
    console.print(about, style="bold", markup=False, highlight=False)
    console.print(said.verdict, style=f"bold {_COLOURS[said.mood]}", markup=False, highlight=False)
    for line in said.details:
        console.print(f"  {line}", markup=False, highlight=False)
    figures = [vars(figure) for figure in key_figures(report)]
    emit(figures, title="Key figures", as_json=False, empty="none")
    newest = report.daily.tail(SHOWN_DAYS).iloc[::-1].to_dict("records")
    more = f", the newest {SHOWN_DAYS} of {len(report.daily)}" if len(report.daily) > SHOWN_DAYS else ""
    if not newest:
        return
    emit([_day_row(row) for row in newest], title=f"By day of entry, UTC{more}", as_json=False, empty="")
    hours = [row for row in report.by_hour.to_dict("records") if row["trades"]]
    emit([_hour_row(row) for row in hours], title="By hour of entry, UTC", as_json=False, empty="")


def _day_row(row: Mapping[Any, Any]) -> dict[str, object]:
    money = ("total_pnl", "avg_pnl", "max_win", "max_loss")
    own = {name: round(float(row[name]), 4) for name in money}
    return {"day": day(row["day"]), "trades": row["total_trades"], "won": share(row["win_rate"])} | own


def _hour_row(row: Mapping[Any, Any]) -> dict[str, object]:
    return {
        "hour": f"{row['hour']:02d}",
        "trades": row["trades"],
        "won": share(row["win_rate"]),
        "total_pnl": round(float(row["total_pnl"]), 4),
    }


def report_document(report: PerformanceReport) -> dict[str, Any]:
    """Return all of a report but the curve as plain JSON data, unknown numbers as null."""
    said = headline(report)
    document: dict[str, Any] = {
        "headline": said.verdict,
        "details": list(said.details),
        "market": str(report.market),
        "win_rate": report.win_rate,
        "break_even_win_rate": report.break_even_win_rate,
        "buy_and_hold_pct": report.held_pct,
        "p_value": report.p_value,
    }
    plain = [field.name for field in fields(report) if field.name not in (*_FRAMES, "market")]
    document |= {name: _plain(getattr(report, name)) for name in plain}
    document["rule"] = None if report.rule is None else dict(report.rule.definition)
    return document | {name: _records(getattr(report, name)) for name in ("daily", "by_hour")}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a report holds
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]
