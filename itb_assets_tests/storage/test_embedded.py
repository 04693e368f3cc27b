"""The embedded server starts anywhere, survives who started it, and comes back after a kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy as sa

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.storage.server import process as server_process
from itb_assets.storage.server import roles as embedded_roles
from itb_assets.storage.server.embedded import MAX_SOCKET_BYTES, EmbeddedPostgres

START = """
import sys
from pathlib import Path
from itb_assets.storage.server.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), runtime_dir=Path(sys.argv[2]))
print(server.start(), flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return a server started by another process, which has ended, in a deep folder with spaces."""
    base = tmp_path_factory.mktemp("pg")
    data_dir = base / "a deep folder" / ("x" * 60) / ("y" * 60) / "postgres"
    command = [sys.executable, "-c", START, str(data_dir), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    server = EmbeddedPostgres(data_dir, runtime_dir=base)
    yield server
    server.stop(at_once=True)


def ask(server, statement):
    engine = sa.create_engine(server.url("postgres"))
    try:
        with engine.connect() as connection:
            return connection.execute(sa.text(statement)).scalar()
    finally:
        engine.dispose()


def test_it_outlives_who_started_it(server):
    assert server.status().running
    assert server.start() is False
    assert os.getsid(server.status().pid) != os.getsid(0)
    assert ask(server, "SELECT 1") == 1


def test_a_deep_folder_gets_a_short_private_socket(server):
    status = server.status()
    assert status.socket_dir != server.data_dir
    assert len(os.fsencode(status.socket_dir / ".s.PGSQL.5432")) <= MAX_SOCKET_BYTES
    assert status.socket_dir.stat().st_mode & 0o077 == 0
    assert server.data_dir.stat().st_mode & 0o077 == 0


def test_it_listens_on_no_network_address_and_keeps_what_it_promised(server):
    assert ask(server, "SHOW listen_addresses") == ""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 5432)) != 0 or ask(server, "SELECT inet_server_addr()") is None
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert ask(server, f"SHOW {setting}") == "on"
    assert ask(server, "SELECT count(*) FROM pg_hba_file_rules WHERE type <> 'local'") == 0


def test_clients_are_counted_without_the_one_that_counts(server):
    assert not server.has_clients()
    connection = psycopg2.connect(dbname="postgres", user="postgres", host=str(server.status().socket_dir))
    assert server.has_clients()
    connection.close()


def test_databases_are_made_once(server):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(server.ensure_database, ["itb"] * 3))
    assert ask(server, "SELECT count(*) FROM pg_database WHERE datname = 'itb'") == 1
    with pytest.raises(InputError, match="is not valid"):
        server.ensure_database('x"; DROP DATABASE itb')


def ask_as(server, role, database, statement):
    """Run a statement as a role; return its first value, if it has any."""
    connection = psycopg2.connect(dbname=database, user=role, host=str(server.status().socket_dir))
    with closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def test_a_database_belongs_to_a_role_that_is_no_superuser(server):
    server.ensure_database("owned")
    assert "user=owned" in server.url("owned")
    rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = "
    assert ask(server, f"{rights}'owned'") is False
    ask_as(server, "owned", "owned", "CREATE TABLE mine (a int)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask_as(server, "owned", "owned", "COPY mine TO PROGRAM 'true'")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask_as(server, "owned", "owned", "CREATE ROLE another")


def test_roles_do_not_enter_each_other_s_databases(server):
    """Nor does the reader enter Dagster's own."""
    for name in ("owned", "dagster"):
        server.ensure_database(name)
    assert ask_as(server, "itb_reader", "owned", "SELECT 1") == 1
    for role, database in (("owned", "dagster"), ("dagster", "owned"), ("itb_reader", "dagster")):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            ask_as(server, role, database, "SELECT 1")


OLD = """
CREATE TABLE kept (id serial PRIMARY KEY, name text); INSERT INTO kept (name) VALUES ('a');
CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE loose; CREATE VIEW seen AS SELECT * FROM kept; CREATE MATERIALIZED VIEW made AS SELECT 1 AS a;
CREATE SCHEMA aside; CREATE TABLE aside.more (a int); CREATE TYPE mood AS ENUM ('good');
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


def old_database(server, name):
    """Make a database as earlier versions did: all in it is the superuser's."""
    ask_as_superuser = psycopg2.connect(
        dbname="postgres", user="postgres", host=str(server.status().socket_dir)
    )
    with closing(ask_as_superuser) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    ask_as(server, "postgres", name, OLD)


def test_a_database_of_an_earlier_version_is_handed_over(server):
    old_database(server, "old")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(server.ensure_database, ["old"] * 3))
    left = (
        "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname IN ('public', 'aside') AND pg_get_userbyid(relowner) <> 'old'"
    )
    assert ask_as(server, "old", "old", left) == 0
    assert ask_as(server, "old", "old", "SELECT count(*) FROM seen") == 1
    for statement in (
        "INSERT INTO kept (name) VALUES ('b')",
        "ALTER TABLE kept ADD COLUMN more int",
        "REFRESH MATERIALIZED VIEW made",
        "ALTER TYPE mood ADD VALUE 'bad'",
        "DROP FUNCTION one()",
        "DROP SCHEMA aside CASCADE",
        "DROP SEQUENCE loose",
        "DROP TABLE kept CASCADE",
    ):
        ask_as(server, "old", "old", statement)


def test_a_table_in_use_is_not_handed_over_by_half(server, monkeypatch):
    """It says who is in the way, and the next try does all of it."""
    monkeypatch.setattr(embedded_roles, "_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '100ms'")
    old_database(server, "used")
    user = psycopg2.connect(dbname="used", user="postgres", host=str(server.status().socket_dir))
    with closing(user), user.cursor() as cursor:
        cursor.execute("SELECT * FROM kept")
        with pytest.raises(DatabaseUnavailable, match="another connection keeps using"):
            server.ensure_database("used")
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert ask_as(server, "postgres", "used", owners) == "postgres"
    server.ensure_database("used")
    assert ask_as(server, "used", "used", owners) == "used"


def test_it_comes_back_after_a_kill(server):
    """A dead server's lock file names a process that is gone; what was committed is there."""
    engine = sa.create_engine(server.url("postgres"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS a"))
    engine.dispose()
    os.kill(server.status().pid, signal.SIGKILL)
    assert server.start()
    assert ask(server, "SELECT a FROM kept") == 42


def test_a_process_id_that_another_program_has_now_does_not_stop_it(server):
    """As after a reboot: the file names a living process that is no server."""
    server.stop()
    pid_file = server.data_dir / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{server.data_dir}\n1\n5432\n\n\n\nready\n")
    owner = (server.data_dir / "PG_VERSION").stat()
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    assert not server.status().running
    assert server.start()
    assert server.status().pid != os.getpid()


def test_starters_take_turns(server):
    server.stop()
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: server.start(), range(4))) == [False, False, False, True]


def test_a_stopped_server_says_so(server):
    assert server.stop()
    assert not server.stop()
    assert not server.status().running
    with pytest.raises(DatabaseUnavailable, match="itb db start"):
        server.ensure_database("itb")
    server.start()


def test_a_server_that_cannot_start_shows_its_log(server):
    server.stop()
    conf = server.data_dir / "postgresql.conf"
    good = conf.read_text()
    try:
        conf.write_text(good + "\nnonsense = 1\n")
        with pytest.raises(DatabaseUnavailable, match='unrecognized configuration parameter "nonsense"'):
            server.start()
    finally:
        conf.write_text(good)
    assert server.start()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path):
    """A folder in a shared place that others may enter would let them in without a password."""
    server = EmbeddedPostgres(tmp_path / ("z" * 100) / "postgres", runtime_dir=tmp_path)
    planted: Path = server.status().socket_dir
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    with pytest.raises(StorageError, match="only user"):
        server.start()
    assert not server.status().running


def test_root_and_ordinary_users_may_start_it(tmp_path):
    """Started as somebody else below a folder that only its owner may enter, without opening that folder."""
    if os.geteuid():
        pytest.skip("becoming another user needs root; as an ordinary user every other test here shows it")
    tmp_path.chmod(0o700)
    folder = tmp_path / "of nobody"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    launcher = Path(server_process.__file__).with_name("launch.py")
    become_nobody = [sys.executable, "-I", "-S", str(launcher), "65534", "65534", "wait"]
    command = [*become_nobody, sys.executable, "-c", START, str(folder / "postgres"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout == "True\n", done.stderr
    server = EmbeddedPostgres(folder / "postgres")
    try:
        assert psutil.Process(server.status().pid).uids().real == 65534
        assert ask(server, "SELECT 1") == 1
        server.stop(at_once=True)
        assert server.start()
        assert psutil.Process(server.status().pid).uids().real == 65534
    finally:
        server.stop(at_once=True)
    assert tmp_path.stat().st_mode & 0o077 == 0
