"""Forgetting what is long over reads only that, however much is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from itb_assets.observability.alerts import state
from itb_assets.observability.alerts.statements import FORGET_MESSAGES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_KEPT = """
INSERT INTO alert_outbox (dedup_key, channel, level, kind, message, created_at, next_at, sent_at, dead_at)
SELECT n::text, 'telegram', 20, 'opened', '{}', :now, :now, CASE WHEN n % 50 <> 0 THEN at END,
    CASE WHEN n % 50 = 0 THEN at END
FROM (
    SELECT n, CAST(:now AS timestamptz) - n * INTERVAL '1 hour' AS at FROM generate_series(1, 3000) AS n
) AS e
"""


def test_messages_that_are_long_over_are_found_by_their_index(alerts_engine):
    with alerts_engine.begin() as connection:
        connection.execute(sa.text(_KEPT), {"now": NOW})
    with alerts_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE alert_outbox"))
    before = NOW - timedelta(hours=2900)
    with alerts_engine.begin() as connection:
        plan = connection.execute(sa.text(f"EXPLAIN {FORGET_MESSAGES}"), {"before": before}).scalars()
        assert "alert_outbox_ended" in "\n".join(plan)
        assert state.forget(connection, before)[0] == 100
