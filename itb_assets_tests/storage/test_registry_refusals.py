"""A broken version is never used and hides no other, and no link leads out of a model's own folders."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from frames_of import NOW
from registry_writers import MODEL, content, in_use, mark_of, promote, registry_of, rollback, save
from small_disks import largest_file

from itb_assets.errors import ModelRejected, StorageError, StorageFull
from itb_assets.storage.models.registry import ModelRegistry


@pytest.fixture
def registry(tmp_path) -> ModelRegistry:
    """Return a registry of three versions, the second in use and the first before it."""
    registry = registry_of(tmp_path)
    for mark in (1, 2, 3):
        save(registry, mark)
    promote(registry, 2)
    return registry


def contents(root: Path) -> dict[str, bytes | str]:
    """Return every file below a folder, links by where they lead."""
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def torn_metrics(folder: Path) -> None:
    path = folder / "metrics.json"
    path.write_bytes(path.read_bytes()[:-4])


def other_market(folder: Path) -> None:
    shutil.rmtree(folder)
    other = content(3)
    other["metadata"] |= {"symbol": "ETHUSDT"}
    registry_of(folder).store.save(folder, **other)


def features_reordered(folder: Path) -> None:
    edit(folder / "metadata.json", features=["b", "a"])


def no_model(folder: Path) -> None:
    (folder / "model.pkl").unlink()


def no_metadata(folder: Path) -> None:
    (folder / "metadata.json").unlink()


def linked_file(folder: Path) -> None:
    (folder / "model.pkl").rename(folder.parent / "model.pkl")
    (folder / "model.pkl").symlink_to(folder.parent / "model.pkl")


def linked_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def linked_to_another(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("0001"))


def dangling(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("nowhere"))


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def swapped_for_another(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("0001"), folder)


BREAKS: list[tuple[Callable[[Path], None], str]] = [
    (torn_metrics, r"0003/metrics\.json is not the file that was saved"),
    (other_market, r"0003/metadata\.json is not the file that was saved"),
    (features_reordered, r"0003/metadata\.json is not the file that was saved"),
    (no_model, r"0003/model\.pkl is missing"),
    (no_metadata, r"0003/metadata\.json is not the file that was saved: it was changed, torn or removed"),
    (linked_file, r"0003/model\.pkl is a symbolic link"),
    (linked_folder, r"0003 is a symbolic link"),
    (linked_to_another, r"0003 is a symbolic link"),
    (dangling, r"0003 is a symbolic link"),
    (a_file, r"0003/metadata\.json is not the file that was saved"),
    (swapped_for_another, r"0003/metadata\.json is not the file that was saved"),
]


@pytest.mark.parametrize(("break_it", "message"), BREAKS)
def test_a_broken_version_is_refused_and_all_is_as_it_was(registry, tmp_path, break_it, message):
    break_it(registry.layout.version_dir(MODEL, 3))
    before = contents(tmp_path)
    for ask in (lambda: promote(registry, 3), lambda: registry.load_version(MODEL, 3)):
        with pytest.raises(ModelRejected, match=message):
            ask()
    first, second, third = registry.versions(MODEL)
    assert (first.state, first.error, second.state, second.error) == ("previous", "", "promoted", "")
    assert (third.number, third.state) == (3, "candidate")
    assert registry.newest(MODEL) == third
    with pytest.raises(ModelRejected, match=message):
        raise ModelRejected(third.error)
    assert contents(tmp_path) == before
    assert mark_of(in_use(registry)) == 2
    assert save(registry, 4).number == 4
    assert rollback(registry).number == 1


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (other_market, "symbol is 'ETHUSDT', expected 'BTCUSDT'"),
        (features_reordered, r"number 1 is 'b' in metadata\.json \(2 features\) and 'a' in model\.pkl"),
    ],
)
def test_what_no_log_remembers_is_refused_for_what_it_says(registry, break_it, message):
    """Without the log a version's metadata may be any; they must still fit the address and the payload."""
    break_it(registry.layout.version_dir(MODEL, 3))
    (registry.layout.versions_dir(MODEL) / "events.jsonl").unlink()
    with pytest.raises(ModelRejected, match=message):
        promote(registry, 3)
    assert mark_of(in_use(registry)) == 2


def test_a_version_before_that_is_broken_is_not_rolled_back_to(registry):
    torn_metrics(registry.layout.version_dir(MODEL, 1))
    with pytest.raises(ModelRejected, match=r"0001/metrics\.json is not the file that was saved"):
        rollback(registry)
    assert mark_of(in_use(registry)) == 2
    assert [version.state for version in registry.versions(MODEL)] == ["previous", "promoted", "candidate"]


def test_a_damaged_model_in_use_is_replaced_by_the_next_one_and_the_log_says_so(registry):
    """Its version shares the damaged bytes; the next training mends what is in use."""
    path = registry.layout.promoted_dir(MODEL) / "model.pkl"
    path.write_bytes(b"damaged")
    promoted = registry.promoted(MODEL)
    assert promoted is not None
    assert (promoted.number, promoted.metadata["mark"], promoted.metrics) == (2, 2, {"mark": 2})
    assert "model.pkl is not the file that was saved" in promoted.error
    with pytest.raises(ModelRejected, match=r"model\.pkl is not the file that was saved"):
        promote(registry, 2)
    assert save(registry, 4).state == "promoted"
    assert mark_of(in_use(registry)) == 4
    event = registry.events(MODEL)[-1]
    assert (event.kind, event.before, event.version) == ("promoted", 2, 4)
    assert event.reason.startswith("the model before is refused: ")
    assert path.read_bytes() != b"damaged"


def test_metadata_changed_in_place_are_noticed_without_a_signature(registry):
    edit(registry.layout.promoted_dir(MODEL) / "metadata.json", train_end="2030-01-01T00:00:00+00:00")
    promoted = registry.promoted(MODEL)
    assert promoted is not None
    assert "metadata.json is not the file that was saved" in promoted.error


@pytest.mark.parametrize("place", [".versions", ".versions/high_040_4"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_link_on_the_way_to_the_versions_is_refused(tmp_path, place, inside):
    root, elsewhere = tmp_path / "data", tmp_path / ("data/elsewhere" if inside else "elsewhere")
    registry = registry_of(root)
    save(registry, 1)
    link = registry.layout.promoted_dir(MODEL).parent / place
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    before = contents(tmp_path)
    for ask in (
        lambda: save(registry, 2),
        lambda: promote(registry, 1),
        lambda: rollback(registry),
        lambda: registry.versions(MODEL),
        lambda: registry.prune(MODEL, by="", now=NOW),
    ):
        with pytest.raises(StorageError, match="symbolic link"):
            ask()
    assert contents(tmp_path) == before
    assert mark_of(in_use(registry)) == 1


@pytest.mark.parametrize("name", ["events.jsonl", "event.next.json"])
def test_a_log_that_is_a_link_is_not_written_through(registry, tmp_path, name):
    own = tmp_path / "of somebody else"
    own.write_text("kept\n")
    log = registry.layout.versions_dir(MODEL) / name
    log.unlink(missing_ok=True)
    log.symlink_to(own)
    with pytest.raises(ModelRejected, match=f"{name} is a symbolic link"):
        promote(registry, 3)
    assert own.read_text() == "kept\n"
    assert mark_of(in_use(registry)) == 2


def test_a_model_folder_that_is_a_link_is_replaced_not_followed(registry):
    """What it leads to is another model's, and stays as it is."""
    folder = registry.layout.promoted_dir(MODEL)
    other = folder.with_name("low_040_4")
    changed = content(8)
    changed["metadata"] |= {"label": "low_040_4"}
    registry.store.save(other, **changed)
    before = contents(other)
    shutil.rmtree(folder)
    folder.symlink_to(other)
    assert "high_040_4 is a symbolic link" in registry.versions(MODEL)[-1].error
    promote(registry, 2)
    assert not folder.is_symlink()
    assert mark_of(in_use(registry)) == 2
    assert contents(other) == before
    assert all(file.stat().st_nlink <= 2 for file in other.iterdir())


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("action", ["save", "promote"])
def test_a_full_disk_leaves_all_as_it_was(registry, tmp_path, monkeypatch, links, action):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "no")))
    before = contents(tmp_path)
    with largest_file(100), pytest.raises(StorageFull, match="unchanged"):
        save(registry, 4) if action == "save" else promote(registry, 3)
    assert contents(tmp_path) == before
    assert mark_of(in_use(registry)) == 2
    promote(registry, 3)
    assert save(registry, 4).number == 4
    assert mark_of(in_use(registry)) == 3


def test_a_log_that_cannot_grow_loses_no_event(registry):
    """The promotion took place; the event waits beside the log, is read with it, and comes into it later."""
    log = registry.layout.versions_dir(MODEL) / "events.jsonl"
    before = log.read_bytes()
    with largest_file(len(before) + 50):
        assert promote(registry, 3, "the disk is full").state == "promoted"
        assert rollback_fails(registry)
    assert log.read_bytes() == before
    assert mark_of(in_use(registry)) == 3
    assert registry.events(MODEL)[-1].reason == "the disk is full"
    assert rollback(registry).number == 2
    assert [event.kind for event in registry.events(MODEL)][-2:] == ["promoted", "rolled_back"]
    assert log.read_bytes().startswith(before)
    assert log.read_bytes().count(b"\n") == before.count(b"\n") + 2


def rollback_fails(registry: ModelRegistry) -> bool:
    with pytest.raises(StorageFull):
        rollback(registry)
    return True
