"""Commands about models and strategies: `itb models`, `itb strategies`.

Those about a model's versions belong to `model_versions`, what a model is worth to orchestration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from itb_assets.cli import model_versions
from itb_assets.cli.output import JsonOption, console, emit
from itb_assets.domain.strategy import Strategy
from itb_assets.orchestration.instance import opened_platform
from itb_assets.orchestration.platform import Platform
from itb_assets.orchestration.status import model_page, model_rows
from itb_assets.settings import load_settings
from itb_assets.storage.strategies import read_strategies, read_strategy

models_app = typer.Typer(no_args_is_help=True, help="Trained models and what they are worth out of sample.")
strategies_app = typer.Typer(no_args_is_help=True, help="Strategy files: features, labels, models, signals.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    model_versions.register(models_app)
    app.add_typer(models_app, name="models")
    app.add_typer(strategies_app, name="strategies")


@models_app.command("list")
def models_list(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """List every model with its out-of-sample figures.

    Example: `itb models list`
    """
    with opened_platform(load_settings()) as platform:
        rows = model_rows(platform)
    shown = [
        {"model": row["model"], **{head: row[key] for key, head in _LISTED.items()}} if not as_json else row
        for row in rows
    ]
    emit(
        shown,
        title="Models in use, judged out of sample",
        as_json=as_json,
        empty="no model is trained yet: `itb run` trains them",
    )


_LISTED = {
    "version": "version",
    "auc": "AUC",
    "win_rate": "win rate",
    "base_rate": "base rate",
    "rows": "rows",
    "trades": "trades",
    "expectancy_pct": "% a trade",
    "trained_until": "trained until",
    "state": "state",
}
"""What is listed, and under which heading."""


@models_app.command("show")
def models_show(
    model: Annotated[
        str, typer.Argument(help="SYMBOL/FREQ/VARIANT/ALGO/LABEL, as `itb models list` names it.")
    ],
    *,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show one model: how it was trained, on what, and its walk-forward windows.

    Example: `itb models show BTCUSDT/5m/aggressive/lgbm/high_040_4`
    """
    with opened_platform(load_settings()) as platform:
        page = model_page(platform, model)
    if as_json:
        typer.echo(json.dumps(page, indent=2, default=str))
        return
    metrics = page["metrics"]
    for what in ("in_use", "trading", "luck"):
        console.print(f"{what.replace('_', ' ')}: {page[what]}", markup=False, soft_wrap=True)
    _fields(f"{model}: how it was trained", page["metadata"])
    _fields("Out of sample, all windows", metrics["overall"])
    folds = [{key: _short(fold[key]) for key in _FOLD} for fold in metrics["folds"]]
    emit(folds, title="Walk-forward windows", as_json=False, empty="none")
    gains = list(metrics["feature_importance"].items())[:_TOP]
    emit(
        [{"feature": name, "gain": gain} for name, gain in gains],
        title=f"The {len(gains)} features that matter most",
        as_json=False,
        empty="none",
    )


_FOLD = ("train_start", "train_end", "score_start", "score_end", "n_train_rows", "rows", "auc", "win_rate")
_TOP = 10


def _fields(title: str, values: Mapping[str, object]) -> None:
    emit(
        [{"field": key, "value": _short(value)} for key, value in values.items()],
        title=title,
        as_json=False,
        empty="nothing recorded",
    )


def _short(value: object, width: int = 90) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    text = json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
    text = text.removesuffix("+00:00") if text.endswith("+00:00") else text
    return text if len(text) <= width else text[: width - 3] + "..."


@strategies_app.command("list")
def strategies_list(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """List the strategies in force.

    Example: `itb strategies list`
    """
    rows = [_strategy_row(item) for item in read_strategies(load_settings().strategies_dir)]
    emit(rows, title="Strategies", as_json=as_json, empty="none")


@strategies_app.command("check")
def strategies_check(
    file: Annotated[Path, typer.Argument(help="A *.jsonc strategy file.")],
    *,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Check a strategy file; every problem is listed at once with its line and column.

    Example: `itb strategies check my_strategies/scalper.jsonc`
    """
    strategy = read_strategy(file)
    traded = _paper_trading(strategy)
    if as_json:
        emit([_strategy_row(strategy)], title="", as_json=True, empty="")
        return
    console.print(
        f"{file}: ok. {len(strategy.train_features)} features, {len(strategy.labels)} labels, "
        f"{len(strategy.algorithms)} algorithms, dialect {strategy.dialect}",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"  paper trading: {traded}", markup=False)
    for name in strategy.unused:
        console.print(f"  accepted, not used here: {name}", markup=False)


def _paper_trading(strategy: Strategy) -> str:
    """Say how the signals would be traded; raise ConfigError where strategy and labels leave that open."""
    platform = Platform(load_settings(), (strategy,))
    if strategy.variant not in platform.traded_variants:
        return "none, the signals neither buy nor sell"
    rule = platform.trading_rule(strategy.variant)
    return (
        f"{rule.direction}, take profit {rule.take_profit_pct:g} %, stop loss {rule.stop_loss_pct:g} %, "
        f"at most {rule.time_limit_rows} klines, fee {rule.fee_pct:g} % a side"
    )


def _strategy_row(strategy: Strategy) -> dict[str, object]:
    return {
        "variant": strategy.variant,
        "dialect": strategy.dialect,
        "features": len(strategy.train_features),
        "labels": ", ".join(strategy.labels),
        "algos": ", ".join(algorithm.name for algorithm in strategy.algorithms),
    }
