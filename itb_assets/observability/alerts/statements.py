"""The statements of `store`, apart from the code that says when they run.

Those of the outbox belong to `outbox`, the tables to the migrations.
"""

from __future__ import annotations

from itb_assets.observability.alerts.rows import INCIDENT_COLUMNS

_COLUMNS = ", ".join(INCIDENT_COLUMNS)
_MADE = tuple(name for name in INCIDENT_COLUMNS if name != "id")
_VALUES = ", ".join("CAST(:labels AS jsonb)" if name == "labels" else f":{name}" for name in _MADE)

ALONE = "SELECT pg_advisory_xact_lock(:key)"
"""One transaction at a time for an identity, whether or not it has an incident yet."""

TOLD = """
INSERT INTO alert_events (event_id, at) VALUES (:event_id, :at) ON CONFLICT (event_id) DO NOTHING RETURNING 1
"""
LINK = "UPDATE alert_events SET incident_id = :incident_id WHERE event_id = :event_id"

# Locked, because somebody may be acknowledging it; not its key, or no message of it could be put in meanwhile
LATEST = f"""
SELECT {_COLUMNS} FROM alert_incidents WHERE fingerprint = :fingerprint ORDER BY id DESC LIMIT 1
FOR NO KEY UPDATE
"""  # noqa: S608 - constants
OPENINGS = "SELECT count(*) FROM alert_incidents WHERE fingerprint = :fingerprint AND opened_at > :since"

INSERT = f"INSERT INTO alert_incidents ({', '.join(_MADE)}) VALUES ({_VALUES}) RETURNING id"  # noqa: S608 - constants
UPDATE = f"UPDATE alert_incidents SET ({', '.join(_MADE)}) = ({_VALUES}) WHERE id = :id"  # noqa: S608 - constants

MUTING = f"""
SELECT {_COLUMNS} FROM alert_incidents
WHERE resolved_at IS NULL AND last_notified_at IS NOT NULL AND level >= :level AND fingerprint <> :fingerprint
    AND (CAST(:rule AS text) IS NULL OR rule = :rule) AND labels @> CAST(:labels AS jsonb)
ORDER BY level DESC, id LIMIT 1
"""  # noqa: S608 - constants

INCIDENTS = f"""
SELECT {_COLUMNS} FROM alert_incidents WHERE resolved_at IS NULL OR NOT :open_only
ORDER BY resolved_at IS NOT NULL, CASE WHEN resolved_at IS NULL THEN level END DESC, last_at DESC, id DESC
LIMIT :limit
"""  # noqa: S608 - constants
ACKNOWLEDGE = f"""
UPDATE alert_incidents SET
    acked_by = coalesce(acked_by, :who), acked_at = coalesce(acked_at, :now), notified_level = level
WHERE id = :id AND resolved_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
CLOSE = f"""
UPDATE alert_incidents SET resolved_at = :now
WHERE id = :id AND resolved_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 - constants

ADD_SILENCE = """
INSERT INTO alert_silences (matchers, until, who, why, created_at)
VALUES (CAST(:matchers AS jsonb), :until, :who, :why, :now) RETURNING id
"""
END_SILENCE = "UPDATE alert_silences SET until = :now WHERE id = :id AND until > :now RETURNING id"
SILENCES = """
SELECT id, matchers, until, who, why, created_at FROM alert_silences
WHERE CAST(:now AS timestamptz) IS NULL OR until > :now ORDER BY until, id
"""

BEAT = """
INSERT INTO heartbeats (name, at, detail) VALUES (:name, :now, CAST(:detail AS jsonb))
ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail
WHERE heartbeats.at <= excluded.at OR heartbeats.at > excluded.at + interval '1 minute'
"""
"""One that comes late replaces no newer one, unless that lies a minute ahead: then the clock was put back."""

MOVE_CURSOR = """
INSERT INTO alert_cursors (name, cursor, moved_at) VALUES (:name, :cursor, :now)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, moved_at = excluded.moved_at
"""
NOTE_STATE = """
INSERT INTO alert_states AS s (rule, fingerprint, labels, state, value, detail, since, at)
VALUES (:rule, :fingerprint, CAST(:labels AS jsonb), :state, :value, :detail, :now, :now)
ON CONFLICT (rule, fingerprint) DO UPDATE SET
    state = excluded.state, value = excluded.value, detail = excluded.detail, at = excluded.at,
    since = CASE WHEN s.state = excluded.state THEN s.since ELSE excluded.since END
"""
STATES = """
SELECT rule, fingerprint, labels, state, value, detail, since, at FROM alert_states ORDER BY rule, fingerprint
"""
FORGET_MESSAGES = """
WITH gone AS (
    DELETE FROM alert_outbox WHERE coalesce(sent_at, dead_at) < :before RETURNING channel, sent_at, dead_at
), noted AS (
    INSERT INTO alert_forgotten AS f (channel, sent, dead)
    SELECT channel, count(sent_at), count(dead_at) FROM gone GROUP BY channel
    ON CONFLICT (channel) DO UPDATE SET sent = f.sent + excluded.sent, dead = f.dead + excluded.dead
)
SELECT 1 FROM gone
"""
FORGET_EVENTS = """
DELETE FROM alert_events AS e WHERE at < :before AND NOT EXISTS (
    SELECT FROM alert_incidents AS i WHERE i.id = e.incident_id AND i.resolved_at IS NULL
)
"""
FORGET_INCIDENTS = """
DELETE FROM alert_incidents AS i WHERE resolved_at < :before AND last_at < :before AND NOT EXISTS (
    SELECT FROM alert_outbox AS o WHERE o.incident_id = i.id
)
"""
FORGET = (FORGET_MESSAGES, FORGET_EVENTS, FORGET_INCIDENTS)
"""What ended before a time: messages, then causes, then incidents of which no message is left."""
