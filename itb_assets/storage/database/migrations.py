"""Numbered changes of the schema, each applied once, with its record in the same transaction.

The statements lie in `sql/NNNN_name.sql`, in `sql/NNNN_name.apache.sql` where TimescaleDB has to be there and
in `sql/NNNN_name.community.sql` where under its own licence. Which asset lies in which table, `tables` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

import sqlalchemy as sa
from psycopg2.errorcodes import INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE

from itb_assets.errors import DatabaseUnavailable, StorageError
from itb_assets.storage.database.roles import apply_grants, lacks_grants
from itb_assets.storage.database.timescale import (
    Policies,
    Tier,
    apply_policies,
    policies_due,
    probe_tier,
    require_tier,
)

LOCK_TIMEOUT_S = 30.0
"""How long a migration waits for a table that somebody is using."""

TURN_TIMEOUT_S = 900.0
"""How long it waits for another process that is migrating."""

RECORD = """CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_LOCK = 0x697462  # "itb"; one migrating process at a time
_INSERT = "INSERT INTO schema_migrations (number, name, sha256) VALUES (:number, :name, :sha256)"


@dataclass(frozen=True)
class Migration:
    """One numbered file of statements, and the least tier that understands them."""

    number: int
    name: str
    statements: str
    tier: Tier = Tier.POSTGRES

    @property
    def sha256(self) -> str:
        """Digest of its statements: an applied one may not change."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


@dataclass(frozen=True)
class SchemaState:
    """What was applied, what the next `migrate` applies, and what waits for a higher tier."""

    applied: tuple[int, ...]
    pending: tuple[Migration, ...]
    waiting: tuple[Migration, ...]

    @property
    def number(self) -> int:
        """The highest number applied; 0 of an empty database."""
        return max(self.applied, default=0)


def migrations() -> tuple[Migration, ...]:
    """Return all migrations that come with the package, in order."""
    folder = files("itb_assets.storage").joinpath("sql")
    named = [(entry.name, entry.read_text("utf-8")) for entry in folder.iterdir()]
    found = [_migration(name, text) for name, text in named if name.endswith(".sql")]
    return tuple(sorted(found, key=lambda migration: migration.number))


def _migration(file: str, statements: str) -> Migration:
    name, _, suffix = file.removesuffix(".sql").partition(".")
    return Migration(int(name[:4]), name, statements, Tier.named(suffix) if suffix else Tier.POSTGRES)


def schema_state(connection: sa.Connection, wanted: tuple[Migration, ...] | None = None) -> SchemaState:
    """Compare the database's record with the migrations, changing nothing.

    Raises StorageError if the database is of a newer version than this one, or an applied one was altered.
    """
    known = migrations() if wanted is None else wanted
    return _compared(_recorded(connection), known, probe_tier(connection))


def pending(engine: sa.Engine, wanted: tuple[Migration, ...] | None = None) -> tuple[Migration, ...]:
    """Return what `migrate` would apply now, in order; raise as `schema_state` does."""
    with engine.connect() as connection:
        return schema_state(connection, wanted).pending


def migrate(
    engine: sa.Engine,
    wanted: tuple[Migration, ...] | None = None,
    *,
    policies: Policies | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> tuple[int, ...]:
    """Apply what is missing, then grants and policies; return the numbers that this call applied.

    Where nothing is missing, nothing is locked or written. Without `policies`, those in the database stay.
    Raises DatabaseUnavailable when a table stays in use, StorageError when the role lacks rights or the
    database is newer than this version or less than `policies.tier`.
    """
    known = migrations() if wanted is None else wanted
    with engine.connect() as connection:
        tier = probe_tier(connection)
        due = _compared(_recorded(connection), known, tier).pending
    if policies is not None:
        require_tier(tier, policies.tier)
    applied = [migration.number for migration in due if _apply(engine, migration, known, lock_timeout_s)]
    _settle(engine, tier, policies, lock_timeout_s)
    return tuple(applied)


def _apply(
    engine: sa.Engine, migration: Migration, known: tuple[Migration, ...], lock_timeout_s: float
) -> bool:
    """Apply one migration unless another process did meanwhile."""
    with _turn(engine, f"migration {migration.name}", lock_timeout_s) as connection:
        connection.execute(sa.text(RECORD))
        if migration not in schema_state(connection, known).pending:
            return False
        as_written = {"no_parameters": True}  # a percent sign is one
        connection.exec_driver_sql(migration.statements, execution_options=as_written)
        values = {"number": migration.number, "name": migration.name, "sha256": migration.sha256}
        connection.execute(sa.text(_INSERT), values)
    return True


def _settle(engine: sa.Engine, tier: Tier, policies: Policies | None, lock_timeout_s: float) -> None:
    """Bring grants and policies to what is asked, taking turns only where something differs."""
    with engine.connect() as connection:
        if not lacks_grants(connection) and not (policies and policies_due(connection, tier, policies)):
            return
    with _turn(engine, "setting grants and policies", lock_timeout_s) as connection:
        apply_grants(connection)
        if policies is not None:
            apply_policies(connection, tier, policies)


@contextmanager
def _turn(engine: sa.Engine, what: str, lock_timeout_s: float) -> Iterator[sa.Connection]:
    """Yield a transaction after other migrating processes have ended; it waits only so long for tables."""
    waits = f"{TURN_TIMEOUT_S:g} s for another process that is migrating"
    try:
        with engine.begin() as connection:
            _wait_at_most(connection, TURN_TIMEOUT_S)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _wait_at_most(connection, lock_timeout_s)
            waits = f"{lock_timeout_s:g} s for a table that another connection uses"
            yield connection
    except sa.exc.DBAPIError as error:
        state = getattr(error.orig, "pgcode", None)
        if state == LOCK_NOT_AVAILABLE:
            raise DatabaseUnavailable(
                f"{what} waited {waits}, and left everything as it was: run `itb db migrate` again when that "
                "has ended (pg_stat_activity shows who)"
            ) from None
        if state == INSUFFICIENT_PRIVILEGE:
            raise StorageError(
                f"{what}: the role {engine.url.username} lacks a right ({_first_line(error)}): it has to own "
                "the database and its tables; `itb db init` with ITB_ADMIN_DATABASE_URL makes it so, "
                "`itb db sql` prints what an administrator runs"
            ) from None
        raise


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _wait_at_most(connection: sa.Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")


def _recorded(connection: sa.Connection) -> dict[int, tuple[str, str]]:
    if connection.execute(sa.text("SELECT to_regclass('schema_migrations')")).scalar() is None:
        return {}
    rows = connection.execute(sa.text("SELECT number, name, sha256 FROM schema_migrations ORDER BY number"))
    return {number: (name, sha256) for number, name, sha256 in rows}


def _compared(
    applied: Mapping[int, tuple[str, str]], known: tuple[Migration, ...], tier: Tier
) -> SchemaState:
    newest = max((migration.number for migration in known), default=0)
    if applied and (found := max(applied)) > newest:
        raise StorageError(
            f"the database's schema is number {found} ({applied[found][0]}), this version of itb-assets "
            f"knows {newest} at most: install the version that applied it or a newer one; nothing was changed"
        )
    for migration in known:
        if migration.number in applied and applied[migration.number][1] != migration.sha256:
            raise StorageError(
                f"migration {migration.name} was applied with other statements than this version has: "
                "install the version that applied it, or use another database"
            )
    missing = sorted((m for m in known if m.number not in applied), key=lambda migration: migration.number)
    return SchemaState(
        tuple(sorted(applied)),
        tuple(migration for migration in missing if migration.tier <= tier),
        tuple(migration for migration in missing if migration.tier > tier),
    )
