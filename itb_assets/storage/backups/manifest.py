"""What a backup says of itself, in a JSON file beside it: origin, digest, and a fingerprint of every table.

Making and restoring one belong to `backup` and `restore`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from itb_assets.errors import InputError, StorageError
from itb_assets.storage.backups.tools import Progress

FORMAT = 1
_BLOCK = 1 << 20
# A row's text is the same on every server only if these are.
_SESSION = (
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'iso_8601'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
)
# Not those that TimescaleDB keeps for itself: chunks, compressed or not, show through the hypertables.
_TABLES = """
SELECT format('%I.%I', nspname, relname) AS name, pg_get_userbyid(relowner) AS owner
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relpersistence <> 't'
    AND nspname <> 'information_schema' AND nspname !~ '^(pg|_timescaledb)_'
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
    )
ORDER BY 1
"""


_STATE = "SELECT count(*), coalesce(sum(hashtextextended(one::text, 0)::numeric), 0)::text"


@dataclass(frozen=True)
class TableState:
    """How many rows a table has, and the sum of their digests, which no order of them changes."""

    rows: int
    digest: str


@dataclass(frozen=True)
class BackupManifest:
    """What is known of a backup; `sha256` and `bytes` are those of the file beside it."""

    kind: str
    database: str
    owners: tuple[str, ...]
    made_at: str
    server: int
    tier: str
    extension: str | None
    schema_number: int
    pg_dump: int
    sha256: str
    bytes: int
    tables: Mapping[str, TableState]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, place: Path) -> Self:
        """Read what `to_json` wrote; raise StorageError for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            version = values.pop("format")
            if version != FORMAT:
                raise StorageError(
                    f"{place} is of format {version}, this version reads {FORMAT}: restore it by the version "
                    "of itb-assets that made it"
                )
            tables = {name: TableState(**state) for name, state in values.pop("tables").items()}
            return cls(tables=tables, owners=tuple(values.pop("owners")), **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{place} is not the manifest of a backup: {error}; copy it again") from error


def manifest_path(file: Path) -> Path:
    """Return where the manifest of a backup lies."""
    return file.with_name(f"{file.name}.json")


def read_manifest(file: Path) -> BackupManifest:
    """Return the manifest of a backup whose file is what it says; raise InputError or StorageError."""
    place = manifest_path(file)
    for path in (file, place):
        if not path.is_file():
            raise InputError(
                f"{path} is not there: expected a file of `itb db backup` and its manifest {place.name} "
                "beside it; a dump of another origin is restored by pg_restore"
            )
    manifest = BackupManifest.from_json(place.read_text("utf-8"), place=place)
    found = sha256_of(file)
    if found != manifest.sha256:
        raise StorageError(
            f"{file} is not what was backed up: {file.stat().st_size:,} bytes with sha256 {found[:12]}, "
            f"expected {manifest.bytes:,} bytes with {manifest.sha256[:12]}; copy it again"
        )
    return manifest


def sha256_of(file: Path) -> str:
    """Return the digest of a file of any size."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def schema_number(connection: sa.Connection) -> int:
    """Return the highest migration in a database; 0 where there is none, as in Dagster's."""
    if connection.exec_driver_sql("SELECT to_regclass('schema_migrations')").scalar_one() is None:
        return 0
    return int(
        connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM schema_migrations").scalar_one()
    )


def table_owners(connection: sa.Connection) -> dict[str, str]:
    """Return whose each of our tables is, by its quoted name."""
    return {row.name: row.owner for row in connection.execute(sa.text(_TABLES))}


def table_states(connection: sa.Connection, progress: Progress) -> dict[str, TableState]:
    """Count every table's rows and digest every value in them, in the caller's transaction."""
    for statement in _SESSION:
        connection.exec_driver_sql(statement)
    states = {}
    for name in table_owners(connection):
        progress(f"counting {name}")
        # the driver takes a lone % for a parameter
        statement = f"{_STATE} FROM {name.replace('%', '%%')} AS one"
        rows, digest = connection.exec_driver_sql(statement).one()
        states[name] = TableState(int(rows), str(digest))
    return states


def differences(expected: Mapping[str, TableState], found: Mapping[str, TableState]) -> tuple[str, ...]:
    """Say of every table that is not the same in which way."""
    told = []
    for name in sorted(expected.keys() | found.keys()):
        ours, theirs = expected.get(name), found.get(name)
        if theirs is None:
            told.append(f"{name} is missing")
        elif ours is None:
            told.append(f"{name} is not in the backup")
        elif ours.rows != theirs.rows:
            told.append(f"{name} has {theirs.rows:,} rows, the backup {ours.rows:,}")
        elif ours != theirs:
            told.append(f"{name} has as many rows, but other values")
    return tuple(told)
