"""Each migration is applied once, whole, in its turn, and may not change afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import on_one_engine

from itb_assets.errors import DatabaseUnavailable, StorageError
from itb_assets.storage.database import migrations as module
from itb_assets.storage.database.migrations import Migration, migrate, migrations, pending, schema_state
from itb_assets.storage.database.timescale import Policies, Tier, probe_tier

EXTRA = Migration(9000, "9000_extra", "CREATE TABLE extra (a int); COMMENT ON TABLE extra IS '50 %s'")
ROLE = "bystander"


@pytest.fixture
def engine(database_url) -> Iterator[sa.Engine]:
    """Return an engine over an empty database; it keeps no connection."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def rows(engine: sa.Engine, statement: str) -> list[tuple]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement))]


def for_tier(engine: sa.Engine) -> tuple[Migration, ...]:
    """Return the migrations that a database understands."""
    with engine.connect() as connection:
        tier = probe_tier(connection)
    return tuple(migration for migration in migrations() if migration.tier <= tier)


def test_migrations_apply_once_in_order(engine):
    wanted = for_tier(engine)
    assert pending(engine) == wanted
    assert migrate(engine) == tuple(migration.number for migration in wanted)
    recorded = "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"
    assert rows(engine, recorded) == [(m.number, m.name, m.sha256) for m in wanted]
    assert pending(engine) == ()
    assert migrate(engine) == ()


def test_a_dry_run_changes_nothing(engine):
    pending(engine)
    assert rows(engine, "SELECT to_regclass('schema_migrations'), to_regclass('ohlcv')") == [(None, None)]


def test_an_applied_migration_may_not_change(engine):
    assert migrate(engine, (EXTRA,)) == (9000,)
    with pytest.raises(StorageError, match="9000_extra was applied with other statements"):
        migrate(engine, (Migration(9000, "9000_extra", "CREATE TABLE other (a int)"),))


def test_a_schema_newer_than_the_code_is_refused(engine):
    """By both numbers, and before anything is written."""
    migrate(engine)
    newest = migrations()[-1].number
    migrate(engine, (*migrations(), EXTRA))
    expected = rf"schema is number 9000 \(9000_extra\).*knows {newest} at most: install"
    for refused in (migrate, pending):
        with pytest.raises(StorageError, match=expected):
            refused(engine)


def test_a_migration_that_fails_half_way_leaves_nothing(engine):
    first = Migration(9000, "9000_first", "CREATE TABLE first (a int)")
    broken = Migration(9001, "9001_broken", "CREATE TABLE half (a int); SELECT 1/0")
    third = Migration(9002, "9002_third", "CREATE TABLE third (a int)")
    with pytest.raises(sa.exc.DataError, match="division by zero"):
        migrate(engine, (first, broken, third))
    assert rows(engine, "SELECT number FROM schema_migrations") == [(9000,)]
    assert rows(engine, "SELECT to_regclass('half'), to_regclass('third')") == [(None, None)]
    mended = Migration(9001, "9001_broken", "CREATE TABLE half (a int)")
    assert migrate(engine, (first, mended, third)) == (9001, 9002)


def test_numbers_are_there_once_and_without_gaps():
    numbers = [migration.number for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_migration_of_a_higher_tier_waits_and_what_comes_after_it_does_not(engine):
    """It is applied when the database has become of that tier, though later ones were applied before."""
    low = Migration(9000, "9000_low", "CREATE TABLE low (a int)")
    high = Migration(9001, "9001_high", "CREATE TABLE high (a int)", Tier.COMMUNITY)
    last = Migration(9002, "9002_last", "CREATE TABLE last (a int)")
    with engine.connect() as connection:
        community = probe_tier(connection) is Tier.COMMUNITY
    assert migrate(engine, (last, high, low)) == ((9000, 9001, 9002) if community else (9000, 9002))
    with engine.connect() as connection:
        state = schema_state(connection, (low, high, last))
    assert state.number == 9002
    assert state.waiting == (() if community else (high,))
    now_allowed = Migration(9001, "9001_high", high.statements, Tier.POSTGRES)
    assert migrate(engine, (low, now_allowed, last)) == (() if community else (9001,))


def test_processes_that_migrate_at_once(engine, database_url, tmp_path):
    """All of them succeed and each migration is applied by one."""
    script = Path(__file__).with_name("migrating.py")
    gate = tmp_path / "go"
    command = [sys.executable, str(script), database_url, str(gate)]
    with_pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **with_pipes) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    gate.touch()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    applied = Counter(int(number) for out, _ in said for number in out.split())
    assert applied == Counter(migration.number for migration in for_tier(engine))
    assert pending(engine) == ()


@contextmanager
def in_use(engine: sa.Engine, statement: str) -> Iterator[None]:
    """Hold what a statement locks."""
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
        yield


waits_for_locks = on_one_engine(
    "postgres", because="TimescaleDB's test server has one session: nobody in it waits for somebody's lock"
)


@waits_for_locks
def test_a_table_in_use_ends_it_as_something_that_passes(engine):
    migrate(engine, (EXTRA,))
    alter = Migration(9001, "9001_alter", "CREATE TABLE more (a int); ALTER TABLE extra ADD COLUMN b int")
    with in_use(engine, "SELECT * FROM extra"):
        with pytest.raises(
            DatabaseUnavailable, match=r"9001_alter waited 0.1 s for a table .*run .itb db migr"
        ):
            migrate(engine, (EXTRA, alter), lock_timeout_s=0.1)
        assert rows(engine, "SELECT to_regclass('more')") == [(None,)]
    assert migrate(engine, (EXTRA, alter), lock_timeout_s=0.1) == (9001,)


@waits_for_locks
def test_another_process_that_never_ends_migrating(engine, monkeypatch):
    monkeypatch.setattr(module, "TURN_TIMEOUT_S", 0.1)
    with (
        in_use(engine, f"SELECT pg_advisory_xact_lock({module._LOCK})"),
        pytest.raises(DatabaseUnavailable, match="for another process that is migrating"),
    ):
        migrate(engine, (EXTRA,))


@waits_for_locks
def test_an_up_to_date_schema_is_opened_without_waiting(engine):
    """Also while another process migrates, and by a role that may only read the record."""
    migrate(engine)
    with in_use(engine, f"SELECT pg_advisory_xact_lock({module._LOCK})"):
        assert migrate(engine) == ()


def as_bystander(engine: sa.Engine) -> sa.Engine:
    """Return an engine whose connections are of a role without any right."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
                f"REVOKE ALL ON SCHEMA public FROM {ROLE}; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
            )
        )
    return sa.create_engine(
        engine.url.update_query_dict({"options": f"-c role={ROLE}"}), poolclass=sa.NullPool
    )


def test_a_role_without_rights_is_told_what_to_do(postgres):
    """Nothing is made, and the message says which right and how to get it."""
    postgres.ensure_database("closed")
    url = sa.make_url(postgres.url("closed")).update_query_dict({"user": "postgres"})
    owner = sa.create_engine(url, poolclass=sa.NullPool)
    stranger = as_bystander(owner)
    with pytest.raises(StorageError, match=r"lacks a right \(permission denied.*itb db init.*itb db sql"):
        migrate(stranger)
    assert rows(owner, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_database_below_the_tier_asked_for_is_refused(postgres):
    postgres.ensure_database("plain")
    engine = sa.create_engine(postgres.url("plain"), poolclass=sa.NullPool)
    with pytest.raises(
        StorageError, match=r"extension timescaledb is missing.*asks for community.*CREATE EXT"
    ):
        migrate(engine, policies=Policies(tier=Tier.COMMUNITY))
    assert rows(engine, "SELECT to_regclass('schema_migrations')") == [(None,)]
