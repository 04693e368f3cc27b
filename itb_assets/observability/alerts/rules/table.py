"""The table of all rules for the documentation, made from the shipped configuration.

The page around it belongs to `docs/alerts.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts.config import AlertConfig, load_config
from itb_assets.observability.alerts.config_rules import (
    EventRule,
    LowDays,
    LowWinRate,
    Measure,
    ReportRule,
    Rule,
    Unusual,
    Watch,
)
from itb_assets.observability.alerts.config_values import length_text

MEANING: Mapping[str, str] = {
    "daily_loss": "executed trades that ended this UTC day lost more of `[capital.executed]`, by account",
    "trading_halted": "a trading process says that it halted, or its heartbeat is older",
    "cloud_cost_over_budget": "the month was billed more of `[budget]`",
    "api_authentication_failed": "an API refused the credentials at the last call",
    "training_failed": "a model could not be trained",
    "pipeline_error": "another asset could not be computed",
    "run_failed": "a run ended before its steps could say why: killed, out of memory, its code gone",
    "check_failed": "an asset check failed; a warning where the check only warns",
    "asset_stale": "an asset is later than its freshness policy allows",
    "automation_failed": "a sensor or schedule failed at a tick",
    "daemon_error": "a daemon of Dagster has errors or is silent",
    "dagster_silent": "the heartbeat of the reader of Dagster's events is older: daemon or code server gone",
    "orderbook_stopped": "the heartbeat of an order-book collector is older",
    "win_rate_low": "the highest likely win rate of the pooled trades is lower (Wilson's upper bound)",
    "win_rate_low_days": "whole days in a row won a smaller share",
    "rule_broken": "a rule could not be computed",
    "event_unreadable": "an event of Dagster could not be read and was passed over",
    "daily_loss_paper": "as daily_loss, of live trades on paper, by market and variant",
    "api_latency": "95 of 100 answers of an API took up to this, or longer",
    "model_drift": "the newest look at win rate or calibration [alarms](drift.md)",
    "feature_drift": "the newest look at features and scores [alarms](drift.md); a PSI of 0.25 is an error",
    "unusual_volume": "volume lies further off the same time of earlier days, either way",
    "unusual_volatility": "volatility lies further off the same time of earlier days, either way",
    "cloud_cost_near_budget": "as cloud_cost_over_budget, earlier",
    "data_stale": "the newest kline of a market closed longer ago",
    "gap_found": "klines are missing within the window",
    "alert_delivery_lagging": "the oldest alert that waits for its channel is older",
    "log_delivery_lagging": "the oldest log line that was not delivered is older",
    "daily_pnl": "profit and loss of the UTC day before",
    "model_summary": "what the newest look says of every model",
    "cost_summary": "what the cloud cost this month, and will have",
}
_FED = {
    "events": "Dagster's events",
    "database": "tables",
    "heartbeat": "heartbeats",
    "report": "tables, heartbeats",
}


def markdown_table(config: AlertConfig | None = None) -> str:
    """Return every rule as a row of Markdown: level, when it fires, over what, and what feeds it."""
    config = config or load_config()
    rows = [
        "| rule | level | fires when | beyond | over after | window | least data | looked at | fed by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rules = config.rules.named()
    for level in sorted(Level, reverse=True):
        rows += [_row(name, rule) for name, rule in rules.items() if rule.level is level]
    return "\n".join(rows)


def _row(name: str, rule: Rule) -> str:
    shown = f"`{name}`" if rule.enabled else f"`{name}` (off)"
    cells = (
        shown,
        rule.level.label,
        MEANING[name],
        _beyond(rule),
        _over(rule),
        _window(rule),
        _least(rule),
        _looked_at(rule),
        "the rules" if name == "rule_broken" else _FED[rule.source],
    )
    return f"| {' | '.join(cells)} |"


def _beyond(rule: Rule) -> str:
    if isinstance(rule, LowDays):
        return f"{rule.threshold:.0%}, {rule.days} days"
    if isinstance(rule, LowWinRate):
        return f"{rule.threshold:.0%} at {rule.confidence:.0%} confidence"
    return _amount(rule.threshold, rule.unit) if isinstance(rule, Measure) else ""


def _over(rule: Rule) -> str:
    if isinstance(rule, LowWinRate):
        return f"{rule.clear:.0%}"
    return _amount(rule.clear, rule.unit) if isinstance(rule, Measure) else ""


def _window(rule: Rule) -> str:
    window = getattr(rule, "window", None)
    if isinstance(rule, Unusual):
        return f"{length_text(rule.window)} against {rule.earlier_days} days"
    return "" if window is None else length_text(window)


def _least(rule: Rule) -> str:
    least = getattr(rule, "min_sample", None)
    return "" if least is None else str(least)


def _looked_at(rule: Rule) -> str:
    if isinstance(rule, EventRule):
        return "as it happens"
    if isinstance(rule, ReportRule):
        return f"daily, {rule.at:%H:%M} UTC"
    return f"every {length_text(rule.every)}" if isinstance(rule, Watch) else ""


def _amount(value: float, unit: str) -> str:
    return f"{value:g} {unit}".strip()
