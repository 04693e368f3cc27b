"""What a look has to tell, on its way: news into incidents, summaries into the outbox, what was kept quiet.

What is news belongs to `evaluate`; who hears of it to the configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import sqlalchemy as sa

from itb_assets.domain.alerts import Level, Message, Occurrence
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.outbox import Draft, enqueue
from itb_assets.observability.alerts.revisit import revisit
from itb_assets.observability.alerts.rules.evaluate import Round
from itb_assets.observability.alerts.rules.words import said
from itb_assets.observability.alerts.store import Reported, report_all

_OPEN_OF = """
SELECT id, rule, fingerprint, level, labels, title, last_at FROM alert_incidents
WHERE resolved_at IS NULL AND rule = ANY(:rules)
"""


def tell(connection: sa.Connection, told: Round, config: AlertConfig, now: datetime) -> list[Reported]:
    """Report what is news and put summaries into the outbox, in the transaction of the look."""
    routing = config.routing
    for report in told.reports:
        message = Message(
            rule=report.rule,
            level=report.level.label,
            title=report.title,
            detail=report.detail,
            at=report.at.isoformat(),
        )
        for channel in routing.of(report.level):
            draft = Draft(
                dedup_key=f"{channel}:report:{report.key}",
                channel=channel,
                level=report.level,
                kind="report",
                message=message,
                chart=report.chart,
            )
            enqueue(connection, draft, now=now)
    ended = _switched_off(connection, config, now, {each.fingerprint for each in told.occurrences})
    reported = report_all(connection, [*told.occurrences, *ended], now=now, routing=routing)
    return [*reported, *revisit(connection, now=now, routing=routing)]


def _switched_off(
    connection: sa.Connection, config: AlertConfig, now: datetime, told: Collection[str]
) -> Iterator[Occurrence]:
    """Yield the end of what rules told that are switched off now: nothing else would ever end it."""
    off = [name for name, rule in config.rules.named().items() if not rule.enabled]
    for row in connection.execute(sa.text(_OPEN_OF), {"rules": off}).mappings():
        if row["fingerprint"] not in told:
            yield Occurrence(
                event_id=f"off:{row['id']}",
                rule=row["rule"],
                level=Level(row["level"]),
                labels=row["labels"],
                title=row["title"],
                detail=said(config.language, "off", {}),
                at=max(now, row["last_at"]),
                resolves=True,
                gone=True,
            )
