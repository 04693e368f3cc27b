"""`kill -9` at any moment leaves the old model or the new one in use, whole, and the next call tidies up."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import registry_writers as writers
from dying import in_forks
from registry_writers import FILES, MODEL, in_use, mark_of, promote, registry_of, save

from itb_assets.storage.models.events import EventLog, ModelEvent
from itb_assets.storage.models.registry import ModelRegistry

RANDOM_KILLS = 12
PROMOTIONS = 100


@pytest.fixture(scope="module")
def processes():
    """Return what starts processes in milliseconds, the package already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["itb_assets.storage.models.registry"])
    return context


def assert_tidy(registry: ModelRegistry) -> None:
    """Check that every version is sound, the log fits the folders, and nothing else lies about."""
    promoted, versions = registry.layout.promoted_dir(MODEL), registry.layout.versions_dir(MODEL)
    found = registry.versions(MODEL)
    assert [version.error for version in found] == [""] * len(found)
    assert {entry.name for entry in promoted.parent.iterdir()} == {promoted.name, ".versions"}
    names = {version.folder.name for version in found} | {"events.jsonl"}
    assert {entry.name for entry in versions.iterdir()} == names
    assert {file.name for file in promoted.iterdir()} == FILES
    events = registry.events(MODEL)
    assert "unreadable" not in {event.kind for event in events}
    last = next(event for event in reversed(events) if event.line)
    assert [version.number for version in found if version.state == "promoted"] == [last.version]
    known = [event.version for event in events if event.kind == "saved"]
    assert sorted(set(known)) == known
    assert {version.number for version in found} <= set(known)


def test_killed_at_random_moments(processes, folder):
    """A writer saves, promotes and rolls back, is killed again and again, and the next one goes on."""
    registry, dice = registry_of(folder, keep=4), random.Random("registry")  # noqa: S311 - no secret
    for kill in range(RANDOM_KILLS):
        started = processes.Event()
        child = processes.Process(target=writers.work_for_ever, args=(folder, 1000 * (1 + kill), started))
        child.start()
        assert started.wait(60)
        time.sleep(dice.uniform(0, 0.06))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        used = mark_of(in_use(registry))
        found = registry.versions(MODEL)
        assert [version.error for version in found] == [""] * len(found)
        assert [v.metadata["mark"] for v in found if v.state == "promoted"] == [used]
        if kill % 3 == 0:
            registry.prune(MODEL, by="", now=writers.NOW)
            assert_tidy(registry)
            assert mark_of(in_use(registry)) == used
    promote(registry, save(registry, 7).number)
    assert mark_of(in_use(registry)) == 7
    assert_tidy(registry)


@pytest.fixture(scope="module")
def dying() -> Iterator[Callable[..., int]]:
    """Return a call of `die_at` in a process of its own, which returns how that one ended."""
    with in_forks(writers.die_at, preload=["itb_assets.storage.models.registry"]) as call:
        yield call


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Return a data root with five versions: 1, 2 and 5 were promoted, 5 is in use."""
    root = tmp_path_factory.mktemp("prepared")
    registry = registry_of(root)
    for mark in (1, 2, 3, 4, 5):
        save(registry, mark)
    promote(registry, 2)
    promote(registry, 5)
    return root


CASES = [
    ("save", True, 5, 5),
    ("promote", True, 5, 3),
    ("promote", False, 5, 3),
    ("rollback", True, 5, 2),
    ("prune", True, 5, 5),
    ("first", True, None, 9),
]


@pytest.mark.parametrize(("action", "exchange", "before", "after"), CASES)
def test_killed_before_each_step(dying, prepared, folder, action, exchange, before, after):
    """Every order in which names and bytes reach the disk is a state that opens and can be gone on from."""
    step, ended = 0, False
    outcomes: list[object] = []
    while not ended:
        root = folder / str(step)
        if action == "first":
            root.mkdir()
        else:
            shutil.copytree(prepared, root)
        code = dying("save" if action == "first" else action, root, step, exchange)
        assert code in {0, -signal.SIGKILL}
        ended = code == 0
        outcomes.append(check_after(registry_of(root), action, before, after))
        shutil.rmtree(root)
        step += 1
    assert outcomes[0] == before
    assert outcomes[-1] == after
    assert sorted(outcomes, key=lambda used: used == after) == outcomes
    assert step >= 8


def check_after(registry: ModelRegistry, action: str, before: int | None, after: int) -> int | None:
    """Return which model is in use after a kill, and check that the next writer finds all in order."""
    used = mark_of(in_use(registry)) if registry.promoted(MODEL) else None
    assert used in {before, after}
    if action in {"promote", "rollback"}:
        reasons = [event.reason for event in registry.events(MODEL)]
        assert reasons.count("killed") == (used == after)
    found = registry.versions(MODEL)
    assert [version.error for version in found] == [""] * len(found)
    number = save(registry, 99).number
    assert number == 1 + max((version.number for version in found), default=0)
    assert mark_of(in_use(registry)) == (99 if used is None else used)
    if action in {"promote", "rollback"}:
        assert [e.reason for e in registry.events(MODEL)].count("killed") == (used == after)
    assert_tidy(registry)
    return used


def test_readers_see_the_old_model_or_the_new_one(processes, folder):
    """While one process promotes and rolls back, another reads the model in use, its scores and the list."""
    registry = registry_of(folder)
    promote(registry, (save(registry, 1), save(registry, 2))[1].number)
    done, (receiver, sender) = processes.Event(), processes.Pipe(duplex=False)
    reader = processes.Process(target=writers.read_while, args=(folder, done, sender))
    reader.start()
    assert receiver.poll(20)
    assert receiver.recv() == "ready"
    for number in range(PROMOTIONS):
        promote(registry, 1 + number % 2)
    done.set()
    assert receiver.poll(20), "the reader died of what it saw"
    seen = receiver.recv()
    reader.join()
    assert min(seen.values()) > 0


def test_what_is_read_across_a_promotion_is_read_again(folder, monkeypatch):
    """The list is that of a moment: not the model used before beside the log of after."""
    registry, read = registry_of(folder), EventLog.next
    for mark in (1, 2, 3):
        save(registry, mark)
    promote(registry, 2)

    def promote_meanwhile(log: EventLog) -> ModelEvent | None:
        monkeypatch.setattr(EventLog, "next", read)
        promote(registry, 3)
        return read(log)

    monkeypatch.setattr(EventLog, "next", promote_meanwhile)
    states = [version.state for version in registry.versions(MODEL)]
    assert states == ["candidate", "previous", "promoted"]
