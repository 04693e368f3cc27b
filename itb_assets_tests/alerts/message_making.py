"""Messages as they lie in the outbox, for tests of how they read and for the pages that show them.

What is expected of them belongs to the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from itb_assets.observability.alerts.catalogue import Language
from itb_assets.observability.alerts.rules.words import said

DOCS = "https://docs.example.com/operations"
RUN = "https://dagster.example.com/runs/6f1c9e52"


@dataclass(frozen=True)
class Waiting:
    """A row of the outbox as far as messages need it."""

    message: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "opened"
    leased_before: bool = False
    chart: bytes | None = None


def training_failed(**other: Any) -> dict[str, Any]:
    """Return what an event of Dagster leads to."""
    return {
        "rule": "training_failed",
        "level": "error",
        "labels": {
            "algo": "gb",
            "asset": "models/brisk/gb/high_20",
            "freq": "5m",
            "label": "high_20",
            "symbol": "BTCUSDT",
            "variant": "brisk",
        },
        "title": "models/brisk/gb/high_20 of BTCUSDT 5m: training failed",
        "detail": "DataContractError: 812 rows with a label, expected at least 1000 (terminal)",
        "action": "alert-training-failed",
        "url": RUN,
        "at": "2026-11-22T14:02:10+00:00",
        "first_at": "2026-11-22T14:02:10+00:00",
        "occurrences": 1,
        "incident_id": 17,
        "why": "new",
    } | other


def daily_loss(language: Language = "en", **other: Any) -> dict[str, Any]:
    """Return what a rule over the database leads to, which speaks the language itself."""
    lost = {"loss": 6.2, "limit": 5.0, "pnl": -620.0, "currency": "USDT", "capital": 10_000.0, "trades": 14}
    words = said(language, "title daily_loss", {}), said(language, "loss", lost)
    return {
        "rule": "daily_loss",
        "level": "critical",
        "labels": {"account": "binance_spot main", "currency": "USDT"},
        "title": words[0],
        "detail": words[1],
        "action": "alert-daily-loss",
        "at": "2026-11-22T16:40:00+00:00",
        "first_at": "2026-11-22T16:40:00+00:00",
        "occurrences": 1,
        "incident_id": 18,
        "why": "new",
    } | other


def data_stale(symbol: str = "ETHUSDT", **other: Any) -> dict[str, Any]:
    """Return a warning of a market."""
    return {
        "rule": "data_stale",
        "level": "warning",
        "labels": {"freq": "5m", "symbol": symbol},
        "title": said("en", "title data_stale", {}),
        "detail": said("en", "stale", {"age": timedelta(minutes=23)}),
        "action": "alert-data-stale",
        "at": "2026-11-22T16:41:00+00:00",
        "first_at": "2026-11-22T16:41:00+00:00",
        "occurrences": 1,
        "incident_id": 19,
        "why": "new",
    } | other


def model_drift(**other: Any) -> dict[str, Any]:
    """Return a warning that carries a chart."""
    return {
        "rule": "model_drift",
        "level": "warning",
        "labels": {"asset": "models", "freq": "5m", "label": "high_20", "symbol": "BTCUSDT"},
        "title": "model drift",
        "detail": "win rate 51.8 % of 311 live trades, 58.0 % out of sample; CUSUM 7.00, limit 6.50",
        "action": "alert-model-drift",
        "url": RUN,
        "at": "2026-11-22T12:05:00+00:00",
        "first_at": "2026-11-22T12:05:00+00:00",
        "occurrences": 1,
        "incident_id": 16,
        "why": "new",
    } | other


def profit_report(**other: Any) -> dict[str, Any]:
    """Return a report of many lines."""
    days = (
        {
            "who": "binance_spot main BTCUSDT (executed)",
            "pnl": 31.5,
            "currency": "USDT",
            "wins": 3,
            "trades": 4,
        },
        {"who": "BTCUSDT 5m brisk (on paper)", "pnl": 12.4, "currency": "USDT", "wins": 9, "trades": 14},
        {"who": "ETHUSDT 5m brisk (on paper)", "pnl": -3.1, "currency": "USDT", "wins": 5, "trades": 11},
    )
    return {
        "rule": "daily_pnl",
        "level": "info",
        "title": said("en", "title daily_pnl", {"day": "21 Nov 2026"}),
        "detail": "\n".join(said("en", "report pnl", each) for each in days),
        "at": "2026-11-22T06:00:00+00:00",
    } | other


def alive(**other: Any) -> dict[str, Any]:
    """Return the daily word of the dispatcher."""
    return {
        "level": "info",
        "at": "2026-11-22T06:00:00+00:00",
        "title": "Alerts are alive",
        "detail": "Open incidents: 2\nSent in 24 h: 14\nRefused in 24 h: 0\nWaiting: 0\n"
        "Oldest heartbeat: dagster_events, 4 s ago",
    } | other


def examples() -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return the messages that the pages show: name, then kind, message and how it is rendered."""
    lasting = {"at": "2026-11-22T18:02:10+00:00", "occurrences": 48}
    trembling = data_stale(why="flapping", occurrences=2, first_at="2026-11-22T16:12:00+00:00")
    lost = daily_loss("pt", occurrences=6, why="repeat", first_at="2026-11-22T16:10:00+00:00")
    return {
        "A training failed": ("opened", training_failed(), {}),
        "Four hours later it still fails": ("repeated", training_failed(**lasting, why="repeat"), {}),
        "It is over": ("resolved", training_failed(**lasting, why="over", detail=""), {}),
        "A loss, told again because no answer came": ("opened", daily_loss(), {"possible_repeat": True}),
        "Data that are late, in time and late again": ("opened", trembling, {}),
        "The report of the day": ("report", profit_report(), {}),
        "The daily sign of life": ("alive", alive(), {}),
        "In Portuguese, a training that failed": ("opened", training_failed(), {"language": "pt"}),
        "In Portuguese, a loss that goes on": ("repeated", lost, {"language": "pt"}),
    }


def storm() -> list[Waiting]:
    """Return what an exchange that is away for a while leads to."""
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    late = [Waiting(data_stale(symbol)) for symbol in symbols for _ in range(4)]
    failed = [
        Waiting(
            training_failed(
                rule="run_failed",
                labels={"freq": "5m", "job": "update", "symbol": symbol},
                title=f"run of update {symbol} 5m: failed",
                detail="ExchangeUnavailable: api.binance.com answered 503 (transient)",
                at=f"2026-11-22T16:4{minute}:00+00:00",
            )
        )
        for minute in range(3)
        for symbol in symbols[:2]
    ]
    over = [Waiting(data_stale("BNBUSDT"), kind="resolved")]
    return [*late, *failed, Waiting(daily_loss(), leased_before=True), *over]
