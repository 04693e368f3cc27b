"""How our errors become Dagster's: transient ones are retried, terminal ones are not.

Nothing here reads a message; the type decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from itb_assets.errors import ItbError, RateLimited, TransientError

MAX_RETRIES = 2
DEFAULT_WAIT_S = 5.0


@contextmanager
def as_failures() -> Iterator[None]:
    """Raise a transient error as RetryRequested and a terminal one as a Failure that allows no retry."""
    try:
        yield
    except TransientError as error:
        wait = (
            error.retry_after_s if isinstance(error, RateLimited) and error.retry_after_s else DEFAULT_WAIT_S
        )
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except ItbError as error:
        raise dg.Failure(
            description=str(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from error


def cause_of(error: BaseException) -> ItbError | None:
    """Return our own error behind one of Dagster's, if there is one."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:  # Dagster links some errors in a circle
        if isinstance(following, ItbError):
            return following
        chain.append(following)
        following = following.__cause__ or following.__context__
    return None
