"""Checks of drift: what the newest look at a variant found.

What is measured, and when it alarms, belongs to `domain.drift`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.orchestration.checks.base import Verdict, market_check
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame

if TYPE_CHECKING:
    from itb_assets.domain.drift import DriftEvaluation

MOST_NAMED = 3
"""Alarms that the check's own line names; its table has all."""


def drift_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Define the check of every variant's looks."""
    return [_drift(strategy.variant) for strategy in platform.strategies]


def _drift(variant: str) -> dg.AssetChecksDefinition:
    @market_check(["drift", variant], "drift")
    def drift(platform: Platform, market: Market, stored: StoredFrame) -> Verdict:
        """Nothing watched has drifted: a warning warns, an error fails; what cannot be judged yet is said."""
        return _judge(stored)

    return drift


def _judge(stored: StoredFrame) -> Verdict:
    from itb_assets.domain.drift import read_looks  # noqa: PLC0415 - SciPy loads slowly

    looks = read_looks(stored.tail(1))
    if not looks:
        return Verdict(
            passed=True, metadata={"verdict": "insufficient data", "found": "no look was taken yet"}
        )
    look = looks[-1]
    silent = [one for one in look.evaluations if one.verdict == "insufficient data"]
    return Verdict(
        passed=not look.alarms,
        metadata={
            "verdict": look.verdict,
            "looked_at": f"{look.at:%Y-%m-%d %H:%M} UTC",
            "measures": len(look.evaluations),
            "alarms": _table(look.alarms),
            "insufficient_data": _table(silent),
        },
        why="; ".join(f"{one.metric}: {one.detail}" for one in look.alarms[:MOST_NAMED]),
        severity=dg.AssetCheckSeverity.ERROR if look.verdict == "error" else dg.AssetCheckSeverity.WARN,
    )


def _table(evaluations: "Iterable[DriftEvaluation]") -> dg.MarkdownMetadataValue:
    return table(
        [{"metric": one.metric, "verdict": one.verdict, "detail": one.detail} for one in evaluations]
    )
