"""What the database can do, from plain PostgreSQL to TimescaleDB, and the policies it runs by itself.

Tables and how they come about belong to `migrations`; a policy belongs here, because it may change any day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import sqlalchemy as sa

from itb_assets.errors import InputError, StorageError

EXTENSION = "timescaledb"
HYPERTABLES = ("ohlcv", "features", "labels", "predictions", "signals", "trades", "model_drift")
DAILY = "daily_performance"
END_OFFSET_DAYS = 7
"""Days of performance that are added up at every look: a position entered then may still be open."""

COMPRESS = "policy_compression"
RETAIN = "policy_retention"
REFRESH = "policy_refresh_continuous_aggregate"


class Tier(IntEnum):
    """What a database offers; a higher one can all that a lower one can."""

    POSTGRES = 0
    APACHE = 1
    COMMUNITY = 2

    @property
    def label(self) -> str:
        """Its name in settings, file names and messages."""
        return self.name.lower()

    @classmethod
    def named(cls, label: str) -> Tier:
        """Return the tier of a label; raise InputError for any other word."""
        found = {tier.label: tier for tier in cls}.get(label)
        if found is None:
            raise InputError(f"tier {label!r} is none: expected {', '.join(tier.label for tier in cls)}")
        return found

    @property
    def missing(self) -> str:
        """What a database of this tier goes without, in one line; empty where nothing is missing."""
        return {
            Tier.POSTGRES: "no chunks, no compression, no retention; daily performance is added up when read",
            Tier.APACHE: "no compression, no retention; daily performance is added up when read",
            Tier.COMMUNITY: "",
        }[self]


@dataclass(frozen=True)
class Database:
    """What answers: PostgreSQL's version, the tier, and TimescaleDB's version where it is installed."""

    server: str
    tier: Tier
    extension: str | None

    def __str__(self) -> str:
        """Say it in one line."""
        return f"PostgreSQL {self.server}" + (
            f", TimescaleDB {self.extension} ({self.tier.label})"
            if self.extension
            else " without TimescaleDB"
        )


@dataclass(frozen=True)
class Policies:
    """What a deployment wants of its database; days are of 24 hours, and of a chunk they count from its end.

    `compress_after_days` None compresses nothing more, a table that is not in `retention_days` keeps all its
    rows. `tier` is the least that the database has to be.
    """

    compress_after_days: int | None = 30
    chunk_days: int = 90
    retention_days: Mapping[str, int] = field(default_factory=dict)
    tier: Tier = Tier.POSTGRES

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be meant."""
        known = (*HYPERTABLES, DAILY)
        if unknown := sorted(set(self.retention_days) - set(known)):
            raise InputError(
                f"retention of {', '.join(unknown)}: there is no such table, expected {', '.join(known)}"
            )
        days = {"chunk_days": self.chunk_days, "compress_after_days": self.compress_after_days}
        days |= {f"retention of {name}": kept for name, kept in self.retention_days.items()}
        if wrong := [f"{name} {value}" for name, value in days.items() if value is not None and value < 1]:
            raise InputError(f"{', '.join(wrong)}: expected at least 1 day")
        if (kept := self.retention_days.get("trades", END_OFFSET_DAYS + 2)) < END_OFFSET_DAYS + 2:
            raise InputError(
                f"retention of trades {kept}: expected at least {END_OFFSET_DAYS + 2} days, of which daily "
                "performance is made"
            )


def probe_database(connection: sa.Connection) -> Database:
    """Ask the database what it is. An extension that is only installable does not count."""
    found = connection.execute(
        sa.text(
            "SELECT current_setting('server_version') AS server, extversion AS extension, "
            "current_setting('timescaledb.license', true) AS license "
            "FROM (VALUES (1)) AS one LEFT JOIN pg_extension ON extname = :name"
        ),
        {"name": EXTENSION},
    ).one()
    if found.extension is None:
        return Database(found.server.split()[0], Tier.POSTGRES, None)
    tier = Tier.COMMUNITY if found.license == "timescale" else Tier.APACHE
    return Database(found.server.split()[0], tier, found.extension)


def probe_tier(connection: sa.Connection) -> Tier:
    """Return what tier the database is."""
    return probe_database(connection).tier


def require_tier(found: Tier, wanted: Tier) -> None:
    """Raise StorageError, saying what to do, where the database is less than wanted."""
    if found >= wanted:
        return
    if found is Tier.POSTGRES:
        raise StorageError(
            f"the extension {EXTENSION} is missing: the database is plain PostgreSQL, ITB_DATABASE_TIER asks "
            f"for {wanted.label}; an administrator runs CREATE EXTENSION {EXTENSION} in it (`itb db init` "
            "with ITB_ADMIN_DATABASE_URL does), or choose ITB_DATABASE_TIER=postgres"
        )
    raise StorageError(
        f"TimescaleDB runs under its {found.label} licence, ITB_DATABASE_TIER asks for {wanted.label}: start "
        f"the server with timescaledb.license = 'timescale', or choose ITB_DATABASE_TIER={found.label}"
    )


@dataclass(frozen=True)
class PolicyState:
    """What there is: days a new chunk spans, by hypertable, and (job, table) -> its offsets in days."""

    chunk_days: Mapping[str, float | None]
    aggregates: frozenset[str]
    jobs: Mapping[tuple[str, str], tuple[float | None, ...]]


FRESH = PolicyState(dict.fromkeys(HYPERTABLES), frozenset({DAILY}), {})
"""The state that the migrations leave."""


def apply_policies(connection: sa.Connection, tier: Tier, policies: Policies) -> tuple[str, ...]:
    """Make the database's policies those asked for and return the statements that it took; none if all is so.

    Plain PostgreSQL has none; the Apache licence knows the chunk interval alone. A new chunk interval is that
    of chunks to come. Runs in the caller's transaction; the role has to own the tables.
    """
    statements = policies_due(connection, tier, policies)
    for statement in statements:
        connection.exec_driver_sql(statement)
    return statements


def policies_due(connection: sa.Connection, tier: Tier, policies: Policies) -> tuple[str, ...]:
    """Return what `apply_policies` would run now."""
    if tier is Tier.POSTGRES:
        return ()
    return policy_statements(tier, policies, _state(connection, tier))


def policy_statements(tier: Tier, policies: Policies, state: PolicyState = FRESH) -> tuple[str, ...]:
    """Return the statements that lead from a state to the policies."""
    if tier is Tier.POSTGRES:
        return ()
    made = [
        f"SELECT set_chunk_time_interval('{table}', INTERVAL '{policies.chunk_days} days')"
        for table, days in state.chunk_days.items()
        if days != policies.chunk_days
    ]
    if tier is Tier.APACHE:
        return tuple(made)
    there = {*state.chunk_days, *state.aggregates}
    wanted = {key: offsets for key, offsets in _wanted(policies).items() if key[1] in there}
    changed = [key for key, offsets in state.jobs.items() if wanted.get(key) != offsets]
    made += [_removal(*key) for key in changed]
    made += [_addition(*key, offsets) for key, offsets in wanted.items() if state.jobs.get(key) != offsets]
    return tuple(made)


def _wanted(policies: Policies) -> dict[tuple[str, str], tuple[float | None, ...]]:
    jobs: dict[tuple[str, str], tuple[float | None, ...]] = {}
    if (after := policies.compress_after_days) is not None:
        jobs |= {(COMPRESS, table): (after,) for table in HYPERTABLES}
    jobs |= {(RETAIN, table): (days,) for table, days in policies.retention_days.items()}
    # days whose trades were dropped are not asked again: a refresh of them would leave nothing
    jobs[REFRESH, DAILY] = (policies.retention_days.get("trades"), END_OFFSET_DAYS)
    return jobs


def _addition(job: str, table: str, offsets: tuple[float | None, ...]) -> str:
    days = ["NULL" if offset is None else f"INTERVAL '{offset:g} days'" for offset in offsets]
    every = "schedule_interval => INTERVAL"
    if job == COMPRESS:
        return f"CALL add_columnstore_policy('{table}', after => {days[0]}, {every} '12 hours')"
    if job == RETAIN:
        return f"SELECT add_retention_policy('{table}', drop_after => {days[0]}, {every} '1 day')"
    window = f"start_offset => {days[0]}, end_offset => {days[1]}"
    return f"SELECT add_continuous_aggregate_policy('{table}', {window}, {every} '15 minutes')"


def _removal(job: str, table: str) -> str:
    if job == COMPRESS:
        return f"CALL remove_columnstore_policy('{table}')"
    call = "remove_retention_policy" if job == RETAIN else "remove_continuous_aggregate_policy"
    return f"SELECT {call}('{table}')"


def _state(connection: sa.Connection, tier: Tier) -> PolicyState:
    dimensions = connection.execute(
        sa.text(
            "SELECT hypertable_name, extract(epoch FROM time_interval)::double precision / 86400 "
            "FROM timescaledb_information.dimensions WHERE hypertable_schema = current_schema()"
        )
    )
    chunk_days = {table: days for table, days in dimensions if table in HYPERTABLES}
    if tier is Tier.APACHE:
        return PolicyState(chunk_days, frozenset(), {})
    aggregates = connection.execute(
        sa.text(
            "SELECT view_name FROM timescaledb_information.continuous_aggregates "
            "WHERE view_schema = current_schema()"
        )
    ).scalars()
    there = frozenset(name for name in aggregates if name == DAILY)
    days = ", ".join(
        f"extract(epoch FROM (config ->> '{key}')::interval)::double precision / 86400 AS {key}"
        for key in ("compress_after", "drop_after", "start_offset", "end_offset")
    )
    rows = connection.execute(
        sa.text(
            f"SELECT proc_name, hypertable_name, {days} FROM timescaledb_information.jobs "  # noqa: S608 - ours
            "WHERE hypertable_schema = current_schema() AND proc_name = ANY(:jobs)"
        ),
        {"jobs": [COMPRESS, RETAIN, REFRESH]},
    )
    return PolicyState(
        chunk_days,
        there,
        {
            (row.proc_name, row.hypertable_name): _offsets(row)
            for row in rows
            if row.hypertable_name in {*chunk_days, *there}
        },
    )


def _offsets(row: sa.Row[tuple[object, ...]]) -> tuple[float | None, ...]:
    if row.proc_name == COMPRESS:
        return (row.compress_after,)
    return (row.drop_after,) if row.proc_name == RETAIN else (row.start_offset, row.end_offset)
