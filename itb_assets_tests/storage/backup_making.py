"""A database worth a backup, and backups that are cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from psycopg2.extensions import make_dsn

from itb_assets.storage.backups import tools as backup_tools
from itb_assets.storage.backups.manifest import table_states
from itb_assets.storage.backups.tools import connected

SECRET = "s3 cr'et"  # noqa: S105 - of nobody
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
ROWS = """
INSERT INTO ohlcv (symbol, freq, time, open, high, low, close, volume, close_time, quote_av, trades,
    tb_base_av, tb_quote_av, ignore)
SELECT 'BTCUSDT', '5m', timestamptz '2024-01-01Z' + i * interval '5 minutes', i / 7.0, i, i, i / 3.0, i,
    i * 300000, 0, i, 0, 0, 0
FROM generate_series(1, 5000) AS i
"""
ODD = """
CREATE TABLE "Odd %% Name" (id serial PRIMARY KEY, amount numeric, at timestamptz, words text, doc jsonb);
INSERT INTO "Odd %% Name" (amount, at, words, doc) VALUES
    (0.1000, '2024-02-29 23:59:59.999999Z', E'tab\\t newline\\n quote'' \\u20ac', '{"a": [1, null]}'),
    (NULL, NULL, NULL, NULL), ('NaN', 'infinity', '', '{}')
"""


def run(url: str, *statements: str) -> list:
    with connected(sa.make_url(url), autocommit=True) as connection:
        results = [connection.exec_driver_sql(statement) for statement in statements]
        return [tuple(row) for row in results[-1]] if results[-1].returns_rows else []


def states(url: str):
    with connected(sa.make_url(url)) as connection:
        return table_states(connection, lambda _: None)


def databases(admin_url) -> set[str]:
    return {name for (name,) in run(admin_url, "SELECT datname FROM pg_database WHERE datname LIKE 'test%%'")}


def conninfo(url: str) -> str:
    address = sa.make_url(url)
    words = address.translate_connect_args(username="user", database="dbname") | dict(address.query)
    return str(make_dsn(**words))


def killed_at(what: str, *arguments: str, stop_at: str) -> None:
    """Run a backup or a restore in a process of its own and kill it at a step."""
    program = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from itb_assets.storage.backups.backup import back_up
from itb_assets.storage.backups.restore import restore
what, file, url, admin_url, stop_at = sys.argv[1:]
def progress(step):
    if step.startswith(stop_at):
        os.kill(os.getpid(), signal.SIGKILL)
if what == "backup":
    back_up(url, Path(file), kind="itb", now=datetime.now(UTC), progress=progress)
else:
    restore(Path(file), url, admin_url=admin_url, replace=True, progress=progress)
"""
    done = subprocess.run([sys.executable, "-c", program, what, *arguments, stop_at], check=False)
    assert done.returncode == -signal.SIGKILL


def programs_on_path(
    folder: Path, monkeypatch, script: str, *, version: str = "99.0", keep_ours: bool = False
) -> None:
    """Put programs on PATH that answer with a version and otherwise run a script."""
    place = folder / "programs"
    place.mkdir()
    for name in ("pg_dump", "pg_restore"):
        program = place / name
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) {version}" && exit\n{script}\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    if not keep_ours:
        monkeypatch.setattr(backup_tools, "find_spec", lambda _: None)
