"""What a look has to tell, on its way: news into incidents, summaries into the outbox.

What is news belongs to `evaluate`; who hears of it to the configuration.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from itb_assets.domain.alerts import Message
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.outbox import Draft, enqueue
from itb_assets.observability.alerts.rules.evaluate import Round
from itb_assets.observability.alerts.store import Reported, report_all


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
    return report_all(connection, told.occurrences, now=now, routing=routing)
