"""What is to be known of a database before it is trusted: tier, schema, tables, policies, failed jobs.

Nothing is changed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.migrations import SchemaState, schema_state
from itb_assets.storage.database.timescale import Database, Tier, probe_database

_CONNECT_TIMEOUT_S = 10
_PLAIN = """
SELECT relname AS "table", NULL::bigint AS chunks, NULL::bigint AS compressed,
    pg_total_relation_size(pg_class.oid) AS bytes, NULL::bigint AS bytes_before, NULL::bigint AS bytes_after
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
    AND NOT (relname = ANY(:hypertables))
ORDER BY relname
"""
_HYPERTABLES = """
SELECT hypertable_name AS "table", num_chunks AS chunks, NULL::bigint AS compressed,
    hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass) AS bytes,
    NULL::bigint AS bytes_before, NULL::bigint AS bytes_after
FROM timescaledb_information.hypertables WHERE hypertable_schema = current_schema()
ORDER BY hypertable_name
"""
_COMPRESSED = """
SELECT hypertable_name AS "table", num_chunks AS chunks,
    coalesce(number_compressed_chunks, 0) AS compressed,
    hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass) AS bytes,
    before_compression_total_bytes AS bytes_before, after_compression_total_bytes AS bytes_after
FROM timescaledb_information.hypertables
LEFT JOIN LATERAL
    hypertable_columnstore_stats(format('%I.%I', hypertable_schema, hypertable_name)::regclass) ON TRUE
WHERE hypertable_schema = current_schema()
ORDER BY hypertable_name
"""
_JOBS = """
SELECT job_id, proc_name AS policy, jobs.hypertable_name AS "table",
    concat_ws(', ', 'compress after ' || (config ->> 'compress_after'),
        'drop after ' || (config ->> 'drop_after'),
        'refresh from ' || CASE WHEN config ? 'end_offset'
            THEN coalesce(config ->> 'start_offset', 'the beginning') || ' to ' || (config ->> 'end_offset')
            END || ' ago') AS does,
    schedule_interval::text AS every, last_run_status AS last_run,
    last_successful_finish::text AS last_success,
    total_failures AS failures,
    (SELECT err_message FROM timescaledb_information.job_errors
        WHERE job_errors.job_id = jobs.job_id ORDER BY start_time DESC LIMIT 1) AS last_failure
FROM timescaledb_information.jobs LEFT JOIN timescaledb_information.job_stats USING (job_id)
WHERE jobs.hypertable_schema = current_schema()
ORDER BY "table", policy
"""


@dataclass(frozen=True)
class SchemaReport:
    """What a database says of itself; sizes are bytes, `role_problem` is empty where the role is right."""

    database: Database
    state: SchemaState
    tables: tuple[dict[str, Any], ...]
    jobs: tuple[dict[str, Any], ...]
    role: str
    role_problem: str


def report(url: str) -> SchemaReport:
    """Ask a database; raise DatabaseUnavailable, or StorageError where its schema is newer than the code."""
    address = database_address(url)
    options = {"connect_timeout": _CONNECT_TIMEOUT_S}
    engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args=options)
    with database_errors(address), engine.connect() as connection:
        found = probe_database(connection)
        return SchemaReport(
            found,
            schema_state(connection),
            tuple(_tables(connection, found.tier)),
            tuple(_rows(connection, _JOBS) if found.tier is Tier.COMMUNITY else []),
            *_role(connection),
        )


def describe(found: Database, state: SchemaState) -> str:
    """Say server, tier and schema in one line, and what is therefore missing."""
    parts = [str(found), f"schema {state.number}"]
    if state.pending:
        numbers = ", ".join(str(migration.number) for migration in state.pending)
        parts.append(f"migrations {numbers} pending: the next run or `itb db migrate` applies them")
    if found.tier.missing:
        parts.append(f"therefore {found.tier.missing}")
    return "; ".join(parts)


def _tables(connection: sa.Connection, tier: Tier) -> list[dict[str, Any]]:
    if tier is Tier.POSTGRES:
        return _rows(connection, _PLAIN, hypertables=[])
    chunked = _rows(connection, _COMPRESSED if tier is Tier.COMMUNITY else _HYPERTABLES)
    return chunked + _rows(connection, _PLAIN, hypertables=[row["table"] for row in chunked])


def _rows(connection: sa.Connection, statement: str, **parameters: object) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.text(statement), parameters).mappings()]


def _role(connection: sa.Connection) -> tuple[str, str]:
    asked = "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    name, is_super, makes_roles = connection.execute(sa.text(asked)).one()
    if is_super or makes_roles:
        what = "a superuser" if is_super else "a role that may make roles"
        return name, (
            f"{name} is {what}: connect as a role that only owns its database, `itb db init` makes one"
        )
    return name, ""
