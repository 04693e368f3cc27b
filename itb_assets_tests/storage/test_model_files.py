"""The files of a model agree with each other, and are files."""

from __future__ import annotations

import json
import os

import pytest
from frames_of import frame_of

from itb_assets.errors import ModelRejected
from itb_assets.storage.models.folder import ModelStore

STORE = ModelStore()
PAYLOAD = {"model": "tree", "features": ["a", "b", "c"]}


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a model."""
    return tmp_path / "high_040_4"


def save(folder, payload=PAYLOAD, **changes):
    metadata = {"features": ["a", "b", "c"]} | changes
    STORE.save(folder, payload=payload, metadata=metadata, metrics={}, scores=frame_of(9))


def swapped(names):
    return [names[1], names[0], *names[2:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swapped, r"number 1 is 'b' in metadata\.json \(3 features\) and 'a' in model\.pkl \(3\)"),
        (lambda names: names[:2], r"number 3 is missing in metadata\.json \(2 features\) and 'c'"),
        (lambda names: [*names, "d"], r"number 4 is 'd' in metadata\.json .* and missing in model\.pkl"),
        (lambda _: None, r"metadata\.json holds no list of features"),
    ],
)
def test_features_in_another_order_are_refused_by_position(folder, change, message):
    """When they are loaded, even with every digest right, and already when they are saved."""
    save(folder)
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"features": change(metadata["features"])}))
    with pytest.raises(ModelRejected, match=message) as caught:
        STORE.load(folder)
    assert str(folder / "model.pkl") in str(caught.value)
    with pytest.raises(ModelRejected, match=message):
        save(folder, features=change(metadata["features"]))
    with pytest.raises(ModelRejected, match=r"model\.pkl holds no list of features"):
        save(folder, {"model": "tree"})


@pytest.mark.parametrize("name", ["model.pkl", "metadata.json", "metrics.json", "scores.parquet"])
def test_only_ordinary_files_are_read(folder, tmp_path, name):
    """A link would read a file from elsewhere, and a pipe would be waited for without end."""
    save(folder)
    elsewhere = tmp_path / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(ModelRejected, match=f"{name} is a symbolic link"):
        STORE.load(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelRejected, match=f"{name} is no ordinary file"):
        STORE.load(folder)
    save(folder)
    assert STORE.load(folder).payload == PAYLOAD
