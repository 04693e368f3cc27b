"""Archived frames come back bit for bit, with their manifests, also by hand, and are kept as long as said."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import archive_writers as writers
import pytest
from archive_writers import DAY, FRAMES, MARKET, below, write
from frames_of import NOW, frame_of, record
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError
from itb_assets.storage.disk.compressed import compress, content_of, decompress
from itb_assets.storage.disk.digest import BLOCK_BYTES, hash_blocks
from itb_assets.storage.files.archive import (
    archive_frame,
    archived,
    check_archived,
    damaged_archives,
    prune_archives,
    restore_frame,
)
from itb_assets.storage.layout import Layout


@pytest.fixture
def layout(tmp_path) -> Layout:
    """Return the layout of an empty data root whose name a glob would misread."""
    return Layout(tmp_path / "data [root]")


def test_an_archived_frame_is_gone_and_comes_back_bit_for_bit(layout):
    """Every kind of frame: CSV, parquet and raw klines, each with its manifest."""
    paths = [
        layout.klines(MARKET),
        layout.features(MARKET),
        Layout(layout.root, "parquet").signals(MARKET, "aggressive"),
        layout.drift(MARKET, "aggressive"),
    ]
    before = {}
    for seed, path in enumerate(paths):
        manifest = write(path, seed=seed, asset=f"asset/{seed}")
        before[path] = (path.read_bytes(), manifest)
    copies = [archive_frame(layout, path, now=NOW) for path in paths]
    assert below(layout.root / MARKET.symbol) == set()
    assert archived(layout) == tuple(sorted(copies, key=lambda copy: (len(copy.file.name), copy.file)))
    for copy, path in zip(copies, paths, strict=True):
        content, manifest = before[path]
        assert copy.file == layout.archive_dir / "2025-03-01" / f"{path.relative_to(layout.root)}.zst"
        assert copy.sha256 == hashlib.sha256(content).hexdigest()
        assert (copy.size, copy.rows, copy.asset) == (len(content), writers.ROWS, manifest.asset)
        assert copy.manifest == manifest
        assert restore_frame(layout, copy) == path
        assert path.read_bytes() == content
        stored = FRAMES.open(path)
        assert replace(stored.manifest, identity=manifest.identity) == manifest
        assert stored.manifest.identity.inode == path.stat().st_ino
        assert FRAMES.verify(path) == ()
    assert len(archived(layout)) == len(copies)


def test_a_restored_frame_goes_on(layout):
    """It is written again as any other: its versions go on where they were."""
    path = layout.data(MARKET)
    first = write(path)
    restore_frame(layout, archive_frame(layout, path, now=NOW))
    again = write(path)
    assert again.unchanged
    later = FRAMES.splice(path, frame_of(10, seed=3, start=first.last), record=record())
    assert later.version == first.version + 1
    assert later.changed_since(first.version) == first.last


def test_an_open_frame_is_read_on(layout):
    """A reader that opened the frame before it was archived keeps what it opened."""
    path = layout.data(MARKET)
    write(path)
    stored = FRAMES.open(path)
    archive_frame(layout, path, now=NOW)
    assert_frame_equal(stored.read(), frame_of(writers.ROWS), check_exact=True)
    assert FRAMES.find(path) is None


def test_copies_of_one_day_have_names_of_their_own(layout):
    """The newest is last, also where the clock did not move; each comes back as it was."""
    path = layout.data(MARKET)
    for seed in range(11):
        write(path, seed=seed)
        archive_frame(layout, path, now=NOW)
    copies = archived(layout)
    numbers = ["", *(f".{number}" for number in range(2, 12))]
    assert [copy.file.name for copy in copies] == [f"data{number}.csv.zst" for number in numbers]
    for seed, copy in enumerate(copies):
        restored = restore_frame(layout, copy, to=layout.root / f"to {seed}")
        assert_frame_equal(FRAMES.open(restored).read(), frame_of(writers.ROWS, seed=seed), check_exact=True)


def test_the_day_is_that_of_utc(layout):
    """Not that of the clock's own zone; a day later the same frame has a folder of its own."""
    path = layout.data(MARKET)
    write(path)
    archive_frame(layout, path, now=datetime(2025, 3, 2, 1, tzinfo=timezone(timedelta(hours=3))))
    write(path)
    archive_frame(layout, path, now=NOW + DAY)
    assert [copy.file.parents[3].name for copy in archived(layout)] == ["2025-03-01", "2025-03-02"]
    assert {copy.archived_at.utcoffset() for copy in archived(layout)} == {timedelta()}


def test_a_damaged_copy_of_the_day_is_not_relied_on(layout):
    """The same frame archived again while its first copy is damaged gets a sound one."""
    path = layout.data(MARKET)
    manifest = write(path)
    content = path.read_bytes()
    first = archive_frame(layout, path, now=NOW)
    path.write_bytes(content)
    beside = path.with_name(f".{path.name}.manifest.json")
    beside.write_text(manifest.to_json())
    first.file.write_bytes(b"no more")
    second = archive_frame(layout, path, now=NOW)
    assert second.file.name == "data.2.csv.zst"
    check_archived(second)
    assert first.file.read_bytes() == b"no more"


def test_a_copy_is_unpacked_by_hand(layout, tmp_path):
    """`zstd -d` and the sidecar are enough, without this package."""
    zstd = shutil.which("zstd")
    if not zstd:
        pytest.skip("needs the command zstd")
    path = layout.data(MARKET)
    write(path)
    content = path.read_bytes()
    copy = archive_frame(layout, path, now=NOW)
    by_hand = tmp_path / "data.csv"
    subprocess.run([zstd, "-q", "-d", str(copy.file), "-o", str(by_hand)], check=True)
    assert by_hand.read_bytes() == content
    said = json.loads(copy.sidecar.read_text())
    assert hashlib.sha256(content).hexdigest() == said["sha256"]
    assert (said["path"], said["rows"]) == ("BTCUSDT/5m/processed/data.csv", writers.ROWS)
    by_hand.with_name(".data.csv.manifest.json").write_text(said["manifest"])
    assert_frame_equal(FRAMES.open(by_hand).read(), frame_of(writers.ROWS), check_exact=True)


def test_archives_are_pruned_by_age(layout):
    """What is exactly as old as is kept stays; what a dry run names is what goes."""
    path = layout.data(MARKET)
    for days in (31, 30, 1):
        write(path, seed=days)
        archive_frame(layout, path, now=NOW - days * DAY)
    other = layout.data(Market("ETHUSDT", "1h"))
    write(other, symbol="ETHUSDT", freq="1h")
    archive_frame(layout, other, now=NOW - 40 * DAY)
    before = below(layout.root)
    planned = prune_archives(layout, keep_days=30, now=NOW, dry_run=True)
    assert below(layout.root) == before
    removed = prune_archives(layout, keep_days=30, now=NOW)
    assert removed == planned
    assert [(copy.market.symbol, copy.archived_at) for copy in removed] == [
        ("ETHUSDT", NOW - 40 * DAY),
        ("BTCUSDT", NOW - 31 * DAY),
    ]
    assert [copy.archived_at for copy in archived(layout)] == [NOW - 30 * DAY, NOW - DAY]
    assert sorted(day.name for day in layout.archive_dir.iterdir()) == ["2025-01-30", "2025-02-28"]
    assert prune_archives(layout, keep_days=30, now=NOW) == ()
    assert damaged_archives(layout) == ()


@pytest.mark.parametrize("days", [-1, 36_501, 10**12])
def test_a_number_of_days_that_is_none_is_refused(layout, days):
    with pytest.raises(InputError, match="expected 0 to 36500"):
        prune_archives(layout, keep_days=days, now=NOW)


def test_nothing_is_archived_yet(layout):
    assert archived(layout) == ()
    assert damaged_archives(layout) == ()
    assert prune_archives(layout, keep_days=0, now=datetime.now(UTC)) == ()
    assert not layout.root.exists()


@given(content=st.binary(max_size=3_000) | st.integers(0, 5).map(lambda n: bytes(1_000) * n))
def test_any_bytes_come_back(tmp_path_factory, content):
    """Compressing and unpacking returns the same bytes and the same digests."""
    folder = tmp_path_factory.mktemp("bytes")
    check_round_trip(folder, content)


@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1])
def test_blocks_are_those_of_the_manifests(tmp_path, size):
    """Also at the edges of the blocks that manifests digest."""
    check_round_trip(tmp_path, (bytes(range(251)) * (size // 251 + 1))[:size])


def check_round_trip(folder: Path, content: bytes) -> None:
    source, packed, unpacked = folder / "source", folder / "packed", folder / "unpacked"
    source.write_bytes(content)
    with source.open("rb") as file:
        written = compress(file.fileno(), packed)
    assert written == (len(content), hashlib.sha256(content).hexdigest(), hash_blocks(source))
    assert content_of(packed, limit=len(content)) == written
    assert decompress(packed, unpacked, limit=len(content)) == written
    assert unpacked.read_bytes() == content
