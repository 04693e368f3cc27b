"""A backup is one whole moment or no file."""

from __future__ import annotations

import resource

import pytest
import sqlalchemy as sa
from backup_making import (
    NOW,
    SECRET,
    killed_at,
    programs_on_path,
    run,
    states,
)

from itb_assets.errors import InputError, StorageError, StorageFull
from itb_assets.storage.backups.backup import back_up
from itb_assets.storage.backups.manifest import manifest_path
from itb_assets.storage.backups.tools import Tools, connection_words, find_tools


def test_a_killed_backup_has_no_name_and_the_next_one_clears_it_away(filled, tmp_path):
    file = tmp_path / "backups" / "itb.dump"
    killed_at("backup", str(file), filled, "", stop_at="counting")
    assert not file.exists()
    assert len(list(file.parent.iterdir())) == 1
    back_up(filled, file, kind="itb", now=NOW)
    assert sorted(path.name for path in file.parent.iterdir()) == ["itb.dump", "itb.dump.json"]


def test_nothing_is_written_over(filled, saved):
    content = saved.read_bytes()
    with pytest.raises(InputError, match=r"itb\.dump exists already: name another file"):
        back_up(filled, saved, kind="itb", now=NOW)
    assert saved.read_bytes() == content


def test_a_backup_is_of_one_moment(filled, tmp_path):
    """What is committed while it is made is neither in the dump nor in the counts."""
    before = states(filled)

    def meanwhile(step: str) -> None:
        if step.startswith("counting public.ohlcv"):
            run(filled, "DELETE FROM ohlcv WHERE trades < 2500")

    file = tmp_path / "itb.dump"
    assert back_up(filled, file, kind="itb", now=NOW, progress=meanwhile).tables == before
    assert states(filled) != before


def test_a_full_disk_leaves_no_file(filled, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StorageFull, match="pg_dump failed"):
            back_up(filled, tmp_path / "to" / "itb.dump", kind="itb", now=NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "to").iterdir()) == []


def test_a_server_newer_than_every_pg_dump_is_refused(filled, tmp_path, monkeypatch):
    programs_on_path(tmp_path, monkeypatch, "exit 1", version="9.6")
    with pytest.raises(
        StorageError, match=r"too old: the server is PostgreSQL 1\d, found 9 in .*put them on PATH"
    ):
        back_up(filled, tmp_path / "to" / "itb.dump", kind="itb", now=NOW)


def test_programs_on_the_path_are_taken_where_ours_are_too_old(tmp_path, monkeypatch):
    programs_on_path(tmp_path, monkeypatch, "exit 0", version="99.1", keep_ours=True)
    assert find_tools(server=17).folder.name == "bin"
    assert find_tools(server=17).major < 99
    assert find_tools(server=99) == Tools(tmp_path / "programs", 99)
    assert find_tools(server=17, archive=50) == Tools(tmp_path / "programs", 99)


def test_no_password_is_on_a_command_line(filled, tmp_path, monkeypatch):
    """The whole backup runs through a program that writes down how it was called."""
    seen = tmp_path / "seen"
    real = find_tools(server=17)
    written = f"ps -ww -o args= -p $$ > {seen}; printenv PGPASSWORD >> {seen}"
    script = f'{written}; exec "{real.program("pg_dump")}" "$@"'
    programs_on_path(tmp_path, monkeypatch, script, version=f"{real.major}.0")
    url = sa.make_url(filled).set(username="test", password=SECRET).difference_update_query(["user"])
    secret = url.render_as_string(hide_password=False)
    back_up(secret, tmp_path / "itb.dump", kind="itb", now=NOW)
    command, told = seen.read_text().splitlines()
    assert told == SECRET
    assert "s3" not in command
    assert "s3" not in manifest_path(tmp_path / "itb.dump").read_text()
    with pytest.raises(InputError, match="sslpassword cannot be handed"):
        connection_words(url.update_query_dict({"sslpassword": "x"}))
