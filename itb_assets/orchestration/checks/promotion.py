"""The check that the model trained last is the one in use, and what kept it back where it is not.

The test it was kept back by belongs to `domain.evaluation.compare`, promoting by hand to the command line.
"""

from typing import Any

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.orchestration.checks.base import NOTHING, Verdict, define_check
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.promotion import how_to_promote

SHOWN = ("log_loss_promoted", "log_loss_candidate", "p_worse", "auc_promoted", "auc_candidate", "rows")
"""Numbers of the test that are shown."""

_WORDS = "The version trained last is in use, or a person chose another; it was not kept back as worse."


def promotion_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the check of every model."""
    return [_promoted(name) for name in platform.model_names()]


def _promoted(name: ModelName) -> dg.AssetChecksDefinition:
    def judge(platform: Platform, market: Market) -> Verdict:
        return _judge(platform, market, name)

    return define_check(name.key, "promoted", judge, _WORDS, warn=True)


def _judge(platform: Platform, market: Market, name: ModelName) -> Verdict:
    registry, address = platform.registry, name.at(market)
    newest, used = registry.newest(address), registry.promoted(address)
    if newest is None or used is None:
        return NOTHING
    found: dict[str, Any] = {"in_use": used.number, "newest": newest.number}
    if newest.error:
        return Verdict(passed=False, metadata=found | {"broken": newest.error}, why=newest.error)
    comparison = newest.metadata.get("comparison") or {}
    if newest.state == "promoted" or comparison.get("promote", True):
        return Verdict(passed=True, metadata=found)
    why = f"{comparison['reason']}; {how_to_promote(address, newest.number)}"
    numbers = {key: comparison[key] for key in SHOWN if comparison.get(key) is not None}
    return Verdict(passed=False, metadata=found | {"kept_back": why} | numbers, why=why)
