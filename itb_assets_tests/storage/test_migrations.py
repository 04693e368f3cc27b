"""Each migration is applied once, whole, and may not change afterwards."""

from __future__ import annotations

import pytest

from itb_assets.errors import StorageError
from itb_assets.storage.migrations import Migration, migrate, migrations


def test_migrations_apply_once_and_may_not_change(database):
    engine = database._engine
    applied = database.query("SELECT number, sha256 FROM schema_migrations")
    assert applied == [{"number": m.number, "sha256": m.sha256} for m in migrations()]
    assert migrate(engine) == ()
    extra = Migration(9000, "9000_extra", "CREATE TABLE extra (a int)")
    assert migrate(engine, (extra,)) == (9000,)
    with pytest.raises(StorageError, match="9000_extra was applied with other statements"):
        migrate(engine, (Migration(9000, "9000_extra", "CREATE TABLE other (a int)"),))


def test_a_migration_that_fails_leaves_nothing(database):
    broken = Migration(9001, "9001_broken", "CREATE TABLE half (a int); SELECT 1/0")
    engine = database._engine
    with pytest.raises(Exception, match="division by zero"):
        migrate(engine, (broken,))
    assert database.query("SELECT to_regclass('half') AS found") == [{"found": None}]
    assert database.query("SELECT 1 FROM schema_migrations WHERE number = 9001") == []


def test_numbered_files_are_in_order():
    numbers = [migration.number for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
