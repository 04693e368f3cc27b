"""A model or scores that must not be trusted are refused where a person meets them, and nothing is changed.

What the store refuses of a single file is tested there; here is what the commands say of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import MARKET, Itb
from refusals import BAD, RUN, contents, refused

from itb_assets.storage.frames import FrameStore, Record
from itb_assets.storage.layout import Layout

NAME = f"{MARKET.symbol}/{MARKET.freq}/aggressive/lgbm/high_040_4"
COMMANDS = [("models", "show", NAME), RUN]


@pytest.fixture
def copied(built, tmp_path) -> Itb:
    """Return the command on a copy of the data root that was built, without a database for its rows."""
    itb = Itb(
        tmp_path,
        {
            **built.environment,
            "ITB_DATA_ROOT": str(tmp_path / "data root"),
            "ITB_STORAGE_PHASE": "files",
        },
    )
    for name in (MARKET.symbol, "models"):
        shutil.copytree(built.root / name, itb.root / name)
    return itb


def folder_of(itb: Itb) -> Path:
    return Layout(itb.root).model_dir(MARKET, "aggressive", "lgbm", "high_040_4")


def changed(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write other metadata into a model's folder, as an editor does: a new file in the place of the old."""
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps(metadata | change(metadata)))


def refused_everywhere(itb: Itb, *words: str) -> None:
    before = contents(itb.root)
    for command in COMMANDS:
        refused(itb(*command), BAD, *words)
    assert contents(itb.root) == before


def test_a_model_with_reordered_features(copied):
    """Scores would be of other numbers than the model was fitted on, and look like any others."""

    def swapped(metadata: dict[str, Any]) -> dict[str, Any]:
        first, second, *rest = metadata["features"]
        return {"features": [second, first, *rest]}

    changed(folder_of(copied), swapped)
    refused_everywhere(copied, "number 1 is", "in metadata.json", "in model.pkl")


def test_metadata_from_another_market(copied):
    """As when a folder is copied from where its model was good; its digests are all right."""
    changed(folder_of(copied), lambda _: {"symbol": "ETHUSDT"})
    before = contents(copied.root)
    refused(copied(*RUN), BAD, f"symbol is 'ETHUSDT', expected '{MARKET.symbol}'", "train")
    assert contents(copied.root) == before


def test_metrics_that_were_truncated(copied):
    path = folder_of(copied) / "metrics.json"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    refused_everywhere(copied, "metrics.json is not the file that was saved")


def test_scores_in_sample_stop_a_run(copied):
    """A metric, a signal or a trade of such a row would say what the model remembers, not what it knows."""
    path = Layout(copied.root).predictions(MARKET, "aggressive")
    store = FrameStore()
    stored = store.open(path)
    frame = stored.read()
    frame.loc[:9, "sample"] = "in_sample"
    record = Record(
        asset="predictions/aggressive",
        symbol=MARKET.symbol,
        freq=MARKET.freq,
        digest=stored.manifest.digest,
        sources=stored.manifest.sources,
        run_id="test",
        written_at=datetime(2024, 6, 1, tzinfo=UTC),
    )
    store.write(path, frame, record=record)
    refused(
        copied(*RUN),
        BAD,
        f"predictions/aggressive of {MARKET} fails the check out_of_sample",
        "rows that call themselves in_sample",
        "train the models again",
    )
