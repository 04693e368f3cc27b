"""Incidents, rules and messages as rows: whole for a machine, in few columns for a terminal.

What a person does about them belongs to `desk`; how a table is drawn to the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from itb_assets.domain.alerts import Incident
from itb_assets.errors import InputError
from itb_assets.observability.alerts import outbox
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.config_rules import Rule, Watch
from itb_assets.observability.alerts.state import RuleState, states
from itb_assets.orchestration.alerts.records import EVENTS

OLD_AFTER = timedelta(minutes=2)
"""A look at a rule, or at Dagster's events, that is older says nothing of now; or three of its turns."""

NOT_COMPUTED = "`itb alerter` computes it"
UNREAD = "nobody has read Dagster's events here: start `itb alerter`, or `itb ui`"
NO_POLICY = "no asset has told of its freshness: the shipped ones have no policy, data_stale watches klines"
_OPEN = sa.text("SELECT rule, count(*) AS open FROM alert_incidents WHERE resolved_at IS NULL GROUP BY rule")
_READ = sa.text("SELECT moved_at FROM alert_cursors WHERE name = :name")
_EVER = sa.text("SELECT EXISTS (SELECT FROM alert_incidents WHERE rule = 'asset_stale')")


def incident_rows(found: Sequence[Incident]) -> list[dict[str, Any]]:
    """Return incidents as rows, with all there is to know."""
    return [
        {
            "id": each.id,
            "level": each.level.label,
            "rule": each.rule,
            "what": labels_text(each.labels),
            "labels": dict(each.labels),
            "title": each.title,
            "detail": each.detail.partition("\n")[0],
            "times": each.occurrences,
            "first_at": time_text(each.first_at),
            "last_at": time_text(each.last_at),
            "told_at": time_text(each.last_notified_at),
            "acked_by": each.acked_by,
            "resolved_at": time_text(each.resolved_at),
        }
        for each in found
    ]


def incident_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return incidents for a terminal of eighty columns."""
    return [
        {
            "id": row["id"],
            "level": row["level"],
            "what": "\n".join((row["rule"], *(f"{name}={value}" for name, value in row["labels"].items()))),
            "found": row["detail"] or row["title"],
            "since (UTC)": f"{row['first_at'][:-3]}\n{_times(row)}",
        }
        for row in rows
    ]


def _times(row: Mapping[str, Any]) -> str:
    times = "once" if row["times"] == 1 else f"{row['times']:,} times"
    if row["resolved_at"]:
        return f"{times}, over"
    acked = f", {row['acked_by']} is at it" if row["acked_by"] else ""
    return times + (acked or ("" if row["told_at"] else ", not told"))


@dataclass(frozen=True)
class RulesDesk:
    """What is known of the rules at a time: their configuration, their last looks, and what is open."""

    config: AlertConfig
    looks: Mapping[str, Sequence[RuleState]]
    open: Mapping[str, int]
    read_at: datetime | None
    freshness_told: bool
    now: datetime

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every rule with what it last said of each thing that it watches."""
        for name, rule in self.config.rules.named().items():
            for look in self.looks.get(name) or (None,):
                state, detail = self._stands(name, rule, look)
                yield {
                    "rule": name,
                    "level": rule.level.label,
                    "state": state,
                    "what": "" if look is None else labels_text(look.labels),
                    "value": None if look is None else look.value,
                    "threshold": getattr(rule, "threshold", None),
                    "since": None if look is None else time_text(look.since),
                    "detail": detail,
                }

    def _stands(self, name: str, rule: Rule, look: RuleState | None) -> tuple[str, str]:
        if not rule.enabled:
            return "off", "switched off in the alerts' file"
        if rule.source == "events" and look is None:
            return self._told(name)
        if look is None:
            return "not computed", NOT_COMPUTED
        every = rule.every if isinstance(rule, Watch) else timedelta(minutes=1)
        if self.now - look.at > max(OLD_AFTER, 3 * every):
            return "not computed", f"not since {time_text(look.at)}: {NOT_COMPUTED} (then: {look.state})"
        return look.state, look.detail

    def _told(self, name: str) -> tuple[str, str]:
        """Return how a rule stands that is told by whoever sees it happen."""
        if self.open.get(name):
            return "firing", f"{self.open[name]} open: `itb alerts list`"
        if self.read_at is None:
            return "no_data", UNREAD
        age = self.now - self.read_at
        if age > OLD_AFTER:
            return "not computed", f"Dagster's events were last read {time_text(self.read_at)}: `itb alerter`"
        if name == "asset_stale" and not self.freshness_told:
            return "no_data", NO_POLICY
        seconds = max(age, timedelta(0)).seconds
        return "told by events", f"nothing is open; events were read {seconds} s ago"


def rule_rows(connection: sa.Connection, config: AlertConfig, now: datetime) -> list[dict[str, Any]]:
    """Return every rule with what it last said, what it lacks, and whether that is still of now."""
    looks: dict[str, list[RuleState]] = {}
    for each in states(connection):
        looks.setdefault(each.rule, []).append(each)
    desk = RulesDesk(
        config,
        looks,
        {row.rule: row.open for row in connection.execute(_OPEN)},
        connection.scalar(_READ, {"name": EVENTS}),
        bool(connection.scalar(_EVER)),
        now,
    )
    return [*desk.rows()]


def rule_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rules for a terminal of eighty columns: what is fine of one rule shares a line."""
    table: list[dict[str, Any]] = []
    fine = [row["rule"] for row in rows if row["state"] == "ok"]
    shared = {rule for rule in fine if fine.count(rule) > 1}
    for row in rows:
        found = f"{row['what']}: {row['detail']}" if row["what"] else row["detail"]
        if row["state"] == "ok" and row["rule"] in shared:
            if (row["rule"], "ok") in {(each["rule"].partition("\n")[0], each["state"]) for each in table}:
                continue
            found = f"{fine.count(row['rule'])} watched and fine, such as {found}"
        table.append({"rule": f"{row['rule']}\n{row['level']}", "state": row["state"], "found": found})
    return table


def dead_rows(connection: sa.Connection, ids: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Return the newest messages that were given up and did not come back, as rows; or those of `ids`.

    Raises InputError for a number of none that was given up.
    """
    if ids:
        found = [row for row in outbox.numbered(connection, ids) if row.dead_at is not None]
        missing = sorted(set(ids) - {row.id for row in found})
        if missing:
            raise InputError(
                f"no message {missing[0]} was given up: `itb alerts replay` lists those that were"
            )
    else:
        found = outbox.dead_letters(connection)
    return [
        {
            "id": row.id,
            "channel": row.channel,
            "level": row.level.label,
            "kind": row.kind,
            "title": str(row.message.get("title", "")),
            "attempts": row.attempts,
            "given_up_at": time_text(row.dead_at),
            "why": row.last_error,
        }
        for row in found
    ]


def dead_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages that were given up for a terminal of eighty columns."""
    return [
        {
            "id": row["id"],
            "channel": row["channel"],
            "message": f"{row['level']}: {row['title']}",
            "given up (UTC)": row["given_up_at"],
            "why": row["why"],
        }
        for row in rows
    ]


def labels_text(labels: Mapping[str, str]) -> str:
    """Write labels as a person types them."""
    return " ".join(f"{name}={value}" for name, value in labels.items())


def time_text(at: datetime | None) -> str | None:
    """Write a time in UTC; None where there is none."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
