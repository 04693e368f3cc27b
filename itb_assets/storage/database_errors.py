"""What a database driver says, in our words: transient or not, and never with a password.

Which calls are made belongs to `database`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg2
import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError, StorageFull

_FULL = "53100"
# connection lost, out of connections or memory, shutting down, and conflicts that a retry resolves
_TRANSIENT = ("08", "53", "57P", "40")
_SERVER_GONE = ("connect", "server closed", "terminat", "no connection", "timeout")
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
    """Turn a driver's error into DatabaseUnavailable, StorageFull or StorageError.

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
    if state == _FULL:
        return StorageFull(f"the database {where} has no space left: {said}; nothing was written")
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
