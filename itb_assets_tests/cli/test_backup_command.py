"""`itb db backup` and `itb db restore` on a data root with its embedded server."""

from __future__ import annotations

import json

from itb_assets.storage.backups.manifest import manifest_path
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables.database import SqlStore


def rows_of_klines(built) -> int:
    database = SqlStore(EmbeddedPostgres(built.root / ".itb" / "postgres").url("itb"))
    try:
        return int(database.query("SELECT count(*) AS n FROM ohlcv")[0]["n"])
    finally:
        database.close()


def empty_klines(built) -> None:
    database = SqlStore(EmbeddedPostgres(built.root / ".itb" / "postgres").url("itb"))
    database.query("DELETE FROM ohlcv")
    database.close()


def test_rows_that_were_lost_come_back(built, tmp_path):
    file = tmp_path / "itb.dump"
    said = built("db", "backup", str(file), "--json")
    assert said.code == 0, said
    manifest = said.json()
    assert manifest["file"] == str(file)
    before = rows_of_klines(built)
    assert manifest["tables"]["public.ohlcv"]["rows"] == before > 0
    empty_klines(built)
    refused = built("db", "restore", str(file))
    assert refused.code == 2
    assert "is not empty" in refused.err
    assert "--replace" in refused.err
    assert rows_of_klines(built) == 0
    restored = built("db", "restore", str(file), "--replace")
    assert restored.code == 0, restored
    assert "public.ohlcv" in restored.out
    assert rows_of_klines(built) == before
    assert built("verify").code == 0


def test_dagsters_own_database_is_saved_by_itself_below_the_data_root(built):
    said = built("db", "backup", "--dagster")
    assert said.code == 0, said
    (file,) = (built.root / "backups").glob("dagster-*.dump")
    manifest = json.loads(manifest_path(file).read_text())
    assert manifest["kind"] == "dagster"
    assert manifest["tables"]["public.runs"]["rows"] > 0
    assert built("db", "restore", str(file), "--replace").code == 0


def test_the_file_that_is_no_backup_or_is_there_already(built, tmp_path):
    other = tmp_path / "itb.dump"
    other.write_bytes(b"precious")
    assert built("db", "backup", str(other)).code == 2
    assert other.read_bytes() == b"precious"
    refused = built("db", "restore", str(other), "--replace")
    assert refused.code == 2
    assert "itb.dump.json is not there" in refused.err
    manifest_path(other).write_text("{}")
    assert built("db", "restore", str(other), "--replace").code == 4


def test_dagster_without_a_database_of_its_own(built, tmp_path):
    url = EmbeddedPostgres(built.root / ".itb" / "postgres").url("itb")
    said = built("db", "backup", str(tmp_path / "x"), "--dagster", ITB_DATABASE_URL=url)
    assert said.code == 2
    assert "leave out --dagster" in said.err
