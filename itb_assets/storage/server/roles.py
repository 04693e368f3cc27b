"""Whose the embedded server's databases are: each belongs to a role of its own name, which is no superuser.

How the server lives belongs to `embedded`; what a reader may see in a database to `roles`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that is spelt in lower case

from itb_assets.errors import DatabaseUnavailable
from itb_assets.storage.database.roles import READER

NOT_FOR_READERS = {"dagster"}
"""Databases with nothing for a dashboard; Dagster shows its own."""

_LOCK = 0x697463
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
# What earlier versions made belongs to the superuser. A serial column's sequence goes with its table.
_HAND_OVER = """
DO $hand_over$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER SCHEMA %I OWNER TO {role}', nspname)
        FROM pg_namespace
        WHERE pg_get_userbyid(nspowner) = 'postgres'
            AND nspname <> 'information_schema' AND nspname !~ '^pg_'
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO {role}', pg_class.oid::regclass)
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_get_userbyid(relowner) = 'postgres' AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND nspname <> 'information_schema' AND nspname !~ '^pg_'
            AND NOT EXISTS (
                SELECT FROM pg_depend WHERE objid = pg_class.oid AND relkind = 'S' AND deptype IN ('a', 'i')
            )
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO {role}', pg_type.oid::regtype)
        FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE pg_get_userbyid(typowner) = 'postgres' AND typtype IN ('e', 'd')
            AND nspname <> 'information_schema' AND nspname !~ '^pg_'
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO {role}', pg_proc.oid::regprocedure)
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE pg_get_userbyid(proowner) = 'postgres'
            AND nspname <> 'information_schema' AND nspname !~ '^pg_'
    LOOP
        EXECUTE statement;
    END LOOP;
END
$hand_over$
"""


def ensure_owned(connect: Callable[[str], Connection], name: str) -> None:
    """Make a database and its role unless they are there, and hand over one that still is the superuser's.

    Raises DatabaseUnavailable when somebody keeps using one of its tables.
    """
    with closing(connect("postgres")) as server:
        server.autocommit = True
        with server.cursor() as cursor:
            if _owner(cursor, name) == name:
                return
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            _make_role(cursor, name)
            _make_role(cursor, READER)
            cursor.execute(f"ALTER ROLE {READER} SET default_transaction_read_only = on")
            owner = _owner(cursor, name)
            if owner is None:
                cursor.execute(f'CREATE DATABASE "{name}"')
            if owner != name:
                _hand_over(connect, name)


def _owner(cursor: Any, name: str) -> str | None:  # noqa: ANN401 - psycopg2 types no rows
    cursor.execute(_OWNER, (name,))
    row = cursor.fetchone()
    return str(row[0]) if row else None


def _make_role(cursor: Any, name: str) -> None:  # noqa: ANN401
    with suppress(psycopg2.errors.DuplicateObject):
        cursor.execute(f'CREATE ROLE "{name}" LOGIN NOSUPERUSER')


def _hand_over(connect: Callable[[str], Connection], name: str) -> None:
    """Give a database and all in it to its role; the owner comes last, so that a part of it is done again."""
    statements = [
        _LOCK_TIMEOUT,
        _HAND_OVER.format(role=f'"{name}"'),
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        *([] if name in NOT_FOR_READERS else [f'GRANT CONNECT ON DATABASE "{name}" TO {READER}']),
        f'ALTER DATABASE "{name}" OWNER TO "{name}"',
    ]
    with closing(connect(name)) as connection:
        try:
            with connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except psycopg2.errors.LockNotAvailable:
            raise DatabaseUnavailable(
                f"the database {name} has to be given to its own role, but another connection keeps using a "
                "table of it: end what uses it (`itb ui`, a run, psql), then try again"
            ) from None
