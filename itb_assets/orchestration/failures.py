"""How our errors become Dagster's: transient ones are retried, terminal ones are not.

Nothing here reads a message; the type decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg2
from sqlalchemy.exc import OperationalError

from itb_assets.errors import DatabaseUnavailable, ItbError, RateLimited, TransientError

MAX_RETRIES = 2
DEFAULT_WAIT_S = 5.0


@contextmanager
def as_failures(*, retry: bool = True) -> Iterator[None]:
    """Raise a transient error as RetryRequested and any other of ours as a Failure that allows no retry.

    Without `retry` a transient one ends the step too: somebody waits, and the sources have tried again.
    """
    try:
        yield
    except TransientError as error:
        if not retry:
            raise _failure(error) from error
        wait = (
            error.retry_after_s if isinstance(error, RateLimited) and error.retry_after_s else DEFAULT_WAIT_S
        )
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except ItbError as error:
        raise _failure(error) from error


def _failure(error: ItbError) -> dg.Failure:
    return dg.Failure(description=str(error), metadata={"error": type(error).__name__}, allow_retries=False)


def cause_of(error: BaseException) -> ItbError | None:
    """Return our own error behind one of Dagster's, if there is one."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:  # Dagster links some errors in a circle
        if isinstance(following, ItbError):
            return following
        if isinstance(following, OperationalError | psycopg2.OperationalError):
            return DatabaseUnavailable(
                f"the database that Dagster records runs in was lost ({type(following).__name__}): start it, "
                "or correct ITB_DAGSTER_URL; what was finished is kept, run again to go on"
            )
        chain.append(following)
        following = following.__cause__ or following.__context__
    return None
