-- Messages by when they were sent or given up: what is long over is found without reading all that is kept.
CREATE INDEX alert_outbox_ended ON alert_outbox (coalesce(sent_at, dead_at))
WHERE coalesce(sent_at, dead_at) IS NOT NULL;
