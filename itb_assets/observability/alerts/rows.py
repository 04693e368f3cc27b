"""Between rows of the tables of alerts and what they mean.

The statements belong to `store` and `outbox`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts.incident import Incident
from itb_assets.domain.alerts.muting import Silence
from itb_assets.domain.alerts.occurrence import Level, storable

Row = sa.RowMapping

INCIDENT_COLUMNS = (
    "id",
    "fingerprint",
    "rule",
    "level",
    "labels",
    "title",
    "detail",
    "action",
    "url",
    "first_at",
    "last_at",
    "opened_at",
    "occurrences",
    "last_notified_at",
    "notified_level",
    "flapping_at",
    "flapping_level",
    "acked_by",
    "acked_at",
    "resolved_at",
)
"""Columns of `alert_incidents`, each named as the field of an incident."""

_TIMES = frozenset(name for name in INCIDENT_COLUMNS if name.endswith("_at"))
_LEVELS = ("level", "notified_level", "flapping_level")


def incident_of(row: Row) -> Incident:
    """Return a row of `alert_incidents` as an incident."""
    values = {name: row[name] for name in INCIDENT_COLUMNS}
    values |= {name: utc(values[name]) for name in _TIMES}
    values |= {name: None if values[name] is None else Level(values[name]) for name in _LEVELS}
    return Incident(**values)


def values_of(incident: Incident) -> dict[str, Any]:
    """Return an incident as parameters of a statement."""
    values = {name: getattr(incident, name) for name in INCIDENT_COLUMNS}
    values |= {name: None if values[name] is None else int(values[name]) for name in _LEVELS}
    return values | {"labels": as_json(incident.labels)}


def silence_of(row: Row) -> Silence:
    """Return a row of `alert_silences` as a silence."""
    times = {name: utc(row[name]) for name in ("until", "created_at")}
    return Silence(id=row["id"], matchers=row["matchers"], who=row["who"], why=row["why"], **times)


def utc(time: Any) -> Any:  # noqa: ANN401 - a time or None, as the column is
    """Return a time of the database, which comes in the session's zone, in UTC; None stays None."""
    return time.astimezone(UTC) if isinstance(time, datetime) else time


def as_json(value: object) -> str:
    """Return JSON that the database can hold: without the characters that its text has no place for."""
    return json.dumps(_storable(value), ensure_ascii=False, allow_nan=False)


def _storable(value: object) -> object:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): _storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
        return str(value)
    return value
