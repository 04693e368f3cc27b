"""What the killed processes of `test_kill_storage` do: write one thing over and over, or die at a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dying import die_before

from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.models.folder import ModelStore

ROWS = 4_000
TAIL = 300
TIMES = pd.date_range("2024-09-01", periods=ROWS, freq="5min", tz="UTC").as_unit("ns")


def record() -> Record:
    """Return what every write here says of itself."""
    return Record("processed/data", "BTCUSDT", "5m", "run", datetime(2025, 3, 1, tzinfo=UTC))


def frame_of(generation: int, rows: int = ROWS) -> pd.DataFrame:
    """Return the last `rows` rows, all of one generation."""
    values = np.full(rows, float(generation))
    noise = np.sin(np.arange(ROWS - rows, ROWS) + generation)
    return pd.DataFrame({"timestamp": TIMES[-rows:], "generation": values, "noise": noise})


def write(path: Path, generation: int) -> None:
    """Write a frame whole."""
    FrameStore().write(path, frame_of(generation), record=record())


def splice(path: Path, generation: int) -> None:
    """Replace the last rows of a frame."""
    FrameStore().splice(path, frame_of(generation, TAIL), record=record())


def save(folder: Path, generation: int) -> None:
    """Save a model, as large as a small LightGBM."""
    payload = {"generation": generation, "model": str(generation) * 100_000}
    metadata, metrics = {"generation": generation}, {"generation": generation}
    ModelStore().save(
        folder, payload=payload, metadata=metadata, metrics=metrics, scores=frame_of(generation, 500)
    )


ACTIONS: dict[str, Callable[[Path, int], None]] = {"write": write, "splice": splice, "save": save}


def write_for_ever(action: str, path: Path, first: int, started: Any) -> None:
    """Do it again and again until somebody kills this process."""
    for generation in itertools.count(first):
        ACTIONS[action](path, generation)
        started.set()


def die_at(action: str, path: Path, generation: int, step: int) -> None:
    """Do it once and be killed just before the `step`th change that a disk would see."""
    die_before(step)
    ACTIONS[action](path, generation)
