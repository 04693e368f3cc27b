"""Names of the rules that events of Dagster are told under, and what is said of one that is not understood.

What an event says belongs to `events` and `ticks`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from itb_assets.domain.alerts import Level, Occurrence
from itb_assets.observability.alerts.catalogue import Language
from itb_assets.orchestration.alerts.causes import first_line
from itb_assets.orchestration.alerts.phrases import phrase

TRAINING_FAILED = "training_failed"
PIPELINE_ERROR = "pipeline_error"
RUN_FAILED = "run_failed"
CHECK_FAILED = "check_failed"
MODEL_DRIFT = "model_drift"
ASSET_STALE = "asset_stale"
AUTOMATION_FAILED = "automation_failed"
DAEMON_ERROR = "daemon_error"
EVENT_UNREADABLE = "event_unreadable"


def action_of(rule: str) -> str:
    """Return the anchor in docs/operations.md that says what to do."""
    return f"alert-{rule.replace('_', '-')}"


def unreadable(
    kind: Literal["event", "tick", "report"],
    number: int | str,
    error: Exception,
    at: datetime,
    language: Language,
) -> Occurrence:
    """Say that an event or a tick, by its number, could not be understood and was passed over."""
    return Occurrence(
        event_id=f"dagster:{kind}:{number}",
        rule=EVENT_UNREADABLE,
        level=Level.WARNING,
        title=phrase(f"{kind} unreadable", language, number),
        detail=first_line(f"{type(error).__name__}: {error}"),
        action=action_of(EVENT_UNREADABLE),
        at=at,
    )
