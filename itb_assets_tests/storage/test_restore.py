"""A restore gives back every value, or leaves what was there."""

from __future__ import annotations

import os
from dataclasses import replace

import psycopg2
import pytest
import sqlalchemy as sa
from backup_making import (
    ROWS,
    conninfo,
    databases,
    killed_at,
    run,
    states,
)
from databases import on_one_engine
from timescaledb.server import HERE

from itb_assets.errors import DatabaseUnavailable, InputError, StorageError
from itb_assets.storage.backups.backup import dump
from itb_assets.storage.backups.manifest import differences, manifest_path, read_manifest
from itb_assets.storage.backups.restore import fill, restore
from itb_assets.storage.backups.tools import connected, find_tools
from itb_assets.storage.tables.database import SqlStore


def test_every_value_comes_back(filled, admin_url, saved):
    """Rows, columns, keys, views, sequences, the owner; though all of it was changed meanwhile."""
    before = states(filled)
    assert before['public."Odd % Name"'].rows == 3
    manifest = read_manifest(saved)
    assert (manifest.kind, manifest.database, manifest.tier, manifest.extension) == (
        "itb",
        "test",
        "postgres",
        None,
    )
    assert manifest.tables == before
    assert manifest.tables["public.ohlcv"].rows == 5000
    run(filled, "UPDATE ohlcv SET close = close + 1", 'DROP TABLE "Odd %% Name"', "CREATE TABLE late (a int)")
    assert states(filled) != before
    restore(saved, filled, admin_url=admin_url, replace=True)
    assert states(filled) == before
    assert databases(admin_url) == {"test"}
    assert run(filled, """INSERT INTO "Odd %% Name" (words) VALUES ('next') RETURNING id""") == [(4,)]
    owned = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert run(filled, owned) == [("test",)]
    store = SqlStore(filled)
    assert store.query("SELECT count(*) AS n FROM daily_performance") == [{"n": 0}]
    store.close()


def test_rights_and_settings_of_the_database_stay(filled, admin_url, saved):
    rights = "SELECT datacl::text[]::text, pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'test'"
    run(admin_url, "REVOKE ALL ON DATABASE test FROM PUBLIC", "ALTER DATABASE test SET work_mem = '5MB'")
    run(admin_url, "ALTER DATABASE test SET search_path = public, pg_catalog")
    before = run(admin_url, rights)
    try:
        restore(saved, filled, admin_url=admin_url, replace=True)
        assert sorted(run(admin_url, rights)) == sorted(before)
        assert run(filled, "SHOW work_mem") == [("5MB",)]
        assert run(filled, "SHOW search_path") == [("public, pg_catalog",)]
    finally:
        run(admin_url, "ALTER DATABASE test RESET ALL")


def test_a_database_with_tables_is_refused_without_replace(filled, admin_url, saved):
    before = states(filled)
    with pytest.raises(InputError, match=r"database test is not empty: it has \d+ tables; .* --replace"):
        restore(saved, filled, admin_url=admin_url)
    assert states(filled) == before
    assert databases(admin_url) == {"test"}
    run(filled, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    restore(saved, filled, admin_url=admin_url)
    assert states(filled) == before


def test_a_database_in_use_is_refused(filled, admin_url, saved):
    before = states(filled)
    with connected(sa.make_url(filled)) as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(DatabaseUnavailable, match=r"in use by 1 connections \(\d+ itb db\): stop"):
            restore(saved, filled, admin_url=admin_url, replace=True)
    assert states(filled) == before


def test_who_connects_during_a_restore_keeps_the_old_database(filled, admin_url, saved, monkeypatch):
    """Somebody came in after the check: nothing is exchanged under their feet, nothing is left over."""
    monkeypatch.setattr("itb_assets.storage.backups.swap._RELEASE_WAIT_S", 1.0)
    run(filled, "UPDATE ohlcv SET close = -1")
    before = states(filled)
    opened = []

    def come_in(step: str) -> None:
        if step.startswith("gathering"):
            opened.append(psycopg2.connect(conninfo(filled)))

    with pytest.raises(DatabaseUnavailable, match="in use by 1 connections"):
        restore(saved, filled, admin_url=admin_url, replace=True, progress=come_in)
    opened[0].close()
    assert states(filled) == before
    assert databases(admin_url) == {"test"}


def test_a_killed_restore_leaves_the_old_database_and_the_next_one_starts_over(filled, admin_url, saved):
    run(filled, "UPDATE ohlcv SET close = -1")
    before = states(filled)
    killed_at("restore", str(saved), filled, admin_url, stop_at="gathering")
    assert databases(admin_url) == {"test", "test_restoring"}
    assert states(filled) == before
    restore(saved, filled, admin_url=admin_url, replace=True)
    assert states(filled) == dict(read_manifest(saved).tables)
    assert databases(admin_url) == {"test"}


def test_two_restores_do_not_mix(filled, admin_url, saved):
    """The second is told so; it would drop what the first is filling."""
    seen = []

    def meanwhile(step: str) -> None:
        if step.startswith("gathering"):
            with pytest.raises(DatabaseUnavailable, match="another restore of the database test is"):
                restore(saved, filled, admin_url=admin_url, replace=True)
            seen.append(step)

    restore(saved, filled, admin_url=admin_url, replace=True, progress=meanwhile)
    assert seen


def test_a_damaged_or_foreign_file_is_refused_before_anything_is_done(filled, admin_url, saved, tmp_path):
    other = tmp_path / "other.dump"
    other.write_bytes(saved.read_bytes())
    with pytest.raises(InputError, match=r"other\.dump\.json is not there"):
        restore(other, filled, admin_url=admin_url, replace=True)
    manifest_path(other).write_text('{"format": 2}')
    with pytest.raises(StorageError, match="is of format 2, this version reads 1"):
        restore(other, filled, admin_url=admin_url, replace=True)
    manifest_path(other).write_text('{"format": 1}')
    with pytest.raises(StorageError, match="is not the manifest of a backup"):
        restore(other, filled, admin_url=admin_url, replace=True)
    with saved.open("r+b") as stream:
        stream.seek(-10, os.SEEK_END)
        stream.write(b"torn")
    with pytest.raises(StorageError, match=r"itb\.dump is not what was backed up: .* copy it again"):
        restore(saved, filled, admin_url=admin_url, replace=True)
    assert databases(admin_url) == {"test"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server": 99}, "the backup is of PostgreSQL 99, the server is"),
        ({"extension": "2.28.3"}, "the backup is of TimescaleDB 2.28.3, the server offers none"),
        ({"extension": "2.28.3", "owners": ("nobody_here",)}, "there is no role nobody_here"),
        ({"pg_dump": 99}, "the backup is of pg_dump 99"),
    ],
)
def test_a_backup_that_cannot_live_here_is_refused(filled, admin_url, saved, change, message):
    manifest_path(saved).write_text(replace(read_manifest(saved), **change).to_json())
    with pytest.raises(StorageError, match=message):
        restore(saved, filled, admin_url=admin_url, replace=True)
    assert databases(admin_url) == {"test"}


def test_a_role_that_may_make_no_database_is_refused(filled, saved):
    with pytest.raises(InputError, match=r"the role test may not restore.*ITB_ADMIN_DATABASE_URL"):
        restore(saved, filled, admin_url=filled, replace=True)


def test_rows_that_come_back_otherwise_keep_the_old_database(filled, admin_url, saved):
    """The manifest says what has to come back; whatever differs is named, and nothing is exchanged."""
    manifest = read_manifest(saved)
    expected = dict(manifest.tables)
    expected["public.ohlcv"] = replace(expected["public.ohlcv"], digest="1")
    expected["public.trades"] = replace(expected["public.trades"], rows=7)
    expected["public.gone"] = expected["public.trades"]
    manifest_path(saved).write_text(replace(manifest, tables=expected).to_json())
    run(filled, "UPDATE ohlcv SET close = -1")
    before = states(filled)
    with pytest.raises(StorageError) as caught:
        restore(saved, filled, admin_url=admin_url, replace=True)
    for told in (
        "gone is missing",
        "ohlcv has as many rows, but other values",
        "trades has 0 rows, the backup 7",
    ):
        assert f"public.{told}" in str(caught.value)
    assert states(filled) == before
    assert databases(admin_url) == {"test"}
    assert differences({}, {"a": expected["public.trades"]}) == ("a is not in the backup",)


@on_one_engine("timescaledb", because="this is about what TimescaleDB adds to a dump")
def test_compressed_hypertables_come_back(database_url, tmp_path):
    """pg_dump and pg_restore between pre and post, with compressed chunks, a policy and an aggregate.

    In place, for this server has one database and one session: no snapshot is shared with pg_dump, and no
    database made beside the old one to change names with it.
    """
    store = SqlStore(database_url)
    store.query("SELECT 1")
    store.close()
    run(database_url, ROWS)
    run(database_url, "SELECT compress_chunk(c) FROM show_chunks('ohlcv') AS c")
    chunks = (
        "SELECT hypertable_name, chunk_name, is_compressed FROM timescaledb_information.chunks ORDER BY 2"
    )
    jobs = (
        "SELECT proc_name, hypertable_name, config::text FROM timescaledb_information.jobs ORDER BY 1, 2, 3"
    )
    before, chunks_before, jobs_before = (
        states(database_url),
        run(database_url, chunks),
        run(database_url, jobs),
    )
    assert any(compressed for _, _, compressed in chunks_before)
    address, file = sa.make_url(database_url), tmp_path / "itb.dump"
    tools = find_tools(server=17)
    dump(address, file, program=tools.program("pg_dump"), snapshot=None, progress=lambda _: None)
    run(database_url, (HERE / "empty.sql").read_text("utf-8").replace("%", "%%"))
    assert states(database_url) == {}
    run(database_url, "SELECT timescaledb_pre_restore()")
    fill(address, file, program=tools.program("pg_restore"), owner=None, progress=lambda _: None)
    run(database_url, "SELECT timescaledb_post_restore()")
    assert states(database_url) == before
    assert run(database_url, chunks) == chunks_before
    assert run(database_url, jobs) == jobs_before
