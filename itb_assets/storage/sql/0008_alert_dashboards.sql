-- What dashboards ask about alerts, and how many messages there were that are forgotten by now.

-- Messages that the outbox held once: with those it holds, counts that never fall.
CREATE TABLE alert_forgotten (
    channel text PRIMARY KEY,
    sent bigint NOT NULL CHECK (sent >= 0),
    dead bigint NOT NULL CHECK (dead >= 0)
);

-- Who last said when that it is alive, and what it said.
CREATE VIEW heartbeat_ages AS
SELECT
    name,
    at,
    greatest(0, extract(epoch FROM now() - at))::double precision AS age_seconds,
    detail
FROM heartbeats;

-- What is wrong now, the worst first, and for how long.
CREATE VIEW open_incidents AS
SELECT
    id,
    CASE level WHEN 10 THEN 'info' WHEN 20 THEN 'warning' WHEN 30 THEN 'error' ELSE 'critical' END AS level,
    rule,
    labels,
    title,
    detail,
    first_at,
    last_at,
    greatest(0, extract(epoch FROM now() - first_at) / 60)::double precision AS minutes_open,
    occurrences,
    last_notified_at AS told_at,
    acked_by,
    acked_at,
    url
FROM alert_incidents
WHERE resolved_at IS NULL
ORDER BY alert_incidents.level DESC, alert_incidents.first_at;
