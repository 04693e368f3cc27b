"""What a database driver says, in our words: transient or not, and never with a password.

Which calls are made belongs to `database`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import adbc_driver_manager
import psycopg2
import sqlalchemy as sa

from itb_assets.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    InputError,
    ItbError,
    StorageError,
    StorageFull,
)

# connection lost, out of connections or memory, shutting down, and conflicts that a retry resolves
_TRANSIENT = ("08", "53", "57P", "40")
_SERVER_GONE = ("connect", "server closed", "terminat", "no connection", "timeout")


@dataclass(frozen=True)
class _Known:
    """An error that is told by its code: what it becomes, what is the matter, and what to do."""

    kind: type[ItbError]
    what: str
    advice: str


_RIGHTS = (
    "the role has to own the database and its tables: `itb db init` with ITB_ADMIN_DATABASE_URL makes it so, "
    "`itb db sql` prints what an administrator runs; nothing was written"
)
_KNOWN: Mapping[str, _Known] = {
    "28P01": _Known(
        DatabaseRefused,
        "refused the password",
        "correct user and password in ITB_DATABASE_URL and ITB_DAGSTER_URL",
    ),
    "28000": _Known(
        DatabaseRefused,
        "does not let this user in",
        "correct the user in ITB_DATABASE_URL and ITB_DAGSTER_URL, or have an administrator make the role "
        "(`itb db init` with ITB_ADMIN_DATABASE_URL does) and let it in from here by pg_hba.conf",
    ),
    "3D000": _Known(
        DatabaseRefused,
        "is not there",
        "correct the name in ITB_DATABASE_URL and ITB_DAGSTER_URL, or make it by `itb db init` with "
        "ITB_ADMIN_DATABASE_URL",
    ),
    "42501": _Known(DatabaseRefused, "refused for want of a right", _RIGHTS),
    "25006": _Known(
        DatabaseRefused,
        "only allows reading",
        "let ITB_DATABASE_URL name the primary server and a role that may write; nothing was written",
    ),
    "53100": _Known(
        StorageFull,
        "has no space left",
        "nothing was written; free space on the disk of the database, then run again",
    ),
    "53300": _Known(
        DatabaseUnavailable,
        "has no connection free",
        "end what holds them (pg_stat_activity shows who), or raise max_connections or the role's CONNECTION "
        "LIMIT, then run again",
    ),
    "54000": _Known(
        StorageError,
        "has no room for a row this wide",
        "let strategies name fewer features and labels; nothing was written",
    ),
    "54011": _Known(
        StorageError,
        "has no room for one more column",
        "let strategies name fewer features and labels, or use a database of its own for them; nothing was "
        "written",
    ),
    "55P03": _Known(
        DatabaseUnavailable,
        "kept waiting for something that another connection uses",
        "run again when that has ended (pg_stat_activity shows who)",
    ),
    "57014": _Known(
        DatabaseUnavailable,
        "was told to end this statement",
        "run again, or raise statement_timeout where that is what ended it",
    ),
    "57P03": _Known(
        DatabaseUnavailable,
        "is starting, stopping or recovering",
        "wait until it has, then run again",
    ),
    "58P01": _Known(
        StorageError,
        "misses a file",
        "look into the server's log: where it is a library, install the extension that it belongs to again; "
        "where it is data, bring it back by `itb db restore`, or use an empty database and `itb storage "
        "backfill`",
    ),
    "40001": _Known(DatabaseUnavailable, "met another writer of the same rows", "run again"),
    "40P01": _Known(DatabaseUnavailable, "met another writer of the same rows", "run again"),
}
_SAID: Mapping[str, str] = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "pg_hba.conf rejects": "28000",
    "is not permitted to log in": "28000",
    'FATAL: role "': "28000",
    'FATAL: database "': "3D000",
    "permission denied for database": "42501",
    "too many connections": "53300",
    "too many clients": "53300",
    "connection slots are reserved": "53300",
    "the database system is": "57P03",
}
"""What a server says to whom it does not let in, and the code that the driver then does not hand over."""

_SHOWN_OPTIONS = {"host", "port", "dbname", "user", "sslmode"}
"""What a URL may say after `?` and still be shown: the rest can be a password, a key or a token."""


def database_address(url: str) -> sa.URL:
    """Return the address of a PostgreSQL; raise InputError for anything else.

    The text is not repeated, nor what the parser says of it: either may hold a password.
    """
    try:
        address = sa.make_url(url)
        address.get_dialect()
    except (sa.exc.SQLAlchemyError, ValueError, ImportError):
        address = None
    if address is None or address.get_backend_name() != "postgresql":
        raise InputError(
            "the database URL is not one of a PostgreSQL: expected postgresql+psycopg2://user:password@host:"
            "5432/name, with / @ : ? # and spaces of a password written as %2F %40 %3A %3F %23 %20; correct "
            "ITB_DATABASE_URL and ITB_DAGSTER_URL"
        )
    return address


@contextmanager
def database_errors(url: sa.URL) -> Iterator[None]:
    """Turn a driver's error into DatabaseUnavailable, DatabaseRefused, StorageFull or StorageError.

    The driver's own error is not chained: its text and arguments may hold the connection's words.
    """
    try:
        yield
    except (adbc_driver_manager.Error, psycopg2.Error, sa.exc.SQLAlchemyError) as error:
        raise _ours(error, url) from None


def _ours(error: Exception, url: sa.URL) -> Exception:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
    where = url.difference_update_query(_hidden_options(url))
    said = " ".join(str(cause).split())
    for secret in _secrets(url):
        said = said.replace(secret, "***")
    known = _KNOWN.get(state or next((code for words, code in _SAID.items() if words in said), ""))
    if known is not None:
        return known.kind(f"the database {where} {known.what}: {said}; {known.advice}")
    if state.startswith(_TRANSIENT) or (not state and any(word in said.lower() for word in _SERVER_GONE)):
        return DatabaseUnavailable(
            f"the database {where} cannot be reached: {said}; start it, or correct ITB_DATABASE_URL"
        )
    return StorageError(f"the database {where} refused: {said}")


def _hidden_options(url: sa.URL) -> list[str]:
    return [name for name in url.query if name not in _SHOWN_OPTIONS]


def _secrets(url: sa.URL) -> list[str]:
    """Return every part of the address that may be a secret, the longest first."""
    values = [url.query[name] for name in _hidden_options(url)]
    parts = [str(url.password or ""), *(part for value in values for part in sa.util.to_list(value))]
    return sorted(filter(None, parts), key=len, reverse=True)
