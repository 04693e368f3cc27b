"""What a database driver says, in our words: transient or not, and never with a password.

Which calls are made belongs to `database`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg2
import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, StorageError, StorageFull

_FULL = "53100"
# connection lost, out of connections or memory, shutting down, and conflicts that a retry resolves
_TRANSIENT = ("08", "53", "57P", "40")
_SERVER_GONE = ("connect", "server closed", "terminat", "no connection", "timeout")


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
    where = url.render_as_string(hide_password=True)
    said = " ".join(str(cause).split())
    if url.password:
        said = said.replace(str(url.password), "***")
    if state == _FULL:
        return StorageFull(f"the database {where} has no space left: {said}; nothing was written")
    if state.startswith(_TRANSIENT) or (not state and any(word in said.lower() for word in _SERVER_GONE)):
        return DatabaseUnavailable(
            f"the database {where} cannot be reached: {said}; start it, or correct ITB_DATABASE_URL"
        )
    return StorageError(f"the database {where} refused: {said}")
