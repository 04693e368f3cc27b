"""What only an administrator may do, once: roles, their databases, the extension.

Each step is asked for first and shown as SQL, so that somebody else can run it; the rest of the schema
belongs to `migrations`, rights inside it to `roles`.
"""

# ruff: noqa: S608 - identifiers and texts are quoted where they become part of a statement

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg2
import psycopg2.errors
import sqlalchemy as sa
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that is spelt in lower case
from psycopg2.extensions import encrypt_password

from itb_assets.errors import InputError
from itb_assets.storage.database.errors import database_errors
from itb_assets.storage.database.roles import READER
from itb_assets.storage.database.sql_text import identifier, literal
from itb_assets.storage.database.timescale import EXTENSION

TO_DO = "to do"
NEEDS = "needs an administrator"
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class Owned:
    """A database, its owner and how that logs in; `readable` by dashboards, with the `extension`."""

    database: str
    role: str
    password: str | None
    readable: bool = False
    extension: bool = False


@dataclass(frozen=True)
class Step:
    """One thing to be there: the query that finds it, the SQL that makes it, and the database to run it in.

    `{password}` in the SQL is that of `role`. An `optional` step may be impossible on this server.
    """

    what: str
    asked: str
    made: str
    database: str | None = None
    role: str | None = None
    optional: bool = False

    @property
    def shown(self) -> str:
        """The SQL for psql, a password as a variable of psql's."""
        return self.made.replace("{password}", f":'{self.role}_password'")


@dataclass(frozen=True)
class StepDone:
    """A step and what became of it: `there`, `made`, `not possible`, TO_DO or NEEDS."""

    step: Step
    state: str


def owned_by(url: sa.URL, *, readable: bool = False, extension: bool = False) -> Owned:
    """Return what a URL of the settings means to own; raise InputError where it names no role or database."""
    if not url.database or not url.username:
        raise InputError(
            f"the database URL {url.render_as_string()} names no role or no database: expected "
            "postgresql+psycopg2://role:password@host:5432/database"
        )
    return Owned(url.database, url.username, url.password, readable, extension)


def steps(wanted: Sequence[Owned], *, reader_logs_in: bool) -> tuple[Step, ...]:
    """Return all that has to be there for these databases, in order."""
    return tuple(_steps(wanted, reader_logs_in=reader_logs_in))


def _steps(wanted: Sequence[Owned], *, reader_logs_in: bool) -> Iterator[Step]:
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {password}"
    for owned in wanted:
        role = identifier(owned.role)
        yield Step(
            f"role {owned.role}", _has_role(owned.role), f"CREATE ROLE {role} {rights}", role=owned.role
        )
    login = rights if reader_logs_in else "NOLOGIN"
    yield Step(f"role {READER}", _has_role(READER), f"CREATE ROLE {READER} {login}", role=READER)
    yield Step(
        f"{READER} only reads",
        f"{_has_role(READER)} AND rolconfig @> '{{default_transaction_read_only=on}}'",
        f"ALTER ROLE {READER} SET default_transaction_read_only = on",
    )
    for owned in wanted:
        yield from _database_steps(owned)


def _database_steps(owned: Owned) -> Iterator[Step]:
    name, there = identifier(owned.database), literal(owned.database)
    found = f"SELECT FROM pg_database WHERE datname = {there}"
    yield Step(
        f"administrator acts for {owned.role}",
        "SELECT FROM pg_roles WHERE rolname = current_user AND "
        f"(rolsuper OR rolname = {literal(owned.role)} OR EXISTS ({found}))",
        f"GRANT {identifier(owned.role)} TO CURRENT_USER",
    )
    yield Step(
        f"database {owned.database}",
        found,
        f"CREATE DATABASE {name} OWNER {identifier(owned.role)} TEMPLATE template0 ENCODING 'UTF8'",
    )
    yield Step(
        f"database {owned.database} closed to others",
        f"{found} AND NOT EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) "
        "WHERE grantee = 0)",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
    )
    if owned.readable:
        yield Step(
            f"{READER} enters {owned.database}",
            f"{_has_role(READER)} AND has_database_privilege(oid, "
            f"(SELECT oid FROM pg_database WHERE datname = {there}), 'CONNECT')",
            f"GRANT CONNECT ON DATABASE {name} TO {READER}",
        )
    if owned.extension:
        yield Step(
            f"extension {EXTENSION} in {owned.database}",
            f"SELECT FROM pg_extension WHERE extname = '{EXTENSION}'",
            f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}",
            database=owned.database,
            optional=True,
        )


def administer(
    administrator: sa.URL, wanted: Sequence[Step], passwords: dict[str, str | None], *, dry_run: bool = False
) -> tuple[StepDone, ...]:
    """Make what is missing as the administrator and return what became of every step.

    A role that is there keeps its password. Passwords travel as SCRAM digests. Raises DatabaseUnavailable or
    StorageError where the administrator cannot connect, InputError for a role without a password to give it.
    """
    with database_errors(administrator):
        done: list[StepDone] = []
        for step in wanted:
            stuck = any(one.state == NEEDS for one in done)
            state = _administer(administrator, step, passwords, dry_run=dry_run or stuck)
            done.append(StepDone(step, NEEDS if stuck and state == TO_DO else state))
        return tuple(done)


def _administer(administrator: sa.URL, step: Step, passwords: dict[str, str | None], *, dry_run: bool) -> str:
    try:
        opened = _connect(administrator.set(database=step.database) if step.database else administrator)
    except psycopg2.OperationalError:
        if step.database is None:
            raise
        return TO_DO  # its database is not made yet
    with closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute(step.asked)
        if cursor.rowcount:
            return "there"
        if step.optional:
            cursor.execute("SELECT FROM pg_available_extensions WHERE name = %s", (EXTENSION,))
            if not cursor.rowcount:
                return "not possible"
        if dry_run:
            return TO_DO
        try:
            cursor.execute(_with_password(step, passwords, connection))
        except psycopg2.errors.InsufficientPrivilege:
            return NEEDS
    return "made"


def _with_password(step: Step, passwords: dict[str, str | None], connection: Connection) -> str:
    if "{password}" not in step.made:
        return step.made
    password = passwords.get(step.role or "")
    if not password:
        raise InputError(
            f"role {step.role} has to be made and no password is set for it: put one into its URL "
            "(ITB_DATABASE_URL, ITB_DAGSTER_URL), or into ITB_READER_PASSWORD"
        )
    digest = encrypt_password(password, step.role or "", scope=connection, algorithm="scram-sha-256")
    return step.made.replace("{password}", literal(digest))


def _connect(url: sa.URL) -> Connection:
    words = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    connection: Connection = psycopg2.connect(**{"connect_timeout": _CONNECT_TIMEOUT_S, **words})
    connection.autocommit = True
    return connection


def _has_role(name: str) -> str:
    return f"SELECT FROM pg_roles WHERE rolname = {literal(name)}"
