"""A model is whole or absent, and nothing that was tampered with is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import threading

import pytest
from frames_of import frame_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from itb_assets.domain.markets import Market
from itb_assets.errors import ModelNotFound, ModelRejected
from itb_assets.storage.disk import folders
from itb_assets.storage.layout import Layout
from itb_assets.storage.models import files as model_files
from itb_assets.storage.models.folder import ModelStore, list_models
from itb_assets.storage.models.safe_pickle import dump_plain, load_plain

STORE = ModelStore()
ADDRESS = {"symbol": "BTCUSDT", "freq": "5m", "variant": "aggressive", "algo": "lgbm", "label": "high_040_4"}
PAYLOAD = {
    "kind": "lgbm",
    "model": "tree\n" * 50,
    "features": ["a", "b"],
    "mean": [0.1, -1e-300],
    "raw": b"\0\1",
}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
plain = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner)
)


@pytest.fixture
def folder(tmp_path):
    return Layout(tmp_path).model_dir(Market("BTCUSDT", "5m"), "aggressive", "lgbm", "high_040_4")


def save(folder, store=STORE, *, payload=PAYLOAD, **metadata):
    named = {"features": payload["features"]} if payload is PAYLOAD else {}
    whole = ADDRESS | named | metadata
    return store.save(folder, payload=payload, metadata=whole, metrics={"auc": 0.758}, scores=frame_of(40))


@settings(max_examples=50, deadline=None)
@given(payload=plain)
def test_plain_data_comes_back(payload):
    back = load_plain(dump_plain(payload), origin="x")
    assert back == payload
    assert repr(back) == repr(payload)


def test_a_model_comes_back_with_all_that_was_saved(folder):
    saved = save(folder, trained_rows=100)
    model = STORE.load(folder, expect=ADDRESS)
    assert model.payload == PAYLOAD
    assert model.metrics == {"auc": 0.758}
    assert model.metadata == saved
    assert model.metadata["trained_rows"] == 100
    assert (
        model.metadata["sha256"]["model.pkl"]
        == hashlib.sha256((folder / "model.pkl").read_bytes()).hexdigest()
    )
    assert_frame_equal(model.scores(), frame_of(40), check_exact=True)
    assert STORE.peek(folder) == saved
    assert sorted(p.name for p in folder.iterdir()) == [
        "metadata.json",
        "metrics.json",
        "model.pkl",
        "scores.parquet",
    ]
    assert [p.name for p in folder.parent.iterdir()] == ["high_040_4"]


def test_a_later_save_replaces_the_whole_folder(folder):
    save(folder)
    (folder / "left over").touch()
    save(folder, payload={"second": 2})
    assert STORE.load(folder).payload == {"second": 2}
    assert not (folder / "left over").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["high_040_4"]


def test_an_absent_model_is_not_found(folder):
    with pytest.raises(ModelNotFound, match="train it first"):
        STORE.load(folder)
    assert STORE.peek(folder) is None


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        """Take a shell command."""
        self.command = command

    def __reduce__(self):
        """Ask the unpickler to run it."""
        return os.system, (self.command,)


def plant(folder, content):
    """Put a file in place of model.pkl and make the metadata agree, as somebody without the key can."""
    (folder / "model.pkl").write_bytes(content)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["sha256"]["model.pkl"] = hashlib.sha256(content).hexdigest()
    (folder / "metadata.json").write_text(json.dumps(metadata))


def test_a_hostile_pickle_is_refused_even_with_a_right_digest(folder, tmp_path):
    """Its command never runs: no name is looked up while a model is read."""
    save(folder)
    trace = tmp_path / "it ran"
    content = pickle.dumps(Hostile(f"touch '{trace}'"))
    plant(folder, content)
    with pytest.raises(ModelRejected, match=r"asks for posix\.system"):
        STORE.load(folder)
    assert not trace.exists()
    pickle.loads(content)  # noqa: S301 - the proof that this payload would have run
    assert trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(pickle.PickleBuffer(bytearray(b"x")), protocol=5)[:-3],
        b"",
        b"not a pickle",
        b"\x80\x05K",
        pickle.dumps(PAYLOAD)[:-20],
        pickle.dumps(range(3)),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"P1\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x05Nr" + (1 << 31).to_bytes(4, "little") + b".",  # would make the memo fill 32 GB
    ],
)
def test_no_odd_pickle_is_read(folder, content):
    save(folder)
    plant(folder, content)
    with pytest.raises(ModelRejected):
        STORE.load(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.pkl", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "not the file that was saved"),
        ("model.pkl", lambda b: b[:100], "not the file that was saved"),
        ("metrics.json", lambda b: b[:10], "not the file that was saved"),
        ("metrics.json", lambda b: b.replace(b"0.758", b"0.958"), "not the file that was saved"),
        ("metadata.json", lambda b: b[:50], "is not JSON"),
        ("metadata.json", lambda _: b"[]", "expected an object"),
        ("metadata.json", lambda _: b"{}", "names no sha256"),
        ("scores.parquet", lambda b: b[:-1], "not the file that was saved"),
    ],
)
def test_a_changed_or_torn_file_is_refused_by_name(folder, name, change, message):
    save(folder)
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelRejected, match=message) as caught:
        STORE.load(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["model.pkl", "metrics.json"])
def test_a_missing_file_is_named(folder, name):
    save(folder)
    (folder / name).unlink()
    with pytest.raises(ModelRejected, match=f"{name} is missing"):
        STORE.load(folder)


def test_scores_are_those_of_the_model_that_was_loaded(folder):
    """Also when they are asked for after another model took its place."""
    save(folder)
    model = STORE.load(folder)
    STORE.save(folder, payload={}, metadata=ADDRESS, metrics={}, scores=frame_of(7, seed=1))
    assert_frame_equal(model.scores(), frame_of(40), check_exact=True)


def test_a_model_of_another_address_is_refused(folder, tmp_path):
    save(folder)
    other = Layout(tmp_path).model_dir(Market("ETHUSDT", "1h"), "aggressive", "lgbm", "high_040_4")
    shutil.copytree(folder, other)
    with pytest.raises(
        ModelRejected, match="symbol is 'BTCUSDT', expected 'ETHUSDT'; freq is '5m', expected '1h'"
    ):
        STORE.load(other, expect=ADDRESS | {"symbol": "ETHUSDT", "freq": "1h"})


def test_a_signature_is_made_and_asked_for(folder):
    key, other = ModelStore(b"key"), ModelStore(b"other")
    save(folder, key)
    assert key.load(folder).payload == PAYLOAD
    assert STORE.load(folder).payload == PAYLOAD
    with pytest.raises(ModelRejected, match="signature that this key did not make"):
        other.load(folder)
    planted = PAYLOAD | {"model": "another"}
    plant(folder, dump_plain(planted))
    assert STORE.load(folder).payload == planted
    with pytest.raises(ModelRejected, match="signature"):
        key.load(folder)
    save(folder)
    with pytest.raises(ModelRejected, match="is not signed"):
        key.load(folder)
    with pytest.raises(ModelRejected, match="is not signed"):
        STORE.load(folder, signing_key=b"key")


def test_a_huge_model_is_not_read(folder, monkeypatch):
    save(folder)
    monkeypatch.setattr(model_files, "MAX_BYTES", 100)
    with pytest.raises(ModelRejected, match="expected at most 100"):
        STORE.load(folder)


@pytest.mark.parametrize("value", [object(), {1: [range(3)]}, {"a": ({"b": os.system},)}, True.__class__])
def test_only_plain_data_is_saved(folder, value):
    save(folder)
    with pytest.raises(ModelRejected, match="plain data only"):
        save(folder, payload=value)
    assert STORE.load(folder).payload == PAYLOAD


def test_metadata_must_be_json(folder):
    with pytest.raises(ModelRejected, match="not JSON"):
        save(folder, when={1, 2})
    assert not folder.exists()


def test_a_model_without_scores_says_so(folder):
    STORE.save(folder, payload={}, metadata=ADDRESS, metrics={})
    with pytest.raises(ModelRejected, match="without scores"):
        STORE.load(folder).scores()


def test_models_are_listed(folder, tmp_path):
    save(folder)
    assert [str(address) for address in list_models(Layout(tmp_path))] == [
        "BTCUSDT 5m aggressive/lgbm/high_040_4"
    ]


def test_a_filesystem_without_exchange_recovers_from_a_kill_between_its_renames(folder, monkeypatch):
    """Between them the old folder has another name: it is read there, and put back by the next writer."""
    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    save(folder)
    save(folder, payload={"second": 2})
    assert STORE.load(folder).payload == {"second": 2}
    old = folder.with_name(f".old-{folder.name}-1-00aa")
    folder.rename(old)
    folder.with_name(f".tmp-{folder.name}-1-00bb").mkdir()
    folder.with_name(".old-high_040_4_more-1-00cc").mkdir()
    assert STORE.load(folder).payload == {"second": 2}
    assert STORE.peek(folder) is not None
    save(folder, payload={"third": 3})
    assert STORE.load(folder).payload == {"third": 3}
    assert sorted(p.name for p in folder.parent.iterdir()) == [".old-high_040_4_more-1-00cc", "high_040_4"]


def test_a_reader_never_sees_a_mixture(folder):
    """While a writer replaces the model over and over, every load is one save or the other."""
    save(folder, payload={"number": 0})
    done = threading.Event()

    def write():
        for number in range(1, 40):
            save(folder, payload={"number": number}, number=number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    loads = 0
    while not done.is_set():
        model = STORE.load(folder)
        assert model.payload["number"] == model.metadata.get("number", 0)
        loads += 1
    writer.join()
    assert loads
