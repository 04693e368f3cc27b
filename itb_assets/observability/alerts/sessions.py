"""A session of the database that is held for long: alone under a lock, woken by notices, never swapped.

What is done in it belongs to the dispatcher and its lanes; where the database is, to whoever hands `connect`.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import sqlalchemy as sa

from itb_assets.observability.logs import get_logger

Connect = Callable[[], sa.Connection]
"""Opens a connection; each caller closes what it opened."""

DATABASE_ERRORS = (sa.exc.SQLAlchemyError, psycopg2.Error, OSError, ValueError)
"""What a session that broke raises, wherever it is noticed."""

_LONG_WAIT_S = 30.0
_TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")


@contextmanager
def session(connect: Connect) -> Iterator[sa.Connection]:
    """Yield a connection that belongs to no pool: its end is the end of its locks, whatever happened.

    Leave the block at the first error of the database. A connection that broke would otherwise be opened
    anew behind our back, and without the lock.
    """
    connection = connect()
    try:
        connection.detach()
        yield connection
    finally:
        with suppress(*DATABASE_ERRORS):
            connection.close()


def hold(connection: sa.Connection, name: str, stop: threading.Event, *, every_s: float) -> bool:
    """Wait until this session alone holds the lock of this name; return False when told to stop before."""
    waits_since, told = time.monotonic(), False
    while not stop.is_set():
        with connection.begin():
            if connection.scalar(_TRY_LOCK, {"name": name}):
                return True
        if not told and time.monotonic() - waits_since > _LONG_WAIT_S:
            told = True
            get_logger(lock=name).warning(
                "another alerter works on this database: this one waits for its end"
            )
        stop.wait(every_s)
    return False


def listen(connection: sa.Connection, notice: str) -> None:
    """Be woken by this notice from now on."""
    with connection.begin():
        connection.execute(sa.text(f"LISTEN {notice}"))


def wait_for_notice(connection: sa.Connection, timeout_s: float) -> bool:
    """Return whether a notice came within the time; raise what the driver raises when the session broke."""
    driver: Any = connection.connection.dbapi_connection  # psycopg2's, which has notices
    if driver is None:
        raise psycopg2.InterfaceError("the session is closed")
    if not driver.notifies and select.select([driver], [], [], timeout_s)[0]:
        driver.poll()
    came = bool(driver.notifies)
    driver.notifies.clear()
    return came


def in_short(error: BaseException) -> str:
    """Return what the database said in one line, without the statement and what was handed to it."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
