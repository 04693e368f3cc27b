"""What a model's page shows: how good it is out of sample, in figures, in plain words and in pictures.

Measuring belongs to the domain; whether it is used belongs to `promotion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from itb_assets.observability.model_plots import search_leaderboard
from itb_assets.observability.plots import feature_importance, score_calibration, walk_forward_auc
from itb_assets.observability.wording import counted, exact_percent, number, percent, share
from itb_assets.orchestration.metadata import pictures, table

if TYPE_CHECKING:
    from itb_assets.domain.training import TrainedModel

CONVINCING = 0.05
"""A result that luck alone reaches more often than this proves nothing."""


def training_page(trained: TrainedModel, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of the page, the telling ones first."""
    overall = metrics["overall"]
    win_rate = overall["win_rate"]
    return {
        "auc": _rounded(overall["auc"]),
        "trading": trading_words(metrics),
        "luck": luck_words(metrics),
        "win_rate": "too few signals" if win_rate is None else _rounded(win_rate),
        "base_rate": _rounded(overall["base_rate"]),
        "plots": _plots(trained),
        "walk_forward": _windows(trained),
        "average_precision": _rounded(overall["average_precision"]),
        "brier": _rounded(overall["brier"]),
        "out_of_sample_rows": overall["rows"],
        "train_rows": trained.n_train_rows,
        "trained_until": f"{trained.train_end:%Y-%m-%d %H:%M} UTC",
    } | _cross_validation(metrics)


def trading_words(metrics: Mapping[str, Any]) -> str:
    """Say in plain words what trading this model alone brought out of sample."""
    trading = metrics.get("trading")
    if not trading:
        return "not measured: the model was trained before trading was"
    if not trading["trades"]:
        return f"no trade out of sample: {trading.get('reason', 'no score reached its threshold')}"
    rule = trading["rule"]
    costs = f"fees of {exact_percent(rule['fee_pct'])} a side"
    if rule["slippage_pct"]:
        costs += f" and slippage of {exact_percent(rule['slippage_pct'])}"
    interval = f"{share(trading['wilson_low'])} to {share(trading['wilson_high'])}"
    did = "lost" if trading["total_pnl"] < 0 else "earned"
    return (
        f"{did} {number(abs(trading['total_pnl']))} on a capital of {number(trading['capital'], 0)} "
        f"after {costs}: {counted(trading['trades'], 'trade')}, "
        f"{share(trading['win_rate'])} won (95 %: {interval}), "
        f"{percent(trading['expectancy_pct'], 3, signed=True)} a trade; Sharpe {number(trading['sharpe'])} "
        f"a year, deepest drawdown {share(trading['max_drawdown'])}"
    )


def luck_words(metrics: Mapping[str, Any]) -> str:
    """Say in plain words how likely luck does as well."""
    luck = metrics.get("luck")
    if not luck:
        return "not tested: the model was trained before luck was"
    told = [
        f"{what}: {_chance(found['p_value'])}"
        for key, what in (("auc", "order of the scores"), ("trading", "trading result"))
        if (found := luck[key]) and found["p_value"] is not None
    ]
    if deflated := luck["deflated_sharpe"]:
        tried = counted(deflated["n_trials"], "model")
        told.append(f"{share(deflated['probability'])} sure to beat the best of {tried} without skill")
    return "; ".join(told) or "too few rows to tell"


def _chance(p_value: float) -> str:
    verdict = "hardly luck" if p_value <= CONVINCING else "may be luck"
    return f"{verdict}, shifted rows do as well in {share(p_value)} of cases"


def _cross_validation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    found = metrics.get("cross_validation")
    if not found:
        return {}
    return {
        "cross_validation_auc": _rounded(found["overall"]["auc"]),
        "cross_validation_auc_spread": _rounded(found["auc_spread"]),
    }


def _windows(trained: TrainedModel) -> dg.MarkdownMetadataValue:
    return table(
        [
            {
                "window": f"{fold.score_start:%Y-%m-%d}",
                "rows": fold.metrics.rows,
                "auc": fold.metrics.auc,
                "base rate": fold.metrics.base_rate,
            }
            for fold in trained.folds
        ]
    )


def _plots(trained: TrainedModel) -> dg.MarkdownMetadataValue:
    windows = [(f"{fold.score_start:%Y-%m-%d}", _number(fold.metrics.auc)) for fold in trained.folds]
    scores, importance = trained.scores, trained.importance
    plots = {
        "walk-forward AUC": walk_forward_auc(windows, _number(trained.metrics.auc)),
        "score calibration": score_calibration(scores["score"], scores["outcome"]),
        "feature importance": feature_importance(list(importance), list(importance.values())),
    }
    if trained.leaderboard:
        plots["leaderboard of the search"] = _leaderboard(trained)
    return pictures(plots)


def _leaderboard(trained: TrainedModel) -> bytes:
    board = trained.leaderboard or ()
    candidates = pd.DataFrame(
        {
            "name": [f"{entry['trial']} {entry['algo']}" for entry in board],
            "score": pd.Series([entry["value"] for entry in board], dtype="float64"),
            "seconds": [entry["seconds"] for entry in board],
            "state": [entry["state"] for entry in board],
        }
    )
    metric = f"{board[0]['metric'].replace('_', ' ')}, in windows held back inside the training rows"
    return search_leaderboard(candidates, title="Candidates of the search", metric=metric)


def _rounded(value: float | None) -> float | str:
    return "unknown" if value is None else round(value, 4)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
