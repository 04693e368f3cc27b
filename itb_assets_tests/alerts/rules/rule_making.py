"""Rows for tests of rules, written as the pipeline writes them, and one rule looked at over them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts import Occurrence
from itb_assets.domain.alerts.evaluation import Evaluation
from itb_assets.observability.alerts.config import AlertConfig, load_config
from itb_assets.observability.alerts.rules import RULES, Look, Round, evaluate_all, tell
from itb_assets.observability.alerts.state import beat

NOW = datetime(2026, 3, 11, 14, 30, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def config_of(tmp_path: Path, text: str) -> AlertConfig:
    """Return the shipped configuration with a deployment's own file over it."""
    file = tmp_path / "alerts.toml"
    file.write_text(text, "utf-8")
    return load_config(file)


def looked(
    connection: sa.Connection, rule: str, config: AlertConfig | None = None, **changes: Any
) -> list[Evaluation]:
    """Return what one rule says, in a transaction that refuses to write."""
    given = {"config": config or load_config(), "now": NOW} | changes
    with connection.begin_nested() as savepoint:
        connection.execute(sa.text("SET LOCAL transaction_read_only = on"))
        found = list(RULES[rule](Look(connection=connection, **given)))
        savepoint.rollback()
    return found


def only(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the one evaluation there is."""
    assert len(evaluations) == 1, evaluations
    return evaluations[0]


def told(connection: sa.Connection, config: AlertConfig, now: datetime, **options: Any) -> list[Occurrence]:
    """Look at all rules and tell what is news, as the alerter does."""
    found: Round = evaluate_all(connection, config, now, **options)
    tell(connection, found, config, now)
    return list(found.occurrences)


def only_rule(*kept: str) -> str:
    """Return a file that switches every other rule off."""
    names = [rule for rule in load_config().rules.named() if rule not in kept]
    return "\n".join(f"[rules.{rule}]\nenabled = false" for rule in names)


def insert(connection: sa.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows into a table; objects become JSON."""
    columns = list(rows[0])
    values = [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
        for row in rows
    ]
    names = ", ".join(f":{name}" for name in columns)
    connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({names})"), values)  # noqa: S608


def trade(
    number: int, pnl: float | None, *, ended: datetime | None, held: timedelta = HOUR, **changes: Any
) -> dict[str, Any]:
    """Return a live paper trade of BTCUSDT that ended at a time, or is open; 1000 USDT at its entry."""
    at = (ended or NOW) - held
    row = {
        "symbol": "BTCUSDT",
        "freq": "5m",
        "time": at,
        "source": "paper",
        "account": "aggressive",
        "trade_id": f"t{number}",
        "side": "BUY",
        "status": "OPEN" if ended is None else "CLOSED",
        "price": 50_000,
        "quantity": "0.02",
        "model_name": "aggressive",
        "exit_time": ended,
        "pnl": pnl,
        "sample": "live",
    }
    return row | changes


def executed(number: int, pnl: float | None, *, ended: datetime | None, **changes: Any) -> dict[str, Any]:
    """Return an executed trade."""
    own = {"source": "binance_spot", "account": "main", "freq": "", "sample": None, "model_name": None}
    return trade(number, pnl, ended=ended, **(own | changes))


def results(
    wins: int, losses: int, *, ended: datetime, step: timedelta = MINUTE, **changes: Any
) -> list[Any]:
    """Return trades that won and lost in turn, the last of which ended at a time."""
    count = wins + losses
    pnls = [1.0] * wins + [-1.0] * losses
    return [
        trade(number, pnl, ended=ended - (count - 1 - number) * step, **changes)
        for number, pnl in enumerate(pnls)
    ]


def market(connection: sa.Connection, symbol: str = "BTCUSDT", freq: str = "5m") -> None:
    """Record a market that has klines."""
    row = {"symbol": symbol, "freq": freq, "asset": "raw/klines", "rows": 1, "sha256": "", "version": 1}
    insert(connection, "manifests", [row | {"run_id": ""}])


def kline(time: datetime, *, volume: float = 10.0, width: float = 1.001, **changes: Any) -> dict[str, Any]:
    """Return a kline whose high is `width` times its low."""
    row = dict.fromkeys(("close_time", "quote_av", "trades", "tb_base_av", "tb_quote_av", "ignore"), 0)
    prices = {"open": 100.0, "close": 100.0, "low": 100.0, "high": 100.0 * width}
    key = {"symbol": "BTCUSDT", "freq": "5m", "time": time}
    return key | prices | {"volume": volume} | row | changes


def drift(
    metric: str, verdict: str, *, at: datetime = NOW - HOUR, n: int = 600, **changes: Any
) -> dict[str, Any]:
    """Return one measure of a look for drift."""
    row = {
        "symbol": "BTCUSDT",
        "freq": "5m",
        "time": at,
        "model_name": "aggressive",
        "metric": metric,
        "value": 0.3,
        "n": n,
        "threshold": 0.25,
        "verdict": verdict,
        "detail": f"what {metric} rests on",
    }
    return row | changes


def beats(connection: sa.Connection, name: str, *, age: timedelta, **detail: Any) -> None:
    """Write a heartbeat."""
    beat(connection, name, NOW - age, detail)


def outbox(connection: sa.Connection) -> list[tuple[Any, ...]]:
    """Return what was put into the outbox, oldest first."""
    rows = connection.execute(sa.text("SELECT kind, level, message, chart FROM alert_outbox ORDER BY id"))
    return [tuple(row) for row in rows]
