"""A PostgreSQL of the benchmarks' own, in a folder that goes away with them.

What is loaded into it belongs to the cases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import Server
from sqlalchemy import create_engine, text

from itb_assets.storage.embedded import EmbeddedPostgres


@contextlib.contextmanager
def running(base: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run an embedded PostgreSQL; without autovacuum, which would charge one way for another."""
    postgres = EmbeddedPostgres(base / "postgres")
    postgres.start()
    try:
        pid = postgres.status().pid
        if pid is None:
            raise SystemExit("the embedded PostgreSQL ended right after its start")
        engine = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name, value in {"autovacuum": "off", **(settings or {})}.items():
                connection.execute(text(f"ALTER SYSTEM SET {name} = '{value}'"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield Server(base / "postgres", pid)
    finally:
        postgres.stop()
