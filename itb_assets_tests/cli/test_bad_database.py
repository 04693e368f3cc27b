"""A database that is away, shut, full, foreign or too new is told clearly, and nothing is half written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import small_disks
from itb_command import MARKET, Itb
from login_server import LoginServer, login_server
from refusals import BAD, DEAD, LATER, RUN, SECRET, contents, refused

from itb_assets.storage.database.migrations import migrations
from itb_assets.storage.database.timescale import Tier
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.columns_catalogue import MAX_COLUMNS

LATER_RUN = (*RUN[:-1], "2024-06-10")
"""Loads days that the data root lacks."""
ON_TABLES = (("verify",), ("storage", "phase", "db_read"), ("storage", "backfill"), ("db", "migrate"))
OF_MARKET = ("--symbol", MARKET.symbol, "--freq", MARKET.freq)
ON_DATABASE = (*ON_TABLES, ("db", "status"), ("db", "columns"), ("query", "recent_features", *OF_MARKET))
PLAIN = [migration.name for migration in migrations() if migration.tier is Tier.POSTGRES]


@pytest.fixture(scope="module")
def server(built) -> EmbeddedPostgres:
    """Return the server in which the data root that was built has its tables."""
    return EmbeddedPostgres(built.root / ".itb" / "postgres")


@pytest.fixture
def copied(built, server, tmp_path) -> Itb:
    """Return the command on a copy of that data root, with the same tables."""
    root = tmp_path / "data root"
    for name in (MARKET.symbol, "models"):
        shutil.copytree(built.root / name, root / name)
    return Itb(
        tmp_path,
        {
            **built.environment,
            "ITB_DATA_ROOT": str(root),
            "ITB_DATABASE_URL": server.url("itb"),
            "ITB_DAGSTER_URL": server.url("dagster"),
        },
    )


@pytest.fixture
def emptied(copied, server, request) -> Itb:
    """Return the command on an empty data root, with a database of this test's own."""
    name = request.node.name.removeprefix("test_")[:30]
    server.ensure_database(name)
    shutil.rmtree(copied.root)
    return replace(copied, environment={**copied.environment, "ITB_DATABASE_URL": server.url(name)})


def ask(server: EmbeddedPostgres, statement: str, database: str = "itb") -> list[tuple]:
    """Run a statement as an administrator."""
    folder = str(server.status().socket_dir)
    with closing(psycopg2.connect(dbname=database, user="postgres", host=folder)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def name_of(itb: Itb) -> str:
    """Return the database that the settings name."""
    return itb.environment["ITB_DATABASE_URL"].partition("///")[2].partition("?")[0]


def as_user(itb: Itb, name: str) -> Itb:
    """Return the command as another role of the database."""
    url = itb.environment["ITB_DATABASE_URL"].rpartition("=")[0]
    return replace(itb, environment={**itb.environment, "ITB_DATABASE_URL": f"{url}={name}"})


@pytest.mark.parametrize("command", ON_DATABASE, ids=lambda words: " ".join(words[:3]))
def test_a_database_that_is_down(copied, command):
    before = contents(copied.root)
    said = copied(*command, ITB_DATABASE_URL=DEAD)
    refused(said, LATER, "me:***@127.0.0.1:9/itb cannot be reached", "start it, or correct ITB_DATABASE_URL")
    assert contents(copied.root) == before


def test_status_needs_the_database_only_where_tables_are_read(copied):
    assert copied("status", ITB_DATABASE_URL=DEAD).code == 0
    refused(copied("status", ITB_DATABASE_URL=DEAD, ITB_STORAGE_PHASE="db_read"), LATER, "cannot be reached")


@pytest.fixture(scope="module")
def logins() -> Iterator[LoginServer]:
    """Return a server that asks for passwords, and knows some roles."""
    with login_server() as server:
        server.run(
            f"CREATE ROLE itb LOGIN PASSWORD '{SECRET}'",
            f"CREATE ROLE shut_out NOLOGIN PASSWORD '{SECRET}'",
            f"CREATE ROLE crowded LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0",
            "CREATE DATABASE itb OWNER itb",
            "CREATE DATABASE dagster OWNER itb",
            "CREATE DATABASE shut OWNER itb",
            "CREATE DATABASE closed",
            "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
        )
        yield server


@pytest.mark.parametrize(
    ("user", "password", "database", "code", "words"),
    [
        ("itb", f"{SECRET}er", "itb", BAD, ("refused the password", "correct user and password in ITB_DAT")),
        ("nobody", SECRET, "itb", BAD, ("refused the password", "correct user and password in ITB_DATABASE")),
        ("shut_out", SECRET, "itb", BAD, ("does not let this user in", "not permitted to log in")),
        ("itb", SECRET, "nosuch", BAD, ("is not there", "`itb db init` with ITB_ADMIN_DATABASE_URL")),
        ("itb", SECRET, "shut", BAD, ("does not let this user in", "pg_hba.conf")),
        ("itb", SECRET, "closed", BAD, ("refused for want of a right", "`itb db sql` prints what an admin")),
        ("crowded", SECRET, "itb", LATER, ("has no connection free", "CONNECTION LIMIT, then run again")),
    ],
)
def test_a_database_that_lets_nobody_in(copied, logins, user, password, database, code, words):
    """Whoever asks is told the same; what another attempt does not change is not called transient."""
    before = contents(copied.root)
    url = logins.url(user, password, database)
    for command in (RUN, ("verify", "--repair"), ("storage", "phase", "db_read"), ("db", "status")):
        refused(copied(*command, ITB_DATABASE_URL=url), code, f"{user}:***@127.0.0.1", *words)
    refused(
        copied(*RUN, ITB_DATABASE_URL=logins.url("itb", SECRET, "itb"), ITB_DAGSTER_URL=url), code, *words
    )
    assert contents(copied.root) == before


def test_a_password_that_is_right(copied, logins):
    """Over the network everything is as through the socket; the status never shows the password."""
    environment = {
        "ITB_DATABASE_URL": logins.url("itb", SECRET, "itb"),
        "ITB_DAGSTER_URL": logins.url("itb", SECRET, "dagster"),
    }
    itb = replace(copied, environment={**copied.environment, **environment})
    for command in (("storage", "backfill"), ("verify",), RUN, ("db", "status"), ("doctor",)):
        said = itb(*command)
        assert said.code == 0 or command == ("doctor",), said
        assert SECRET not in said.out + said.err


def test_a_role_that_may_only_read(copied, server):
    """It may compare; what it may not write is nowhere, also not in the files."""
    ask(server, "CREATE ROLE watcher LOGIN; GRANT CONNECT ON DATABASE itb TO watcher")
    ask(server, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO watcher")
    itb = as_user(copied, "watcher")
    before = contents(itb.root)
    assert itb("verify").code == 0
    refused(itb(*LATER_RUN), BAD, "refused for want of a right", "permission denied", "`itb db init`")
    assert contents(itb.root) == before
    assert itb("verify").code == 0


def test_the_role_of_dashboards_writes_nothing(copied):
    """It may read, and write nothing."""
    before = contents(copied.root)
    said = as_user(copied, "itb_reader")(*LATER_RUN)
    refused(said, BAD, "refused for want of a right", "permission denied")
    assert contents(copied.root) == before


def test_a_role_that_may_not_read(copied, server):
    """Rows that it must not see are no damaged rows: nothing is mended."""
    ask(server, "CREATE ROLE blind LOGIN; GRANT CONNECT ON DATABASE itb TO blind")
    ask(server, "GRANT SELECT ON manifests, schema_migrations, columns TO blind")
    itb = as_user(copied, "blind")
    before = contents(itb.root)
    for command in (("verify",), ("verify", "--repair"), ("storage", "phase", "db_read")):
        refused(itb(*command), BAD, "refused for want of a right", "permission denied for table ohlcv")
    assert contents(itb.root) == before
    assert copied("verify").code == 0


def test_an_extension_that_is_missing(copied):
    before = contents(copied.root)
    itb = replace(copied, environment={**copied.environment, "ITB_DATABASE_TIER": "community"})
    words = ("extension timescaledb is missing", "CREATE EXTENSION", "choose ITB_DATABASE_TIER=postgres")
    for command in (RUN, *ON_TABLES):
        refused(itb(*command), BAD, *words)
    assert contents(copied.root) == before


def test_a_schema_newer_than_the_code(emptied, server):
    assert emptied("db", "migrate").code == 0
    ask(
        server,
        "INSERT INTO schema_migrations (number, name, sha256) VALUES (9000, '9000_later', '')",
        name_of(emptied),
    )
    words = ("schema is number 9000 (9000_later)", "at most", "install the version that applied it")
    for command in (RUN, ("db", "columns")):
        refused(emptied(*command), BAD, *words)
    assert contents(emptied.root) == {}
    assert ask(server, "SELECT count(*) FROM ohlcv", name_of(emptied)) == [(0,)]


def test_a_feature_table_without_room(emptied, server):
    """Klines are stored; features, which do not fit, are neither in the table nor in a file."""
    assert emptied("db", "migrate").code == 0
    columns = ", ".join(f"ADD COLUMN other_{number} double precision" for number in range(MAX_COLUMNS - 4))
    ask(server, f"ALTER TABLE features {columns}", name_of(emptied))
    said = emptied(*RUN)
    refused(said, BAD, "table features has 1589 columns", f"room for {MAX_COLUMNS}", "name fewer")
    names = sorted(Path(name).name for name in contents(emptied.root))
    assert "klines.parquet" in names
    assert not [name for name in names if "features" in name or "tmp" in name]
    assert ask(server, "SELECT count(*) FROM features", name_of(emptied)) == [(0,)]
    assert emptied("verify").code == 0


def test_a_migration_that_fails_half_way(emptied, server):
    """A table of somebody else's is in the way of the second: of that nothing is left, the first is there."""
    name = name_of(emptied)
    ask(server, "CREATE TABLE model_drift (mine int)", name)
    refused(emptied("db", "migrate"), BAD, "already exists")
    applied = [row[0] for row in ask(server, "SELECT name FROM schema_migrations ORDER BY 1", name)]
    assert applied == PLAIN[: len(applied)] != PLAIN
    refused(emptied(*RUN), BAD, "already exists")
    assert contents(emptied.root) == {}
    assert ask(server, "SELECT count(*) FROM ohlcv", name) == [(0,)]
    ask(server, "DROP TABLE model_drift", name)
    assert emptied("db", "migrate").code == 0
    assert emptied("db", "migrate", "--json").json()[0]["state"].startswith("waits for TimescaleDB")


def test_two_processes_that_migrate_at_once(emptied):
    """Each migration is applied by one of them; to the other it is there."""
    command = [Path(sys.executable).with_name("itb"), "db", "migrate", "--json"]
    environment = {**os.environ, **emptied.environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, cwd=emptied.folder, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    states = sorted(row for out, _ in said for row in out.splitlines() if '"state": "applied"' in row)
    assert len(states) == len(PLAIN)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a disk of its own on which little more than a new database has room."""
    with small_disks.small_disk(tmp_path, "120m", required_on_ci=True) as folder:
        yield folder


def test_a_database_whose_disk_is_full(copied, small_disk):
    """Each frame is new in file and table or in neither; once there is room the same command completes it."""
    server = EmbeddedPostgres(small_disk / "postgres")
    server.start()
    server.ensure_database("full")
    try:
        itb = replace(copied, environment={**copied.environment, "ITB_DATABASE_URL": server.url("full")})
        assert itb("storage", "backfill").code == 0
        before = contents(itb.root)
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 8192))
        refused(itb(*LATER_RUN), BAD, "has no space left", "nothing was written; free space")
        assert contents(itb.root).keys() == before.keys()
        assert itb("verify").code == 0
        ballast.unlink()
        assert itb(*LATER_RUN).code == 0
        assert itb("verify").code == 0
    finally:
        server.stop(at_once=True)
