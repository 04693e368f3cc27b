"""What dashboards may read, and that they may do nothing else."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy as sa

from itb_assets.storage.database.migrations import migrate
from itb_assets.storage.database.roles import READER, apply_grants, lacks_grants

REVOKE = "REVOKE SELECT ON signals FROM itb_reader"


@pytest.fixture
def engine(postgres):
    """Return an engine over an empty database, as its owner."""
    postgres.ensure_database("granted")
    engine = sa.create_engine(postgres.url("granted"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    yield engine
    engine.dispose()


def as_reader(postgres, statement: str):
    """Run a statement as the reader and return its rows."""
    folder = str(postgres.status().socket_dir)
    opened = psycopg2.connect(dbname="granted", user=READER, host=folder)
    with closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_reader_sees_every_table_and_view_of_the_schema(postgres, engine):
    migrate(engine)
    names = as_reader(
        postgres,
        "SELECT relname, has_table_privilege(oid, 'SELECT') FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
    )
    assert {"ohlcv", "features", "labels", "daily_performance", "columns"} <= {name for name, _ in names}
    assert [name for name, readable in names if not readable] == []
    assert as_reader(postgres, "SELECT count(*) FROM daily_performance") == [(0,)]


def test_what_comes_later_is_readable_too(postgres, engine):
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE later (a int); CREATE VIEW seen_later AS SELECT * FROM later")
        )
        assert not lacks_grants(connection)
    assert as_reader(postgres, "SELECT * FROM later UNION ALL SELECT * FROM seen_later") == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO manifests (symbol) VALUES ('A')",
        "UPDATE trades SET pnl = 0",
        "DELETE FROM ohlcv",
        "TRUNCATE ohlcv",
        "DROP TABLE ohlcv",
        "ALTER TABLE ohlcv ADD COLUMN a int",
        "CREATE TABLE mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "LOCK TABLE ohlcv IN EXCLUSIVE MODE",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_reader_does_nothing_else(postgres, engine, statement):
    """Also where it turns off that it only reads: that is a courtesy, rights are what holds."""
    migrate(engine)
    with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)):
        as_reader(postgres, statement)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_reader(postgres, f"SET transaction_read_only = off; {statement}")


def test_grants_are_applied_once_and_mended(engine):
    migrate(engine)
    with engine.begin() as connection:
        assert not apply_grants(connection)
        connection.execute(sa.text(REVOKE))
        assert apply_grants(connection)
        assert not apply_grants(connection)
    with engine.begin() as connection:
        connection.execute(sa.text(REVOKE))
    assert migrate(engine) == ()
    with engine.connect() as connection:
        assert not lacks_grants(connection)


def test_tables_of_somebody_else_are_left_alone(postgres, engine):
    """An owner may not grant what is not theirs; that is no reason to fail."""
    migrate(engine)
    superuser = sa.create_engine(
        sa.make_url(postgres.url("granted")).update_query_dict({"user": "postgres"}), poolclass=sa.NullPool
    )
    with superuser.begin() as connection:
        connection.execute(sa.text("CREATE TABLE somebody_s (a int)"))
    assert migrate(engine) == ()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_reader(postgres, "SELECT * FROM somebody_s")
