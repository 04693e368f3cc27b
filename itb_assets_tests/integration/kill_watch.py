"""What `test_kill_run` watches for in a data root: the moments at which a kill would hurt most."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2

from itb_assets.domain.markets import Market
from itb_assets.storage.server.embedded import EmbeddedPostgres

Sight = Callable[[], bool]

LEFTOVER = re.compile(r"^\.(?:tmp|old)-|\.tmp-|\.next\.json$")
TABLES = "('ohlcv'::regclass, 'predictions'::regclass, 'signals'::regclass, 'trades'::regclass)"
WRITING = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE mode = 'RowExclusiveLock' AND pid <> pg_backend_pid() "  # noqa: S608
    f"AND locktype = 'relation' AND relation IN {TABLES})"
)
COMMITTED = "SELECT sha256 FROM manifests WHERE asset = 'raw/klines'"


def database_of(root: Path, name: str) -> psycopg2.extensions.connection:
    """Connect to a database of the root's own server."""
    folder = EmbeddedPostgres(root / ".itb" / "postgres").status().socket_dir
    connection = psycopg2.connect(dbname=name, user="postgres", host=str(folder))
    connection.autocommit = True
    return connection


def names_below(folder: Path) -> Iterator[str]:
    """Yield the names of all files and folders."""
    for _, folders, files in os.walk(folder):
        yield from folders
        yield from files


def leftovers(root: Path, market: Market) -> list[str]:
    """Return the temporary names of writers; the download cache clears its own after a day."""
    folders = (root / market.symbol, root / "models")
    return [name for folder in folders for name in names_below(folder) if LEFTOVER.search(name)]


class Sights:
    """Looks for moments of a run by their names."""

    def __init__(self, root: Path, market: Market) -> None:
        """Connect to the tables."""
        folder = root / market.symbol / market.freq
        self._manifest = folder / "raw" / ".klines.parquet.manifest.json"
        self._places = {
            "a download": (root / ".itb" / "cache", r"\.part$"),
            "klines being written": (folder / "raw", r"\.tmp-"),
            "a frame being written": (folder / "processed", r"\.tmp-"),
            "a model being saved": (root / "models", r"\.tmp-"),
            "signals being written": (folder / "signals", r"\.tmp-"),
            "trades being written": (folder / "trades", r"\.tmp-"),
        }
        self._connection = database_of(root, "itb")

    def close(self) -> None:
        """Let go of the tables."""
        self._connection.close()

    @property
    def names(self) -> list[str]:
        """What can be looked for."""
        return ["a table ahead of its file", "a transaction", *self._places]

    def look_for(self, name: str) -> Sight:
        """Return what tells whether it is there, and was not when this was called."""
        if name == "a transaction":
            return lambda: bool(self._ask(WRITING))
        if name == "a table ahead of its file":
            return lambda: self._ask(COMMITTED) != json.loads(self._manifest.read_text())["sha256"]
        folder, pattern = self._places[name]
        before = set(names_below(folder))
        return lambda: any(re.search(pattern, found) for found in {*names_below(folder)} - before)

    def _ask(self, statement: str) -> object:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return row and row[0]
