"""Damaged copies and records that say what is not so are refused by name, and nothing is lost by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from archive_writers import DAY, MARKET, below, flipped, write
from frames_of import NOW

from itb_assets.errors import StorageError
from itb_assets.storage.disk import compressed
from itb_assets.storage.files.archive import (
    Archived,
    archive_frame,
    archived,
    check_archived,
    damaged_archives,
    prune_archives,
    restore_frame,
)
from itb_assets.storage.layout import Layout


def packed(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit": flipped,
    "torn": lambda content: content[:-7],
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "text": lambda _: b"not compressed",
    "something behind": lambda content: content + b"more",
    "another frame behind": lambda content: content + packed(b"more"),
    "another content": lambda _: packed(b"timestamp,close\n"),
    "far more than it should": lambda _: packed(bytes(20_000_000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_is_refused(layout, copy, tmp_path, damage):
    """By its name, with nothing written and the copy left as it lies."""
    content = DAMAGES[damage](copy.file.read_bytes())
    copy.file.write_bytes(content)
    for attempt in (
        lambda: check_archived(copy),
        lambda: restore_frame(layout, copy),
        lambda: restore_frame(layout, copy, to=tmp_path / "to"),
    ):
        with pytest.raises(StorageError, match=r"data\.csv\.zst .*restore another archive"):
            attempt()
    assert below(layout.root / MARKET.symbol) == below(tmp_path / "to") == set()
    assert copy.file.read_bytes() == content


def test_what_unpacks_to_too_much_is_not_unpacked_to_its_end(copy, tmp_path):
    """A small file that claims gigabytes stops at once."""
    copy.file.write_bytes(packed(bytes(100_000_000)))
    read = compressed.content_of(copy.file, limit=copy.size)
    assert copy.size < read.size <= 2 * compressed.BLOCK_BYTES


def test_a_copy_that_is_gone_is_told(layout, copy):
    copy.file.unlink()
    with pytest.raises(StorageError, match=r"data\.csv\.zst is gone"):
        restore_frame(layout, copy)
    assert below(layout.root / MARKET.symbol) == set()


def changed(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw | changes


SIDECARS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "out of the root": (changed(path="../../../etc/passwd"), "its own place says"),
    "absolute": (changed(path="/etc/passwd"), "its own place says"),
    "another frame": (changed(path="BTCUSDT/5m/processed/features.csv"), "its own place says"),
    "format": (changed(format=2), "format 2, expected 1"),
    "bytes": (changed(bytes=1), "bytes 1, expected"),
    "rows": (changed(rows=1), "rows 1, expected 120"),
    "day": (changed(archived_at="2025-02-01T00:00:00+00:00"), "day 2025-03-01, expected 2025-02-01"),
    "zone": (changed(archived_at="2025-03-01T00:00:00"), "names no time zone"),
    "time": (changed(archived_at="yesterday"), "ValueError"),
    "manifest": (changed(manifest="{}"), "the manifest in it is damaged"),
    "lacking": (lambda raw: {"format": raw["format"]}, "KeyError"),
    "a list": (lambda raw: [raw], "TypeError"),
}


@pytest.mark.parametrize("case", SIDECARS)
def test_a_sidecar_that_is_not_sound_is_refused(layout, copy, case):
    """By its name; it is neither listed nor restored nor pruned."""
    change, told = SIDECARS[case]
    copy.sidecar.write_text(json.dumps(change(json.loads(copy.sidecar.read_text()))))
    check_untold(layout, copy, rf"data\.csv\.zst\.json is not a record of this archive.*{told}")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_sidecar_that_is_no_json_is_refused(layout, copy, content):
    copy.sidecar.write_bytes(content)
    check_untold(layout, copy, r"data\.csv\.zst\.json is not a record of this archive")


def test_a_sidecar_of_another_market_is_refused(layout, copy):
    """Copied to where another market's would lie, it does not become that market's frame."""
    place = layout.archive_dir / "2025-03-01" / "ETHUSDT" / "5m" / "processed"
    place.mkdir(parents=True)
    raw = json.loads(copy.sidecar.read_text()) | {"path": "ETHUSDT/5m/processed/data.csv"}
    (place / "data.csv.zst").write_bytes(copy.file.read_bytes())
    (place / "data.csv.zst.json").write_text(json.dumps(raw))
    assert archived(layout) == (copy,)
    (told,) = damaged_archives(layout)
    assert "ETHUSDT" in told
    assert "market" in told


def check_untold(layout: Layout, copy: Archived, told: str) -> None:
    before = below(layout.root)
    assert archived(layout) == ()
    (problem,) = damaged_archives(layout)
    with pytest.raises(StorageError, match=told):
        raise StorageError(problem)
    assert prune_archives(layout, keep_days=0, now=NOW + 99 * DAY) == ()
    assert below(layout.root) == before
    write(layout.data(MARKET), seed=1)
    assert archive_frame(layout, layout.data(MARKET), now=NOW).file.name == "data.2.csv.zst"
    assert copy.file.exists()


def test_a_file_without_its_sidecar_is_told_and_kept(layout, copy):
    copy.sidecar.unlink()
    (told,) = damaged_archives(layout)
    assert "data.csv.zst has no data.csv.zst.json beside it" in told
    prune_archives(layout, keep_days=0, now=NOW + 99 * DAY)
    write(layout.data(MARKET), seed=1)
    assert archive_frame(layout, layout.data(MARKET), now=NOW).file.name == "data.2.csv.zst"
    check_archived(Archived(copy.file, copy.original, copy.size, copy.sha256, NOW, copy.manifest))
