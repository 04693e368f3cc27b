"""A PostgreSQL of the benchmarks' own, in a folder that goes away with them.

What is loaded into it belongs to the cases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from itb_assets.storage.server.embedded import EmbeddedPostgres

_ADMINISTRATION = "postgres"


@dataclass(frozen=True)
class Server:
    """A running embedded PostgreSQL: where its data lies, and the process whose tree is charged."""

    folder: Path
    pid: int

    def database(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database, made if it is not there; its role may run CHECKPOINT."""
        postgres = EmbeddedPostgres(self.folder)
        postgres.ensure_database(name)
        url = str(postgres.url(name))
        if f"user={_ADMINISTRATION}" not in url:
            _administer(postgres, f'GRANT pg_checkpoint TO "{name}"')
        return url


@contextlib.contextmanager
def running(base: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run an embedded PostgreSQL; without autovacuum, which would charge one way for another."""
    postgres = EmbeddedPostgres(base / "postgres")
    postgres.start()
    try:
        pid = postgres.status().pid
        if pid is None:
            raise SystemExit("the embedded PostgreSQL ended right after its start")
        wanted = {"autovacuum": "off", **(settings or {})}
        _administer(postgres, *(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in wanted.items()))
        _administer(postgres, "SELECT pg_reload_conf()")
        yield Server(base / "postgres", pid)
    finally:
        postgres.stop()


def _administer(postgres: EmbeddedPostgres, *statements: str) -> None:
    connection = psycopg2.connect(postgres.url(_ADMINISTRATION).replace("+psycopg2", ""))
    with contextlib.closing(connection):
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
