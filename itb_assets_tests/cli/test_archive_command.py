"""Archived files at the command line: listed, restored, pruned, refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from itb_command import Itb

from itb_assets.domain.markets import Market
from itb_assets.storage.disk.locks import market_lock
from itb_assets.storage.files.archive import archive_frame, archived
from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.layout import Layout
from itb_assets.storage.phases import record_phase

LIST, RESTORE, PRUNE = (("storage", "archive", name) for name in ("list", "restore", "prune"))
BTC, ETH = Market("BTCUSDT", "5m"), Market("ETHUSDT", "1h")
NOW = datetime.now(UTC)
TODAY, LONG_AGO = NOW - timedelta(hours=1), NOW - timedelta(days=45)
FRAMES = FrameStore()


def write(path: Path, market: Market, asset: str, seed: int = 0) -> None:
    """Write a frame of ten rows."""
    times = pd.date_range("2024-09-01", periods=10, freq="5min", tz="UTC").as_unit("ns")
    frame = pd.DataFrame({"timestamp": times, "close": np.arange(10.0) + seed})
    FRAMES.write(path, frame, record=Record(asset, market.symbol, market.freq, "r1", NOW))


@pytest.fixture
def itb(tmp_path) -> Itb:
    """Return the command on a data root with four archived frames of two markets and two days."""
    itb = Itb(tmp_path, {"ITB_DATA_ROOT": str(tmp_path / "data root"), "ITB_LOG_LEVEL": "WARNING"})
    layout = Layout(itb.root)
    for at, seed in ((LONG_AGO, 0), (TODAY, 1)):
        write(layout.data(BTC), BTC, "processed/data", seed)
        archive_frame(layout, layout.data(BTC), now=at)
    for path, asset in ((layout.klines(ETH), "raw/klines"), (layout.features(ETH), "processed/features")):
        write(path, ETH, asset)
        archive_frame(layout, path, now=TODAY)
    return itb


def closes(path: Path) -> float:
    """Return the first close of a frame."""
    return float(FRAMES.open(path).read()["close"].iloc[0])


def test_what_is_archived_is_listed(itb):
    """The newest last, with what tells one from another; filters combine."""
    rows = itb(*LIST, "--json").json()
    assert [(row["symbol"], row["asset"], row["rows"]) for row in rows] == [
        ("BTCUSDT", "processed/data", 10),
        ("BTCUSDT", "processed/data", 10),
        ("ETHUSDT", "processed/features", 10),
        ("ETHUSDT", "raw/klines", 10),
    ]
    assert rows[0]["kept_until"] == str((LONG_AGO + timedelta(days=30)).date())
    assert Path(rows[0]["file"]).stat().st_size == rows[0]["compressed"]
    assert itb(*LIST, "--json", ITB_ARCHIVE_DAYS="7").json()[0]["kept_until"] < rows[0]["kept_until"]

    def count(*options: str) -> int:
        return len(itb(*LIST, "--json", *options).json())

    assert count("--symbol", "BTCUSDT,ETHUSDT") == 4
    assert count("--symbol", "ETHUSDT", "--asset", "raw/klines") == 1
    assert count("--freq", "5m", "--date", str(LONG_AGO.date())) == 1
    assert count("--symbol", "BTCUSDT", "--freq", "1h") == 0
    said = itb(*LIST, "--check")
    assert said.code == 0
    assert "processed/features" in said.out


def test_damage_is_listed_and_ends_with_1(itb):
    """What shows without reading at once, the rest by --check."""
    copies = archived(Layout(itb.root))
    copies[0].file.write_bytes(copies[1].file.read_bytes())
    assert itb(*LIST).code == 0
    said = itb(*LIST, "--check", "--json")
    assert (said.code, len(said.json())) == (1, 4)
    assert f"{copies[0].file} is damaged" in said.err
    copies[1].sidecar.write_text("{}")
    said = itb(*LIST, "--json")
    assert (said.code, len(said.json())) == (1, 3)
    assert f"{copies[1].sidecar} is not a record of this archive" in said.err


def test_frames_are_restored(itb):
    """Of each the newest copy, back where it was or, with a day, an older one elsewhere."""
    layout = Layout(itb.root)
    said = itb(*RESTORE, "--dry-run", "--json")
    assert [row["state"] for row in said.json()] == ["new"] * 3
    assert not layout.data(BTC).exists()
    said = itb(*RESTORE)
    assert said.code == 0, said
    assert (closes(layout.data(BTC)), closes(layout.klines(ETH)), closes(layout.features(ETH))) == (1, 0, 0)
    folder = itb.folder / "be fore"
    day = ("--date", str(LONG_AGO.date()))
    said = itb(*RESTORE, "--symbol", "BTCUSDT", *day, "--to", str(folder), "--json")
    assert [(row["state"], row["to"]) for row in said.json()] == [
        ("restored", str(folder / "BTCUSDT/5m/processed/data.csv"))
    ]
    assert closes(folder / "BTCUSDT/5m/processed/data.csv") == 0
    assert len(archived(layout)) == 4


def test_what_is_there_is_replaced_only_when_told(itb):
    """The others are restored all the same, and the exit code tells."""
    layout = Layout(itb.root)
    write(layout.data(BTC), BTC, "processed/data", 9)
    said = itb(*RESTORE, "--json")
    assert said.code == 2
    assert sorted(row["state"] for row in said.json()) == ["failed", "restored", "restored"]
    assert f"{layout.data(BTC)} is there already" in said.err
    assert (closes(layout.data(BTC)), closes(layout.klines(ETH))) == (9, 0)
    assert "needs --replace" in itb(*RESTORE, "--dry-run", "--json").json()[0]["state"]
    assert "replaces" in itb(*RESTORE, "--dry-run", "--json", "--replace").json()[0]["state"]
    assert closes(layout.data(BTC)) == 9
    assert itb(*RESTORE, "--replace").code == 0
    assert closes(layout.data(BTC)) == 1


def test_a_damaged_copy_is_not_restored(itb):
    layout = Layout(itb.root)
    copy = archived(layout)[1]
    copy.file.write_bytes(b"no more")
    said = itb(*RESTORE, "--symbol", "BTCUSDT")
    assert said.code == 4
    assert str(copy.file) in said.err
    assert not layout.data(BTC).exists()


def test_a_market_that_is_written_is_not_restored(itb, monkeypatch):
    """Its lock is waited for; another folder needs none."""
    monkeypatch.setattr("itb_assets.cli.archive.LOCK_WAIT_S", 0.0)
    layout = Layout(itb.root)
    with market_lock(layout.market_lock(BTC)):
        said = itb(*RESTORE, "--symbol", "BTCUSDT")
        assert said.code == 3
        assert "is being written by process" in said.err
        assert itb(*RESTORE, "--symbol", "BTCUSDT", "--to", "elsewhere").code == 0
    assert not layout.data(BTC).exists()


def test_in_phase_db_it_is_said_that_files_are_not_read(itb):
    record_phase(Layout(itb.root), "db", now=NOW)
    assert "in phase db" in itb(*RESTORE, "--symbol", "BTCUSDT").out
    assert "in phase db" not in itb(*RESTORE, "--symbol", "BTCUSDT", "--to", "elsewhere").out


def test_what_is_old_is_pruned(itb):
    """By the setting or the option; a dry run removes nothing and names the same."""
    layout = Layout(itb.root)
    planned = itb(*PRUNE, "--dry-run", "--json").json()
    assert [row["symbol"] for row in planned] == ["BTCUSDT"]
    assert len(archived(layout)) == 4
    assert itb(*PRUNE, "--json", "--keep-days", "60").json() == []
    assert itb(*PRUNE, "--json", ITB_ARCHIVE_DAYS="60").json() == []
    removed = itb(*PRUNE, "--json").json()
    assert [row["file"] for row in removed] == [row["file"] for row in planned]
    assert len(archived(layout)) == 3
    assert "nothing was archived more than 30 days ago" in itb(*PRUNE).out
    assert len(itb(*PRUNE, "--keep-days", "0", "--json").json()) == 3
    assert itb(*LIST, "--json").json() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*LIST, "--symbol", "../etc"), "symbol '../etc' is not valid"),
        ((*LIST, "--freq", "7m"), "freq '7m' is not valid"),
        ((*RESTORE, "--date", "yesterday"), "date 'yesterday' is not valid"),
        ((*RESTORE, "--symbol", "XRPUSDT"), "`itb storage archive list` shows what there is"),
        ((*PRUNE, "--keep-days", "-1"), "--keep-days"),
    ],
)
def test_wrong_input_ends_with_2(itb, arguments, told):
    said = itb(*arguments)
    assert said.code == 2
    assert told in said.err
    assert len(archived(Layout(itb.root))) == 4


@pytest.mark.parametrize("command", [LIST, RESTORE, PRUNE])
def test_help_shows_an_example(itb, command):
    said = itb(*command, "--help")
    assert said.code == 0
    assert f"itb {' '.join(command)} --" in " ".join(said.out.split())
