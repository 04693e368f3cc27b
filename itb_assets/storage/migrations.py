"""Numbered changes of the schema, each applied once, with its record in the same transaction.

The statements lie in `sql/NNNN_name.sql`; what the tables are for belongs to `tables`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

import sqlalchemy as sa

from itb_assets.errors import StorageError

_LOCK = 0x697462  # "itb"; one migrating process at a time
_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT = "INSERT INTO schema_migrations (number, name, sha256) VALUES (:number, :name, :sha256)"


@dataclass(frozen=True)
class Migration:
    """One numbered file of statements."""

    number: int
    name: str
    statements: str

    @property
    def sha256(self) -> str:
        """Digest of its statements: an applied one may not change."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Return all migrations that come with the package, in order."""
    found = [
        entry
        for entry in files("itb_assets.storage").joinpath("sql").iterdir()
        if entry.name.endswith(".sql")
    ]
    return tuple(
        Migration(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text("utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    )


def migrate(engine: sa.Engine, wanted: tuple[Migration, ...] | None = None) -> tuple[int, ...]:
    """Apply what is missing and return its numbers; raise StorageError if an applied one was altered."""
    applied = []
    for migration in wanted if wanted is not None else migrations():
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(sa.text(_RECORD))
            known = connection.execute(
                sa.text("SELECT sha256 FROM schema_migrations WHERE number = :number"),
                {"number": migration.number},
            ).scalar()
            if known is None:
                connection.exec_driver_sql(migration.statements)
                values = {"number": migration.number, "name": migration.name, "sha256": migration.sha256}
                connection.execute(sa.text(_INSERT), values)
                applied.append(migration.number)
            elif known != migration.sha256:
                raise StorageError(
                    f"migration {migration.name} was applied with other statements than this version has: "
                    "install the version that applied it, or use another database"
                )
    return tuple(applied)
