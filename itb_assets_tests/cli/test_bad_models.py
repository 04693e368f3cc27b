"""A model or scores that must not be trusted are refused where a person meets them, and nothing is changed.

What the store refuses of a single file is tested there; here is what the commands say of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from itb_command import MARKET, Itb
from refusals import BAD, RUN, contents, refused

from itb_assets.storage.files.frames import FrameStore, Record
from itb_assets.storage.layout import Layout

NAME = f"{MARKET.symbol}/{MARKET.freq}/aggressive/lgbm/high_040_4"
COMMANDS = [("models", "show", NAME), RUN]


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


def test_a_model_that_was_tampered_with(copied):
    file = folder_of(copied) / "model.pkl"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    before = contents(copied.root)
    words = ("model.pkl is not the file that was saved", "train the model again")
    refused(copied("models", "show", NAME), BAD, *words)
    refused(copied(*RUN), BAD, *words)
    listed = copied("models", "list", "--json")
    assert {row["model"]: row["state"] for row in listed.json()}[NAME] == "ModelRejected"
    assert listed.code == 0
    found = copied("verify", "--json")
    assert found.code == 1
    assert [words[0] in row["problem"] for row in found.json()] == [True]
    assert contents(copied.root) == before
    assert copied(*RUN, "--retrain").code == 0
    assert copied("verify").code == 0


class Hostile:
    """A pickle that touches a file when it is read."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self):
        """Say what is to be called."""
        return os.system, (f"touch '{self.path}'",)


def test_a_hostile_pickle(copied):
    """Whoever writes the pickle writes its digest too: what stands in the way is what may be unpickled."""
    folder, mark = folder_of(copied), copied.folder / "it ran"
    content = pickle.dumps(Hostile(mark))
    (folder / "model.pkl").write_bytes(content)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["sha256"]["model.pkl"] = hashlib.sha256(content).hexdigest()
    (folder / "metadata.json").write_text(json.dumps(metadata))
    before = contents(copied.root)
    words = ("asks for posix.system", "a model is plain data and names no code", "delete it and train again")
    for command in (("models", "show", NAME), RUN):
        refused(copied(*command), BAD, *words)
    assert copied("verify").code == 1
    assert contents(copied.root) == before
    pickle.loads(content)  # noqa: S301 - shows that it would have run
    assert mark.exists()
