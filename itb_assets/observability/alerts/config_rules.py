"""The keys that each rule of the alerts' configuration takes, by what kind of rule it is.

What a rule reads, and when it fires, belongs to `rules`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from itb_assets.domain.alerts.thresholds import Bound, Direction
from itb_assets.errors import InputError
from itb_assets.observability.alerts.config_values import (
    Count,
    Length,
    LevelName,
    Limit,
    Names,
    Strict,
    TimeOfDay,
)

Source = Literal["events", "database", "heartbeat", "report"]


class Rule(Strict):
    """What every rule has."""

    source: ClassVar[Source] = "events"

    enabled: bool
    level: LevelName


class EventRule(Rule):
    """A rule that is told by whoever saw it happen; `level` is that of errors, milder ones stay milder."""


class ReportRule(Rule):
    """A summary of the UTC day before, once a day."""

    source: ClassVar[Source] = "report"

    at: TimeOfDay


class Watch(Rule):
    """A rule that is computed every so often."""

    source: ClassVar[Source] = "database"

    every: Length


class Measure(Watch):
    """A rule that fires when a number is beyond its threshold."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = "above"

    threshold: Limit
    clear: Limit

    @model_validator(mode="after")
    def _comes_back(self) -> Self:
        try:
            _ = self.bound
        except InputError as error:
            raise ValueError(f"{error}; say both in your file") from None
        return self

    @property
    def bound(self) -> Bound:
        """The threshold with how far a value has to come back."""
        return Bound(self.threshold, self.clear, self.direction)


class DailyLoss(Measure):
    """Loss of a UTC day in per cent of the capital."""

    unit = "%"

    window: Length
    min_sample: Count


class ExecutedLoss(DailyLoss):
    """The same of executed trades, which somebody has to import."""

    max_age: Length


class Absence(Measure):
    """Age of heartbeats in seconds; `expected` ones are missed from the start."""

    source: ClassVar[Source] = "heartbeat"
    unit = "s"

    expected: Names


class ByHeartbeat(Watch):
    """What a heartbeat says outright."""

    source: ClassVar[Source] = "heartbeat"


class Cost(Measure):
    """Cost of the month in per cent of its budget."""

    source: ClassVar[Source] = "heartbeat"
    unit = "% of the budget"

    max_age: Length


class Latency(Measure):
    """The 95th percentile of an API's answers in seconds."""

    source: ClassVar[Source] = "heartbeat"
    unit = "s"

    window: Length
    min_sample: Count


class LogDelivery(Measure):
    """Age of the oldest log line that was not delivered, in seconds."""

    source: ClassVar[Source] = "heartbeat"
    unit = "s"

    max_age: Length


class AlertDelivery(Measure):
    """Age of the oldest alert that was not delivered, in seconds."""

    unit = "s"


class LowWinRate(Measure):
    """Highest likely win rate of the pooled trades of a window."""

    direction = "below"

    threshold: Annotated[float, Field(gt=0, lt=1)]
    clear: Annotated[float, Field(gt=0, le=1)]
    window: Length
    min_sample: Count
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class LowDays(Watch):
    """Days in a row below a win rate."""

    threshold: Annotated[float, Field(gt=0, lt=1)]
    days: Annotated[int, Field(ge=1, le=30)]
    min_sample: Count


class Drift(Watch):
    """Verdicts of the newest look for drift."""

    window: Length
    max_age: Length
    min_sample: Count


class Unusual(Measure):
    """Robust deviations from earlier days, either way."""

    unit = "deviations"

    window: Length
    earlier_days: Annotated[int, Field(ge=3, le=90)]
    min_sample: Annotated[int, Field(ge=3)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_sample > self.earlier_days:
            raise ValueError(
                f"min_sample = {self.min_sample}: expected at most earlier_days, {self.earlier_days}"
            )
        return self


class Staleness(Measure):
    """How late the newest kline is, in klines."""

    unit = "klines"

    grace: Length


class Missing(Measure):
    """How many klines are missing."""

    unit = "klines"

    window: Length
    min_sample: Count


class Rules(Strict):
    """Every rule there is, in the order in which they are listed."""

    daily_loss: ExecutedLoss
    trading_halted: Absence
    cloud_cost_over_budget: Cost
    api_authentication_failed: ByHeartbeat
    training_failed: EventRule
    pipeline_error: EventRule
    run_failed: EventRule
    check_failed: EventRule
    asset_stale: EventRule
    automation_failed: EventRule
    daemon_error: EventRule
    dagster_silent: Absence
    orderbook_stopped: Absence
    win_rate_low: LowWinRate
    win_rate_low_days: LowDays
    rule_broken: EventRule
    event_unreadable: EventRule
    daily_loss_paper: DailyLoss
    api_latency: Latency
    model_drift: Drift
    feature_drift: Drift
    unusual_volume: Unusual
    unusual_volatility: Unusual
    cloud_cost_near_budget: Cost
    data_stale: Staleness
    gap_found: Missing
    alert_delivery_lagging: AlertDelivery
    log_delivery_lagging: LogDelivery
    daily_pnl: ReportRule
    model_summary: ReportRule
    cost_summary: ReportRule

    def named(self) -> dict[str, Rule]:
        """Return all of them by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}
