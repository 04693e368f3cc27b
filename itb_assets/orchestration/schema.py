"""What a deployment's settings ask of its database: tier, policies, roles; and what is found there.

Statements belong to the storage room, words for the terminal to the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.observability.logs import register_secret
from itb_assets.orchestration.instance import embedded_server
from itb_assets.orchestration.policies import policies_of
from itb_assets.settings import Settings
from itb_assets.storage.database.administration import Owned, Step, StepDone, administer, owned_by, steps
from itb_assets.storage.database.connection import Connections
from itb_assets.storage.database.errors import database_address, database_errors
from itb_assets.storage.database.migrations import migrate, schema_state
from itb_assets.storage.database.roles import READER
from itb_assets.storage.database.schema_report import SchemaReport, report
from itb_assets.storage.database.timescale import require_tier
from itb_assets.storage.tables.columns_catalogue import catalogue, redefine

DEFAULT_ROLES = (
    Owned("itb", "itb", None, readable=True, extension=True),
    Owned("dagster", "dagster", None),
)


def known_url(settings: Settings) -> str | None:
    """Return the URL of the database, or None where it is the embedded one and does not run."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = embedded_server(settings)
    if not server.status().running:
        return None
    server.ensure_database("itb")
    return server.url("itb")


def looked_at(settings: Settings) -> SchemaReport | None:
    """Return what the database says of itself, or None where it is the embedded one and does not run.

    Raises StorageError where it is less than ITB_DATABASE_TIER or newer than this version.
    """
    url = known_url(settings)
    if url is None:
        return None
    found = report(url)
    require_tier(found.database.tier, policies_of(settings).tier)
    return found


def wanted_steps(settings: Settings) -> tuple[Step, ...]:
    """Return what an administrator has to provide; without a URL in the settings, under the usual names."""
    return steps(_owned(settings), reader_logs_in=settings.reader_password is not None)


def _owned(settings: Settings) -> tuple[Owned, ...]:
    if settings.database_url is None:
        return DEFAULT_ROLES
    data = owned_by(database_address(settings.database_url.get_secret_value()), readable=True, extension=True)
    if settings.dagster_url is None:
        return (data,)
    dagster = owned_by(database_address(settings.dagster_url.get_secret_value()))
    return (data, dagster) if (dagster.role, dagster.database) != (data.role, data.database) else (data,)


def provide(settings: Settings, *, dry_run: bool) -> tuple[StepDone, ...]:
    """Make roles, databases and the extension as far as the administrator, or else our own role, may.

    Raises InputError without ITB_DATABASE_URL: the embedded server provides for itself.
    """
    if settings.database_url is None:
        raise InputError("ITB_DATABASE_URL is not set: the embedded server makes its roles by itself")
    secret = settings.admin_database_url or settings.database_url
    administrator = database_address(secret.get_secret_value())
    for value in (secret.get_secret_value(), str(administrator.password or "")):
        register_secret(value)
    passwords = {owned.role: owned.password for owned in _owned(settings)}
    if settings.reader_password is not None:
        passwords[READER] = settings.reader_password.get_secret_value()
    try:
        return administer(administrator, wanted_steps(settings), passwords, dry_run=dry_run)
    except (DatabaseUnavailable, StorageError) as error:
        if settings.admin_database_url is not None:
            raise
        raise type(error)(
            f"{error}; if it is not made yet, set ITB_ADMIN_DATABASE_URL for this command, or have an "
            "administrator run what `itb db sql` prints"
        ) from None


@dataclass(frozen=True)
class Change:
    """A migration and what becomes of it."""

    number: int
    name: str
    tier: str
    state: str


def brought_up(settings: Settings, *, dry_run: bool) -> tuple[Change, ...]:
    """Apply the pending migrations, grants and policies; return those that were pending or wait for a tier.

    `settings` name a database that answers. Raises as `migrate` does.
    """
    if settings.database_url is None:
        raise InputError("no database is running: `itb db start` starts the embedded one")
    address = database_address(settings.database_url.get_secret_value())
    policies = policies_of(settings)
    engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    with database_errors(address):
        with engine.connect() as connection:
            state = schema_state(connection)
        applied = () if dry_run else migrate(engine, policies=policies)
    due = [
        Change(one.number, one.name, one.tier.label, _became(one.number, applied, dry_run=dry_run))
        for one in state.pending
    ]
    waiting = [
        Change(one.number, one.name, one.tier.label, f"waits for TimescaleDB ({one.tier.label})")
        for one in state.waiting
    ]
    return (*due, *waiting)


def _became(number: int, applied: tuple[int, ...], *, dry_run: bool) -> str:
    if dry_run:
        return "to apply"
    return "applied" if number in applied else "applied meanwhile by another process"


def known_columns(settings: Settings) -> list[dict[str, Any]]:
    """Return the catalogue of feature and label columns; `settings` name a database that answers."""
    with closing(_connections(settings)) as connections, connections.reading() as cursor:
        return [asdict(column) for column in catalogue(cursor).values()]


def redefined(
    settings: Settings, name: str, definitions: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Make today's definition of a column the catalogue's; return the columns as they are now."""
    with closing(_connections(settings)) as connections, connections.writing() as cursor:
        return [asdict(column) for column in redefine(cursor, name, definitions)]


def _connections(settings: Settings) -> Connections:
    if settings.database_url is None:
        raise InputError("no database is running: `itb db start` starts the embedded one")
    return Connections(settings.database_url.get_secret_value(), policies=policies_of(settings))
