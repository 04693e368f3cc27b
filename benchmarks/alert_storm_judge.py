"""What a storm of alerts left behind: what arrived, how late, how often, and whether anything is missing.

How the storm is made belongs to `alert_storm`. What counts is what the Bot API accepted.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from bot_api import BotApi, Sent

CASE = re.compile(r"case-\d+", re.IGNORECASE)
REPEAT = "[possible repeat]"
CRITICAL = 40
CRITICAL_TARGET_S = 15.0
GROUP_LIMIT = 20
_IN_FLIGHT_S = 1.0
"""A message that was accepted so shortly before its sender was killed has no answer that anybody read."""


@dataclass
class Storm:
    """What was done: events told, when the sender was killed and when the API was away."""

    seconds: float
    told: list[str] = field(default_factory=list)
    late_s: float = 0.0
    kills: list[datetime] = field(default_factory=list)
    outages: list[datetime] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    drained: bool = True
    drain_s: float = 0.0


def findings(engine: sa.Engine, api: BotApi, storm: Storm) -> dict[str, Any]:
    """Return every figure of a storm, as plain JSON."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.text(_ROWS)).mappings()]
        events = {row.event_id for row in connection.execute(sa.text("SELECT event_id FROM alert_events"))}
        silent = connection.scalar(sa.text(_SILENT))
    telegram = [message for message in api.sent if message.service == "telegram"]
    delays = critical_delays(rows, api.sent)
    again = repeats(telegram, storm.kills + storm.outages)
    return {
        "seconds": storm.seconds,
        "events": len(storm.told),
        "events_per_s": len(storm.told) / storm.seconds,
        "events_missing": len(set(storm.told) - events),
        "incidents_told_without_message": silent,
        "rows": len(rows),
        "rows_unsent": sum(row["sent_at"] is None for row in rows),
        "rows_not_in_what_arrived": len(missing(rows, telegram)),
        "messages": len(telegram),
        "over_the_second_channel": sum(message.service == "slack" for message in api.sent),
        "digests": sum("alerts" in message.text.partition("\n")[0] for message in telegram),
        "kills": len(storm.kills),
        "faults": storm.faults,
        "critical": len(delays),
        "critical_s": percentiles(delays),
        "most_in_a_minute": most_within(telegram, 60.0),
        "beyond_the_limits": sum(status == 429 for _, status in api.requests)
        - storm.faults.get("too_many", 0),
        "repeats": again,
        "drained": storm.drained,
        "drain_s": storm.drain_s,
    }


_ROWS = (
    "SELECT id, channel, level, kind, message ->> 'title' AS title, created_at, sent_at, receipt "
    "FROM alert_outbox ORDER BY id"
)
_SILENT = (
    "SELECT count(*) FROM alert_incidents AS i WHERE last_notified_at IS NOT NULL AND NOT EXISTS "
    "(SELECT FROM alert_outbox AS o WHERE o.incident_id = i.id AND o.sent_at IS NOT NULL)"
)


def missing(rows: Iterable[Mapping[str, Any]], telegram: Sequence[Sent]) -> list[int]:
    """Return the rows that no accepted message names, or counts as the digest that its receipt is of."""
    numbered = {f"{message.chat}/{message.message_id}": message for message in telegram}
    by_receipt: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["channel"] == "telegram":
            by_receipt[str(row["receipt"]).partition(" ")[0]].append(row)
    lost: list[int] = []
    for receipt, of in by_receipt.items():
        message = numbered.get(receipt)
        text = "" if message is None else message.text
        counted = re.search(r"(\d+) alerts", text.partition("\n")[0])
        if counted is not None and int(counted.group(1)) == len(of):
            continue
        lost += [row["id"] for row in of if len(of) > 1 or cases(str(row["title"])) != cases(text)]
    return lost


def critical_delays(rows: Iterable[Mapping[str, Any]], sent: Sequence[Sent]) -> list[float]:
    """Return for each critical message the seconds until the first that names it, on whatever channel."""
    first: dict[str, datetime] = {}
    for message in sent:
        for case in cases(message.text):
            first.setdefault(case, message.at)
    delays = []
    for row in rows:
        if row["level"] == CRITICAL and row["kind"] == "opened" and row["channel"] == "telegram":
            (case,) = cases(row["title"])
            at = first.get(case)
            delays.append(float("inf") if at is None else (at - row["created_at"]).total_seconds())
    return delays


def cases(text: str) -> list[str]:
    """Return the cases that a text names, each once."""
    return list(dict.fromkeys(case.lower() for case in CASE.findall(text)))


def percentiles(delays: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum; nothing measured is infinitely late."""
    if not delays:
        return dict.fromkeys(("p50", "p95", "max"), float("inf"))
    return {
        "p50": float(np.quantile(delays, 0.5, method="higher")),
        "p95": float(np.quantile(delays, 0.95, method="higher")),
        "max": float(max(delays)),
    }


def most_within(messages: Sequence[Sent], length_s: float) -> int:
    """Return the most messages that any stretch of so many seconds holds."""
    times = sorted(message.at.timestamp() for message in messages)
    return max((bisect_left(times, start + length_s) - at for at, start in enumerate(times)), default=0)


def repeats(telegram: Sequence[Sent], breaks: Sequence[datetime]) -> dict[str, int]:
    """Return how many lines repeat an earlier one, how many without a mark, and how many without a reason.

    A reason is an answer that was lost: by a fault, by a kill, or by an outage while it was under way.
    """
    named: dict[str, list[tuple[Sent, bool]]] = defaultdict(list)
    for message in telegram:
        for case, marked in _named(message.text):
            named[case].append((message, marked))
    counted = {"lines": 0, "unmarked": 0, "unexplained": 0}
    for seen in named.values():
        for (before, _), (_, marked) in pairwise(seen):
            counted["lines"] += 1
            counted["unmarked"] += not marked
            counted["unexplained"] += not (before.answered is False or _broken(before.at, breaks))
    return counted


def _named(text: str) -> list[tuple[str, bool]]:
    """Return the cases a message names, each with whether it is marked as a possible repeat."""
    lines = text.split("\n")
    if "alerts" not in lines[0]:
        return [(case, REPEAT in text) for case in cases(text)]
    return [(case, REPEAT in line) for line in lines for case in cases(line)]


def _broken(at: datetime, breaks: Sequence[datetime]) -> bool:
    return any(-_IN_FLIGHT_S <= (moment - at).total_seconds() <= _IN_FLIGHT_S for moment in breaks)


def verdicts(found: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """Return each promise with whether it was kept."""
    lost = [
        found[name]
        for name in (
            "events_missing",
            "incidents_told_without_message",
            "rows_unsent",
            "rows_not_in_what_arrived",
        )
    ]
    p95, again = found["critical_s"]["p95"], found["repeats"]
    most, beyond = found["most_in_a_minute"], found["beyond_the_limits"]
    pace = f"at most {most} messages in a minute, {beyond} refused as too many: at most {GROUP_LIMIT}, none"
    repeated = (
        f"{again['lines']} lines repeated, {again['unmarked']} unmarked, {again['unexplained']} for nothing"
    )
    return [
        (not any(lost) and found["drained"], f"nothing missing: {sum(lost)} of {found['events']:,} events"),
        (p95 < CRITICAL_TARGET_S, f"critical p95 {p95:.1f} s: under {CRITICAL_TARGET_S:g} s"),
        (beyond == 0 and most <= GROUP_LIMIT, pace),
        (again["unmarked"] == 0 and again["unexplained"] == 0, f"{repeated}: none"),
    ]
