"""How alerts fare, as metrics of Prometheus: read from the database at every scrape, and never kept.

Serving them belongs to `orchestration.alerts.metrics`, what a heartbeat means to the rules.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import get_args

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.observability.alerts.lane import Clock
from itb_assets.observability.alerts.sessions import DATABASE_ERRORS, Connect, in_short
from itb_assets.observability.alerts.state import State
from itb_assets.observability.logs import get_logger, redact

TIMEOUT_S = 2.0
"""How long a scrape may read, and how long it waits for another one that does."""

Figures = Mapping[str, Mapping[tuple[str, ...], float]]
"""By the name of a family, then by the values of its labels."""


@dataclass(frozen=True)
class Family:
    """A metric that is read: its name, what it says, its labels, and whether it only ever grows."""

    name: str
    says: str
    labels: tuple[str, ...]
    grows: bool = False


FAMILIES = (
    Family("itb_heartbeat_age_seconds", "Seconds since a process last said that it is alive.", ("name",)),
    Family("itb_incidents_open", "Incidents that are open, acknowledged ones among them.", ("level",)),
    Family("itb_outbox_pending", "Messages that their channel has not taken yet.", ("channel", "level")),
    Family(
        "itb_outbox_oldest_seconds",
        "Age in seconds of the oldest message that waits for its channel; 0 where none waits.",
        ("channel",),
    ),
    Family(
        "itb_outbox_dead",
        "Messages that were given up: refused for good, or for a channel that is not set up.",
        ("channel",),
        grows=True,
    ),
    Family(
        "itb_alerts_sent",
        "Messages that their channel has taken; those that shared one are counted one by one.",
        ("channel",),
        grows=True,
    ),
    Family(
        "itb_rule_state",
        "Things that a rule watches, by what it last said of them.",
        ("rule", "state"),
    ),
)
"""What is read of the database; of one that grows the exposition adds `_total` to the name."""

_UP = "Whether the database with the alerts answered this scrape: 1 or 0, and then there is nothing else."
_WHEN = " ".join(f"WHEN {int(level)} THEN '{level.label}'" for level in Level)
_LEVEL = f"CASE level {_WHEN} END"
_READ = f"""
SELECT 'itb_heartbeat_age_seconds' AS family, ARRAY[name] AS labels,
    greatest(0, extract(epoch FROM CAST(:now AS timestamptz) - at)) AS value
FROM heartbeats
UNION ALL
SELECT 'itb_incidents_open', ARRAY[{_LEVEL}], count(*)
FROM alert_incidents WHERE resolved_at IS NULL GROUP BY level
UNION ALL
SELECT 'itb_outbox_pending', ARRAY[channel, {_LEVEL}], count(*)
FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL GROUP BY channel, level
UNION ALL
SELECT 'itb_outbox_oldest_seconds', ARRAY[channel],
    greatest(0, extract(epoch FROM CAST(:now AS timestamptz) - min(created_at)))
FROM alert_outbox WHERE sent_at IS NULL AND dead_at IS NULL GROUP BY channel
UNION ALL
SELECT 'itb_rule_state', ARRAY[rule, state], count(*) FROM alert_states GROUP BY rule, state
UNION ALL
SELECT 'itb_outbox_dead', ARRAY[channel], sum(rows)
FROM (
    SELECT channel, count(*) AS rows FROM alert_outbox WHERE dead_at IS NOT NULL GROUP BY channel
    UNION ALL
    SELECT channel, dead FROM alert_forgotten
) AS dead GROUP BY channel
UNION ALL
SELECT 'itb_alerts_sent', ARRAY[channel], sum(rows)
FROM (
    SELECT channel, count(*) AS rows FROM alert_outbox WHERE sent_at IS NOT NULL GROUP BY channel
    UNION ALL
    SELECT channel, sent FROM alert_forgotten
) AS sent GROUP BY channel
"""  # noqa: S608 - constants
_LIMIT = (
    "SELECT set_config('statement_timeout', :limit, TRUE), set_config('transaction_read_only', 'on', TRUE)"
)


class AlertMetrics(Collector):
    """Reads what Prometheus asks for over a connection of its own, for as long as the question lasts.

    A database that does not answer in time leaves `itb_database_up` 0 and nothing else: no figure is older
    than its scrape. What is known to exist is 0 rather than missing: the levels, the channels in `channels`,
    the states of a rule.
    """

    def __init__(
        self, connect: Connect, clock: Clock, *, channels: Sequence[str] = (), timeout_s: float = TIMEOUT_S
    ) -> None:
        """Read over what `connect` opens; one that hangs when it opens is for its caller to end."""
        self._connect, self._clock = connect, clock
        self._channels, self._timeout_s = channels, timeout_s
        self._alone = threading.Lock()
        self._trouble = ""

    def collect(self) -> Iterator[Metric]:
        """Yield every family with what the database says now."""
        figures = self._figures()
        yield GaugeMetricFamily("itb_database_up", _UP, value=float(figures is not None))
        if figures is not None:
            for family in FAMILIES:
                yield _metric(family, figures[family.name])

    def _figures(self) -> Figures | None:
        try:
            found = self._read()
        except DATABASE_ERRORS as error:
            if (words := redact(in_short(error))) != self._trouble:
                self._trouble = words
                get_logger().warning("metrics without the database: {}", words)
            return None
        self._trouble = ""
        return found

    def _read(self) -> Figures:
        """Return the figures of one moment; raise what the database raises, or TimeoutError."""
        if not self._alone.acquire(timeout=self._timeout_s):
            raise TimeoutError("another scrape still waits for it")
        try:
            with closing(self._connect()) as connection, connection.begin():
                limit_reading(connection, self._timeout_s)
                rows = connection.execute(sa.text(_READ), {"now": self._clock()}).all()
        finally:
            self._alone.release()
        return figures_of(((row.family, row.labels, row.value) for row in rows), self._channels)


def limit_reading(connection: sa.Connection, timeout_s: float = TIMEOUT_S) -> None:
    """Let the transaction of a connection read alone, and each of its statements no longer than this."""
    connection.execute(sa.text(_LIMIT), {"limit": f"{timeout_s * 1000:.0f}"})


def figures_of(rows: Iterable[tuple[str, Sequence[str], float]], channels: Sequence[str]) -> Figures:
    """Return rows by family and labels, with a 0 for everything that is known and was not found."""
    found: dict[str, dict[tuple[str, ...], float]] = {family.name: {} for family in FAMILIES}
    for name, labels, value in rows:
        found[name][tuple(labels)] = float(value)
    there = {
        "channel": {*channels, *_seen(found, "channel")},
        "level": {level.label for level in Level},
        "rule": _seen(found, "rule"),
        "state": set(get_args(State)),
    }
    for family in FAMILIES:
        if set(family.labels) <= set(there):
            for labels in product(*(there[label] for label in family.labels)):
                found[family.name].setdefault(labels, 0.0)
    return found


def _seen(found: Figures, label: str) -> set[str]:
    """Return the values that a label has in any family."""
    return {
        labels[family.labels.index(label)]
        for family in FAMILIES
        if label in family.labels
        for labels in found[family.name]
    }


def _metric(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if family.grows else GaugeMetricFamily
    metric = kind(family.name, family.says, labels=family.labels)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric
