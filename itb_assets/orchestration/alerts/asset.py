"""What is wrong, shown in Dagster's UI: one asset without data, whose check fails while an incident is open.

It is written when the open incidents change and by no run, so that it costs a run nothing. What is wrong is
decided in `observability.alerts`.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa

from itb_assets.domain.alerts import Incident, Level
from itb_assets.observability.alerts import state, store
from itb_assets.orchestration.alerts.writer import AlertWriter, writer_of
from itb_assets.orchestration.assets.base import OWNERS
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.metadata import table
from itb_assets.orchestration.platform import Platform

INCIDENTS = dg.AssetKey(["alerts", "incidents"])
CHECK = "none_open"
SHOWN = "dagster_ui"
MOST_SHOWN = 50
MOST_WORDS = 200
NO_DATABASE = "no database is configured, so no incident is kept: set ITB_DATABASE_URL"
_MARKS = re.compile(r"[\\`*_{}\[\]<>|#~]")


def incidents_asset(platform: Platform) -> dg.AssetSpec:
    """Return the asset on whose page the open incidents are listed, or that none are kept."""
    kept = platform.settings.database_url is not None
    return dg.AssetSpec(
        INCIDENTS,
        group_name="alerts",
        owners=OWNERS,
        kinds={"postgres"},
        description="What is wrong now: its check fails while an incident is open, and lists them."
        + ("" if kept else f" Nothing is known here: {NO_DATABASE}."),
    )


def incidents_check() -> dg.AssetChecksDefinition:
    """Return the check that the sensor fills in by itself; it may be run by hand, too."""

    def check(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        with as_failures(retry=False):
            return _looked_up(platform)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.asset_check(
            asset=INCIDENTS,
            name=CHECK,
            description="No incident is open: each is listed until it is over, acknowledged or not.",
        )(check)


def show_incidents(instance: dg.DagsterInstance, writer: AlertWriter, now: datetime) -> bool:
    """Write the open incidents to the asset's page if they are others than the last time; say whether."""
    with writer.writing(SHOWN, now) as writing:
        if writing is None:
            return False
        found = _open_incidents(writing.connection)
        digest = _digest(found)
        if state.read_cursor(writing.connection, SHOWN) == digest:
            return False
        instance.report_runless_asset_event(_evaluation(_result(found)))
        state.move_cursor(writing.connection, SHOWN, digest, now)
    return True


def _looked_up(platform: Platform) -> dg.AssetCheckResult:
    writer = writer_of(platform)
    if writer is None:
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description=NO_DATABASE, metadata={}
        )
    with closing(writer), writer.reading() as connection:
        return _result(_open_incidents(connection))


def _open_incidents(connection: sa.Connection) -> list[Incident]:
    return store.incidents(connection, open_only=True, limit=MOST_SHOWN + 1)


def _result(incidents: Sequence[Incident]) -> dg.AssetCheckResult:
    worst = max((each.level for each in incidents), default=Level.INFO)
    bad = sum(each.level >= Level.WARNING for each in incidents)
    many = f"more than {MOST_SHOWN}" if bad > MOST_SHOWN else str(bad)
    said = f"{many} incident{'s are' if bad > 1 else ' is'} open" if bad else "nothing is wrong"
    rows = [_row(each) for each in incidents[:MOST_SHOWN]]
    return dg.AssetCheckResult(
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR if worst >= Level.ERROR else dg.AssetCheckSeverity.WARN,
        # a table among the metadata would be folded behind a link
        description=f"{said}\n\n{table(rows).value}" if rows else said,
        metadata={"open": bad},
    )


def _evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=INCIDENTS,
        check_name=CHECK,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


def _row(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "level": incident.level.label,
        "what": _cell(": ".join(part for part in (incident.title, incident.detail) if part)),
        "since": f"{incident.first_at.astimezone(UTC):%d %b %H:%M} UTC".replace(" ", "\N{NO-BREAK SPACE}"),
        "acknowledged": _cell(incident.acked_by or "no"),
        "run": f"[open]({incident.url})" if incident.url else "",
    }


def _cell(text: str) -> str:
    """Keep text on one line of a table and from being read as Markdown or HTML."""
    return _MARKS.sub(r"\\\g<0>", " ".join(text.split())[:MOST_WORDS])


def _digest(incidents: Sequence[Incident]) -> str:
    parts = sorted((each.id, int(each.level), each.title, each.acked_by or "") for each in incidents)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
