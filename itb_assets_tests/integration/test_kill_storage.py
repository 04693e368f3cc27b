"""`kill -9` at any moment of a write leaves the old state or the new one, and the next write goes through."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import storage_writers as writers
from dying import in_forks

from itb_assets.storage.files.frames import FrameStore
from itb_assets.storage.models.folder import ModelStore

FRAMES, MODELS = FrameStore(), ModelStore()
CASES = [("write", "data.csv"), ("splice", "data.csv"), ("splice", "klines.parquet"), ("save", "high_040_4")]
RANDOM_KILLS = 8
MODULES = ["itb_assets.storage.files.frames", "itb_assets.storage.models.folder"]


@pytest.fixture(scope="module")
def processes():
    """Return what starts processes in milliseconds, the package already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context


def generation_of(action: str, path: Path) -> int:
    """Return which write is on disk, after checking that it is there as a whole."""
    if action == "save":
        model = MODELS.load(path)
        found = {model.payload["generation"], model.metadata["generation"], model.metrics["generation"]}
        found |= set(model.scores()["generation"])
        assert json.loads((path / "metadata.json").read_text())["generation"] in found
    else:
        assert FRAMES.verify(path) == ()
        frame = FRAMES.open(path).read()
        assert frame["timestamp"].tolist() == writers.TIMES.tolist()
        tail = frame.tail(writers.TAIL)["generation"]
        found = set(tail)
        rows = writers.TAIL if action == "splice" else writers.ROWS
        expected = writers.frame_of(int(tail.iloc[0]), rows)["noise"].to_numpy()
        assert np.array_equal(frame["noise"].to_numpy()[-rows:], expected)
        plain = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        assert len(plain) == writers.ROWS
    assert len(found) == 1
    return int(found.pop())


def leftovers(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()} - {path.name, f".{path.name}.manifest.json"}


@pytest.fixture(params=CASES, ids="-".join)
def case(request, tmp_path) -> tuple[str, Path]:
    """Return an action and where it writes; its first generation, 0, is there already."""
    action, name = request.param
    path = tmp_path / "place" / name
    (writers.write if action == "splice" else writers.ACTIONS[action])(path, 0)
    return action, path


def test_killed_at_random_moments(processes, case):
    action, path = case
    moments = random.Random(f"{case}")  # noqa: S311 - a moment needs no secrecy
    seen = 0
    for kill in range(RANDOM_KILLS):
        started = processes.Event()
        arguments = (action, path, 1 + kill * 10_000, started)
        child = processes.Process(target=writers.write_for_ever, args=arguments)
        child.start()
        assert started.wait(20)
        time.sleep(moments.uniform(0, 0.05))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        found = generation_of(action, path)
        assert found > seen
        seen = found
    writers.ACTIONS[action](path, 999_999)
    assert generation_of(action, path) == 999_999
    assert leftovers(path) == set()


@pytest.fixture(scope="module")
def dying() -> Iterator[Callable[..., int]]:
    """Return a call of `die_at` in a process of its own, which returns how that one ended."""
    with in_forks(writers.die_at, preload=MODULES) as call:
        yield call


def test_killed_before_each_step(dying, case):
    """Every order in which names and bytes reach the disk is a state that opens."""
    action, path = case
    before, step = 0, 0
    while True:
        code = dying(action, path, before + 1, step)
        found = generation_of(action, path)
        if code == 0:
            assert found == before + 1
            break
        assert code == -signal.SIGKILL
        assert found in {before, before + 1}
        before, step = found, step + 1
    assert step >= 4
    assert leftovers(path) == set()
