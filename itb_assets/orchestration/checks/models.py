"""Checks of trained models: results out of sample that are too good to be true.

Whether a model is better than another belongs to `domain.evaluation`.
"""

from typing import Any

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.errors import ModelNotFound
from itb_assets.orchestration.checks.base import NOTHING, Verdict, define_check
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName, Platform

TOO_GOOD_AUC = 0.95
"""Nobody knows the next klines this well: a model beyond it has seen its answers, in a way no rule caught."""

SHOWN_FEATURES = 3


def model_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the check of every model."""
    return [_too_good(name) for name in platform.model_names()]


def _too_good(name: ModelName) -> dg.AssetChecksDefinition:
    def judge(platform: Platform, market: Market) -> Verdict:
        try:
            metrics = load_model(platform, market, name).stored.metrics
        except ModelNotFound:
            return NOTHING
        windows = [("all", metrics["overall"]["auc"])]
        windows += [(f"window {fold['fold']}", fold["auc"]) for fold in metrics["folds"]]
        suspicious = [
            {"rows": of, "auc": auc} for of, auc in windows if auc is not None and auc > TOO_GOOD_AUC
        ]
        found: dict[str, Any] = {"auc": metrics["overall"]["auc"], "too_good_from": TOO_GOOD_AUC}
        if suspicious:
            strongest = list(metrics["feature_importance"])[:SHOWN_FEATURES]
            found |= {"suspicious": table(suspicious), "look_first_at": ", ".join(strongest)}
        return Verdict(passed=not suspicious, metadata=found)

    words = f"Out of sample no AUC is above {TOO_GOOD_AUC}: such a score has seen its answers somewhere."
    return define_check(name.key, "too_good", judge, words, warn=True)
