"""Who is alive, how far readers have come, what each rule last said; and forgetting what is long over.

Incidents and silences belong to `store`, messages to `outbox`. Every function works in the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from itb_assets.domain.alerts.occurrence import fingerprint_of
from itb_assets.observability.alerts import statements as sql
from itb_assets.observability.alerts.rows import as_json, utc

State = Literal["firing", "ok", "insufficient", "no_data"]


@dataclass(frozen=True)
class Beat:
    """When a process last said that it is alive, and what it said."""

    name: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """What a rule last said of one identity, and since when."""

    rule: str
    fingerprint: str
    labels: Mapping[str, str]
    state: State
    value: float | None
    detail: str
    since: datetime
    at: datetime


def beat(
    connection: sa.Connection, name: str, now: datetime, detail: Mapping[str, Any] | None = None
) -> None:
    """Say that a process is alive; an older beat never takes the place of a newer one."""
    connection.execute(sa.text(sql.BEAT), {"name": name, "now": now, "detail": as_json(detail or {})})


def beats(connection: sa.Connection) -> dict[str, Beat]:
    """Return the last beat of every process that ever had one, by name."""
    rows = connection.execute(sa.text("SELECT name, at, detail FROM heartbeats ORDER BY name"))
    return {row.name: Beat(row.name, utc(row.at), row.detail) for row in rows}


def read_cursor(connection: sa.Connection, name: str) -> str | None:
    """Return how far a reader has come; None before its first look."""
    statement = "SELECT cursor FROM alert_cursors WHERE name = :name"
    found: str | None = connection.execute(sa.text(statement), {"name": name}).scalar()
    return found


def move_cursor(connection: sa.Connection, name: str, cursor: str, now: datetime) -> None:
    """Note how far a reader has come, in the transaction of what it reported."""
    connection.execute(sa.text(sql.MOVE_CURSOR), {"name": name, "cursor": cursor, "now": now})


def forget_cursor(connection: sa.Connection, name: str) -> None:
    """Forget how far a reader has come, so that its next look is a first one."""
    connection.execute(sa.text("DELETE FROM alert_cursors WHERE name = :name"), {"name": name})


def note_state(
    connection: sa.Connection,
    *,
    rule: str,
    labels: Mapping[str, str],
    state: State,
    value: float | None,
    detail: str,
    now: datetime,
) -> None:
    """Note what a rule says of one identity; `since` moves only where that is something else."""
    values = {
        "rule": rule,
        "fingerprint": fingerprint_of(rule, labels),
        "labels": as_json(labels),
        "state": state,
        "value": value,
        "detail": detail,
        "now": now,
    }
    connection.execute(sa.text(sql.NOTE_STATE), values)


def states(connection: sa.Connection) -> list[RuleState]:
    """Return what every rule last said, by rule and identity."""
    rows = connection.execute(sa.text(sql.STATES)).mappings()
    return [RuleState(**{name: utc(value) for name, value in row.items()}) for row in rows]


def forget(connection: sa.Connection, before: datetime) -> tuple[int, int, int]:
    """Delete what ended before a time; return how many messages, causes and incidents that were.

    Nothing open and nothing that waits goes. A cause that is forgotten would be news if it were told again,
    so `before` lies further back than any reader looks.
    """
    messages, causes, ended = (
        connection.execute(sa.text(statement), {"before": before}).rowcount for statement in sql.FORGET
    )
    return messages, causes, ended
