"""Models for the tests of the registry, and what their killed processes do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dying import Counted, die_before
from frames_of import NOW, frame_of

from itb_assets.domain.markets import Market
from itb_assets.storage.disk import folders
from itb_assets.storage.layout import Layout, ModelAddress
from itb_assets.storage.models import events as model_events
from itb_assets.storage.models.folder import ModelStore, StoredModel
from itb_assets.storage.models.registry import ModelRegistry, ModelVersion

MODEL = ModelAddress(Market("BTCUSDT", "5m"), "aggressive", "lgbm", "high_040_4")
FEATURES = ["a", "b"]
FILES = {"model.pkl", "metadata.json", "metrics.json", "scores.parquet"}


def registry_of(root: Path, *, keep: int = 10, key: bytes | None = None) -> ModelRegistry:
    """Return the registry of a data root."""
    return ModelRegistry(Layout(root), ModelStore(key), keep)


def content(mark: int, *, scores: bool = True, size: int = 100) -> dict[str, Any]:
    """Return what is saved of a model: every part of it says `mark`."""
    own: dict[str, Any] = {
        "payload": {"mark": mark, "features": FEATURES, "model": str(mark % 10) * size},
        "metadata": MODEL.identity | {"mark": mark, "features": FEATURES},
        "metrics": {"mark": mark},
    }
    return own | ({"scores": frame_of(50).assign(trades=mark)} if scores else {})


def save(registry: ModelRegistry, mark: int, **changes: Any) -> ModelVersion:
    """Save the model `mark` as the next version."""
    return registry.save_version(MODEL, **(content(mark) | {"run_id": f"r{mark}", "now": NOW} | changes))


def promote(registry: ModelRegistry, number: int, reason: str = "better") -> ModelVersion:
    """Promote a version."""
    return registry.promote(MODEL, number, reason=reason, by="ana", now=NOW)


def rollback(registry: ModelRegistry) -> ModelVersion:
    """Go back to the version before."""
    return registry.rollback(MODEL, reason="worse", by="ana", now=NOW)


def in_use(registry: ModelRegistry) -> StoredModel:
    """Load the promoted model."""
    return registry.store.load(registry.layout.promoted_dir(MODEL), expect=MODEL.identity)


def mark_of(model: StoredModel) -> int:
    """Return which model it is, after checking that all of its parts are of that one."""
    found = {model.payload["mark"], model.metadata["mark"], model.metrics["mark"], *model.scores()["trades"]}
    assert len(found) == 1
    return int(found.pop())


def save_after(registry: ModelRegistry) -> None:
    """Save one more."""
    save(registry, 9)


def promote_third(registry: ModelRegistry) -> None:
    """Promote a candidate."""
    promote(registry, 3, "killed")


def roll_back(registry: ModelRegistry) -> None:
    """Roll back."""
    registry.rollback(MODEL, reason="killed", by="ana", now=NOW)


def prune(registry: ModelRegistry) -> None:
    """Keep as few as may be."""
    registry.prune(MODEL, by="ana", now=NOW, keep=3)


ACTIONS: Mapping[str, Callable[[ModelRegistry], None]] = {
    "save": save_after,
    "promote": promote_third,
    "rollback": roll_back,
    "prune": prune,
}


def work_for_ever(root: Path, first: int, started: Any) -> None:
    """Save, promote and roll back again and again until somebody kills this process."""
    registry = registry_of(root, keep=4)
    for mark in itertools.count(first):
        version = save(registry, mark, **content(mark, size=100_000))
        promote(registry, version.number)
        if mark % 3 == 0:
            rollback(registry)
        started.set()


def read_while(root: Path, done: Any, counts: Any) -> None:
    """Read the model in use and its versions until told to stop, both were seen, and say how often."""
    registry, seen = registry_of(root), dict.fromkeys((1, 2), 0)
    counts.send("ready")
    while not (done.is_set() and all(seen.values())):
        seen[mark_of(in_use(registry))] += 1
        states = [(version.state, version.error) for version in registry.versions(MODEL)]
        assert sorted(states) == [("previous", ""), ("promoted", "")], states
    counts.send(seen)


def die_at(action: str, root: Path, step: int, exchange: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Do it once and be killed just before the `step`th change that a disk would see."""
    swap = folders._exchange if exchange else lambda *_: False
    counted = die_before(step)
    folders._exchange = counted(swap)
    model_events._write = torn(counted)
    ACTIONS[action](registry_of(root))


def torn(counted: Counted) -> Callable[[int, bytes, int], None]:
    """Return a write in two halves, between which one may be killed."""

    def write(descriptor: int, line: bytes, end: int) -> None:
        half = len(line) // 2
        os.pwrite(descriptor, line[:half], end)
        counted(os.pwrite)(descriptor, line[half:], end + half)

    return write
