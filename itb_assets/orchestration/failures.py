"""How our errors become Dagster's: transient ones are retried, terminal ones are not.

Nothing here reads a message; the type decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg2
from sqlalchemy.exc import DBAPIError

from itb_assets.errors import DatabaseUnavailable, ItbError, RateLimited, StorageError, TransientError
from itb_assets.observability.logs import redact

MAX_RETRIES = 2
DEFAULT_WAIT_S = 5.0
LONGEST_WAIT_S = 600.0  # a ban of days is for the next schedule, not for a run that sleeps


@contextmanager
def as_failures(*, retry: bool = True) -> Iterator[None]:
    """Raise a transient error as RetryRequested and any other of ours as a Failure that allows no retry.

    Without `retry` a transient one ends the step too: somebody waits, and the sources have tried again.
    """
    try:
        yield
    except TransientError as error:
        wait = (
            error.retry_after_s if isinstance(error, RateLimited) and error.retry_after_s else DEFAULT_WAIT_S
        )
        if not retry or wait > LONGEST_WAIT_S:
            raise _failure(error) from error
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except ItbError as error:
        raise _failure(error) from error


def _failure(error: ItbError) -> dg.Failure:
    return dg.Failure(
        description=redact(str(error)), metadata={"error": type(error).__name__}, allow_retries=False
    )


def cause_of(error: BaseException) -> ItbError | None:
    """Return our own error behind one of Dagster's, or one of the system or a database in our words."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    explicit = True  # what was merely being handled when a bug showed is not its cause
    while following is not None and following not in chain:  # Dagster links some errors in a circle
        found = following if isinstance(following, ItbError) else explicit and _in_our_words(following)
        if found:
            return found
        chain.append(following)
        explicit = explicit and following.__cause__ is not None
        following = following.__cause__ or following.__context__
    return None


def _in_our_words(error: BaseException) -> ItbError | None:
    if isinstance(error, DBAPIError | psycopg2.Error):
        said = str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]
        return DatabaseUnavailable(
            f"the database that Dagster records runs in was lost: {said}; start it, or correct "
            "ITB_DAGSTER_URL; what was finished is kept, run again to go on"
        )
    if isinstance(error, OSError) and error.filename:
        return StorageError(
            f"{error.filename} cannot be used: {error.strerror}; check that it is there, is yours and "
            "has space"
        )
    return None
