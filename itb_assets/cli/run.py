"""Commands that compute: `itb run`, `itb demo`, `itb ui`.

What they run is the orchestration's; here is only what a terminal shows of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from itb_assets.cli.output import JsonOption, console, emit, tell_error
from itb_assets.cli.performance import verdict_of
from itb_assets.cli.progress import shown_progress
from itb_assets.demo.session import demo_settings, is_demo
from itb_assets.domain.markets import Market, parse_freq, parse_symbol
from itb_assets.errors import ConfigError
from itb_assets.observability.logs import configure_logging
from itb_assets.orchestration.alerts.channels import NONE_SET_UP
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.executed import catch_up
from itb_assets.orchestration.instance import opened_platform, running_instance
from itb_assets.orchestration.results import result_rows
from itb_assets.orchestration.runner import MarketRun, RunPlan, planned_rows, run_markets
from itb_assets.orchestration.status import market_rows
from itb_assets.orchestration.web import Served, serve_ui
from itb_assets.settings import Settings, load_settings

PAPER = "Paper trades after fees: positions that the signals would have opened, no order sent anywhere"
"""Title of what a run shows last."""

Symbols = Annotated[str, typer.Option(help="Symbols, comma separated; default ITB_SYMBOLS.")]
Freqs = Annotated[str, typer.Option(help="Freqs, comma separated; default ITB_FREQS.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(run)
    app.command()(demo)
    app.command()(ui)


def run(
    *,
    symbols: Symbols = "",
    freqs: Freqs = "",
    start: Annotated[
        str, typer.Option(help="First kline wanted, such as 2024-07-01; default ITB_START.")
    ] = "",
    end: Annotated[str, typer.Option(help="Load klines before this time; default now.")] = "",
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Load the whole time again.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train every model again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Bring markets up to date: klines, features, labels, models, predictions, signals, paper trades.

    Example: `itb run --symbols BTCUSDT,ETHUSDT --freqs 5m,1h --start 2024-07-01`

    Runs are incremental: a second run loads and computes only what is new. A market that fails does not
    stop the others; the exit code is that of the worst.
    """
    settings = load_settings()
    plan = RunPlan(_markets(settings, symbols, freqs), start, end, full_refresh=full_refresh, retrain=retrain)
    if dry_run:
        with opened_platform(settings) as platform:
            rows = planned_rows(platform, plan)
        emit(rows, title="Would run", as_json=as_json, empty="nothing to run")
        return
    finish(run_all(settings, plan), settings, as_json=as_json)


def demo(
    *,
    symbols: Annotated[int, typer.Option(min=1, max=6, help="How many of the demo exchange's symbols.")] = 2,
    days: Annotated[int, typer.Option(min=30, max=720, help="Days of history.")] = 120,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Run the whole pipeline against a local exchange, with nothing to configure.

    Example: `itb demo`

    The exchange listens on loopback and speaks Binance's API; its symbols exist nowhere else. Files and
    database live in `.demo`. A second `itb demo` only computes what is new.
    """
    with demo_settings(Path(".demo"), symbols=symbols, days=days) as settings:
        plan = RunPlan(_markets(settings, "", ""))
        results = run_all(settings, plan)
    finish(results, settings, as_json=as_json)
    if not as_json:
        console.print("Files and models lie in [bold].demo[/]. See lineage, plots and runs: [bold]make ui[/]")


def ui(
    *,
    data_root: Annotated[
        Path | None, typer.Option(help="Data root; default ITB_DATA_ROOT, else .demo.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; default ITB_PORT (3000).")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what the servers log; else it goes to files.")
    ] = False,
) -> None:
    """Open the Dagster UI and its daemon on a data root: the user's own, or the demo's.

    Example: `itb ui --port 3001`

    Stop with Ctrl-C; what it started (web server, daemon, embedded database, demo exchange) stops with it.
    The servers log to `{data_root}/logs`. Where alerts have a channel they are delivered: see `itb alerter`.
    """
    settings = load_settings()
    configure_logging(settings.log_level)
    root = data_root or settings.data_root
    if data_root is None and not root.exists() and Path(".demo").exists():
        root = Path(".demo")
    chosen = settings.model_copy(update={"data_root": root, "port": port or settings.port})
    console.print(f"Starting the Dagster UI on [bold]{root}[/] ...")
    with _exchange_of(chosen) as reachable:
        serve_ui(
            reachable,
            announce=_announce,
            verbose=verbose,
        )
    console.print("Stopped.")


def _announce(served: Served) -> None:
    console.print(f"Dagster UI: [bold]{served.url}[/]   (Ctrl-C stops it)")
    names = ", ".join(served.alerts.names)
    console.print(f"Alerts go to {names}." if names else f"Alerts: {NONE_SET_UP}.")


@contextmanager
def _exchange_of(settings: Settings) -> Iterator[Settings]:
    """Start the demo exchange for a data root that lives off it; the user's own needs nothing."""
    if not is_demo(settings.data_root):
        yield settings
        return
    with demo_settings(settings.data_root) as demo:
        yield demo.model_copy(update={"host": settings.host, "port": settings.port})


def _markets(settings: Settings, symbols: str, freqs: str) -> tuple[Market, ...]:
    names = [parse_symbol(item) for item in _parts(symbols)] or list(settings.symbols)
    lengths = [parse_freq(item) for item in _parts(freqs)] or list(settings.freqs)
    if not names:
        raise ConfigError(["no symbol given: pass --symbols BTCUSDT or set ITB_SYMBOLS"])
    return tuple(Market(symbol, freq) for symbol in names for freq in lengths)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def run_all(settings: Settings, plan: RunPlan) -> list[MarketRun]:
    """Run the plan with a progress bar on a terminal, and return how each market ended."""
    configure_logging("WARNING" if console.is_terminal else settings.log_level)
    wanted = build_platform(settings)  # a strategy that is wrong is told before anything is started
    with running_instance(settings) as (ready, instance), shown_progress(len(plan.markets)) as shown:
        platform = replace(
            wanted, settings=ready, progress=shown.download, watch=shown.asset, retry_steps=False
        )
        shown.expect(len(platform.asset_names()))
        results = []
        with closing(platform):
            for result in run_markets(platform, instance, plan):
                results.append(result)
                shown.market_done()
            catch_up(platform)
    return results


def finish(results: list[MarketRun], settings: Settings, *, as_json: bool) -> None:
    """Show how each market ended and what is stored of it; leave with the worst exit code."""
    rows: list[dict[str, object]] = [
        {
            "market": str(result.market),
            "result": "ok" if result.error is None else type(result.error).__name__,
            "new_klines": result.rows_new,
            "seconds": round(result.seconds, 1),
            "run": result.run_id[:8],
        }
        for result in results
    ]
    if as_json:
        emit(rows, title="", as_json=True, empty="")
    else:
        emit(rows, title="Runs", as_json=False, empty="nothing ran")
        ran = {(result.market.symbol, result.market.freq) for result in results}
        with opened_platform(settings) as platform:
            made = [row for row in market_rows(platform) if (row["symbol"], row["freq"]) in ran]
            earned = result_rows(platform, [result.market for result in results])
        emit(made, title=f"Stored in {settings.data_root}", as_json=False, empty="nothing is stored")
        emit(earned, title=PAPER, as_json=False, empty="no paper trades: no strategy's signals buy and sell")
        if earned:
            console.print(verdict_of(earned))
    failed = [result for result in results if result.error is not None]
    for result in failed:
        said = str(result.error).removeprefix(f"{result.market}: ")
        tell_error(f"{result.market}: {said}")
    if failed:
        raise typer.Exit(max(result.error.exit_code for result in failed if result.error is not None))
