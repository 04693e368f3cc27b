-- What went wrong, who was told, and what is still to be sent. Levels: 10 info, 20 warning, 30 error, 40 critical.

-- One thing that is wrong, for as long as it is: occurrences are counted, not repeated. first_at and last_at are
-- times of occurrences, which may be told late; opened_at, resolved_at and last_notified_at of the telling.
CREATE TABLE alert_incidents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    rule text NOT NULL,
    level smallint NOT NULL CHECK (level IN (10, 20, 30, 40)),
    labels jsonb NOT NULL CHECK (jsonb_typeof(labels) = 'object'),
    title text NOT NULL,
    detail text NOT NULL,
    action text NOT NULL DEFAULT '',
    url text NOT NULL DEFAULT '',
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL CHECK (last_at >= first_at),
    opened_at timestamptz NOT NULL,
    occurrences bigint NOT NULL CHECK (occurrences >= 1),
    last_notified_at timestamptz,
    notified_level smallint CHECK (notified_level <= level),
    flapping_at timestamptz,
    flapping_level smallint,
    acked_by text,
    acked_at timestamptz,
    resolved_at timestamptz,
    CHECK ((acked_by IS NULL) = (acked_at IS NULL)),
    CHECK ((flapping_at IS NULL) = (flapping_level IS NULL)),
    CHECK (last_notified_at IS NULL OR notified_level IS NOT NULL)
);
CREATE UNIQUE INDEX alert_incidents_one_open ON alert_incidents (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX alert_incidents_newest ON alert_incidents (fingerprint, id DESC);
CREATE INDEX alert_incidents_openings ON alert_incidents (fingerprint, opened_at);
CREATE INDEX alert_incidents_open ON alert_incidents (level DESC, last_at DESC) WHERE resolved_at IS NULL;
CREATE INDEX alert_incidents_last_at ON alert_incidents (last_at DESC);

-- Causes that were told, by whomever: the same one again changes nothing. No incident where nothing was open
-- that it could have ended.
CREATE TABLE alert_events (
    event_id text PRIMARY KEY,
    incident_id bigint REFERENCES alert_incidents (id) ON DELETE CASCADE,
    at timestamptz NOT NULL
);
CREATE INDEX alert_events_incident ON alert_events (incident_id);
CREATE INDEX alert_events_at ON alert_events (at);

-- Messages, each to one channel. Sent, dead, leased until a time, or due at next_at; leased_before says that it may
-- have been sent already.
CREATE TABLE alert_outbox (
    id bigserial PRIMARY KEY,
    dedup_key text NOT NULL UNIQUE,
    channel text NOT NULL CHECK (channel <> ''),
    level smallint NOT NULL CHECK (level IN (10, 20, 30, 40)),
    incident_id bigint REFERENCES alert_incidents (id) ON DELETE SET NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'repeated', 'resolved', 'report', 'test', 'alive')),
    message jsonb NOT NULL CHECK (jsonb_typeof(message) = 'object'),
    chart bytea,
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    lease_until timestamptz,
    leased_before boolean NOT NULL DEFAULT FALSE,
    sent_at timestamptz,
    receipt text,
    last_error text,
    dead_at timestamptz,
    CHECK (sent_at IS NULL OR dead_at IS NULL),
    CHECK (lease_until IS NULL OR (sent_at IS NULL AND dead_at IS NULL))
);
CREATE INDEX alert_outbox_due ON alert_outbox (level DESC, id) WHERE sent_at IS NULL AND dead_at IS NULL;
CREATE INDEX alert_outbox_leased ON alert_outbox (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX alert_outbox_sent ON alert_outbox (channel, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX alert_outbox_dead ON alert_outbox (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX alert_outbox_incident ON alert_outbox (incident_id);

-- Quiet that somebody asked for. Taking one back moves `until`; the row stays, with who and why.
CREATE TABLE alert_silences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    matchers jsonb NOT NULL CHECK (jsonb_typeof(matchers) = 'object' AND matchers <> '{}'),
    until timestamptz NOT NULL,
    who text NOT NULL CHECK (who <> ''),
    why text NOT NULL CHECK (why <> ''),
    created_at timestamptz NOT NULL
);
CREATE INDEX alert_silences_until ON alert_silences (until);

-- How far each reader of events has come.
CREATE TABLE alert_cursors (
    name text PRIMARY KEY,
    cursor text NOT NULL,
    moved_at timestamptz NOT NULL
);

-- When each process that should be alive last said so.
CREATE TABLE heartbeats (
    name text PRIMARY KEY,
    at timestamptz NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);

-- The last evaluation of every rule, and since when it says so.
CREATE TABLE alert_states (
    rule text NOT NULL,
    fingerprint text NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL CHECK (state IN ('firing', 'ok', 'insufficient', 'no_data')),
    value double precision,
    detail text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (rule, fingerprint)
);
