"""Connections of a Dagster instance that stay open between calls.

Dagster opens one for every call, 4 ms apiece: hundreds in a run, and six for each run that is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

STATEMENT_TIMEOUT_MS = 120_000
POOL_RECYCLE_S = 600
POOL_OVERFLOW = 20


@contextmanager
def kept_connections(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep an instance's connections open for a while, as Dagster's web server asks for too.

    Dagster never closes them itself, and who stops the embedded server looks whether anybody is connected.
    """
    instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_S, POOL_OVERFLOW)
    try:
        yield
    finally:
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            engine = getattr(storage, "_engine", None)  # no public name, and the pin holds it still
            if engine is not None:
                engine.dispose()
