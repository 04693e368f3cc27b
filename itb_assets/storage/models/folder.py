"""Models on disk, one folder each: checked before they are unpickled, replaced as a whole.

What the payload means belongs to `domain.training`, where the folder lies to the layout, which of several
versions is used to the registry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from itb_assets.errors import ModelNotFound, ModelRejected
from itb_assets.storage.disk.atomic import storage_errors
from itb_assets.storage.disk.folders import current_folder, replaced_folder
from itb_assets.storage.files.dtypes import dtypes_of, to_pandas
from itb_assets.storage.layout import (
    METADATA_FILE,
    METRICS_FILE,
    MODEL_FILE,
    SCORES_FILE,
    Layout,
    ModelAddress,
)
from itb_assets.storage.models.files import (
    SIGNATURE,
    check_signature,
    checked_file,
    from_json,
    read_file,
    signature_of,
    to_json,
    to_parquet,
)
from itb_assets.storage.models.safe_pickle import dump_plain, load_plain

READ_ATTEMPTS = 5
"""How often a reader begins again because a writer replaced what it was reading."""

_SCORES_DTYPES = "scores_columns"
_DIGESTS = "sha256"
_FEATURES = "features"
_NOTHING = object()


@dataclass(frozen=True)
class StoredModel:
    """A model as it was saved: what it is, how well it did out of sample, and its plain data.

    All of it is one save: a model promoted later changes nothing here, nor in `scores`.
    """

    metadata: Mapping[str, Any]
    metrics: Mapping[str, Any]
    payload: Any
    folder: Path
    scores_content: bytes | None = field(default=None, repr=False)

    def scores(self) -> pd.DataFrame:
        """Return the out-of-sample scores saved with it; raise ModelRejected if there are none."""
        if self.scores_content is None:
            raise ModelRejected(f"{self.folder} was saved without scores: train the model again")
        return to_pandas(pl.read_parquet(self.scores_content), self.metadata[_SCORES_DTYPES])


@dataclass(frozen=True)
class ModelStore:
    """Saves and loads model folders; with a `signing_key` it signs them and refuses unsigned ones."""

    signing_key: bytes | None = None

    def save(
        self,
        folder: Path,
        *,
        payload: object,
        metadata: Mapping[str, Any],
        metrics: Mapping[str, Any],
        scores: pd.DataFrame | None = None,
    ) -> Mapping[str, Any]:
        """Replace a model as a whole and return the metadata as stored, with digests and signature.

        `payload` is plain data; metadata and metrics are JSON; `scores` a storable frame. Raises
        ModelRejected for a payload that is not plain or that names other features than the metadata,
        StorageFull and StorageError; the model before is then still there.
        """
        _check_features(metadata, payload, origin=str(folder))
        contents = {MODEL_FILE: dump_plain(payload), METRICS_FILE: to_json(metrics)}
        stored = dict(metadata)
        if scores is not None:
            stored[_SCORES_DTYPES] = dtypes_of(scores)
            contents[SCORES_FILE] = to_parquet(scores)
        stored[_DIGESTS] = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        stored.pop(SIGNATURE, None)
        if self.signing_key is not None:
            stored[SIGNATURE] = signature_of(stored, self.signing_key)
        contents[METADATA_FILE] = to_json(stored)
        with (
            storage_errors(folder, needed=sum(map(len, contents.values()))),
            replaced_folder(folder) as temporary,
        ):
            for name, content in contents.items():
                (temporary / name).write_bytes(content)
        return stored

    def load(
        self, folder: Path, *, signing_key: bytes | None = None, expect: Mapping[str, str] | None = None
    ) -> StoredModel:
        """Load a model after its digests, signature and address were checked, before it is unpickled.

        `expect` names metadata that must have these values (symbol, freq, variant, algo, label). Raises
        ModelNotFound, or ModelRejected saying what is wrong with it, features in another order included.
        """
        for _ in range(READ_ATTEMPTS):
            place = current_folder(folder)
            before = identity_of(place)
            try:
                return self._load(place, signing_key or self.signing_key, expect or {})
            except (ModelRejected, ModelNotFound):
                # a writer may have swapped the folder between two of its files
                if identity_of(current_folder(folder)) == before:
                    raise
        raise ModelRejected(f"{folder} changes faster than it can be read: try again")

    def check(self, folder: Path, *, expect: Mapping[str, str] | None = None) -> None:
        """Check a folder that nobody replaces as `load` does, and raise as it does; nothing is unpickled."""
        self._contents(folder, self.signing_key, expect or {})

    def peek(self, folder: Path) -> Mapping[str, Any] | None:
        """Return the metadata of a model without loading it, or None where there is none."""
        try:
            return _metadata(current_folder(folder), self.signing_key)
        except ModelNotFound:
            return None

    def peek_metrics(self, folder: Path) -> Mapping[str, Any]:
        """Return the metrics of a model without loading it; raise as `load` does."""
        path = folder / METRICS_FILE
        metadata = _metadata(folder, self.signing_key)
        return from_json(checked_file(path, metadata[_DIGESTS].get(METRICS_FILE)), path)

    def _load(self, folder: Path, key: bytes | None, expect: Mapping[str, str]) -> StoredModel:
        metadata, contents = self._contents(folder, key, expect)
        path = folder / MODEL_FILE
        payload = load_plain(contents[MODEL_FILE], origin=str(path))
        _check_features(metadata, payload, origin=str(path))
        metrics = from_json(contents[METRICS_FILE], folder / METRICS_FILE)
        return StoredModel(metadata, metrics, payload, folder, contents.get(SCORES_FILE))

    def _contents(
        self, folder: Path, key: bytes | None, expect: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the metadata, and every other file as bytes that have the digest it names."""
        metadata = _metadata(folder, key)
        check_identity(metadata, expect, origin=str(folder))
        digests = metadata[_DIGESTS]
        names = [METRICS_FILE, MODEL_FILE, *([SCORES_FILE] if SCORES_FILE in digests else [])]
        return metadata, {name: checked_file(folder / name, digests.get(name)) for name in names}


def identity_of(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a folder or file from the one that takes its place, or None where nothing is."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def check_identity(metadata: Mapping[str, Any], expect: Mapping[str, str], *, origin: str) -> None:
    """Raise ModelRejected naming everything that metadata says of itself and that is not as expected."""
    wrong = [
        f"{name} is {metadata.get(name)!r}, expected {value!r}"
        for name, value in expect.items()
        if metadata.get(name) != value
    ]
    if wrong:
        raise ModelRejected(f"{origin} holds another model: {'; '.join(wrong)}; train it again")


def list_models(layout: Layout) -> tuple[ModelAddress, ...]:
    """Return the address of every model below the data root."""
    return layout.models()


def _metadata(folder: Path, key: bytes | None) -> dict[str, Any]:
    path = folder / METADATA_FILE
    try:
        content = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelNotFound(f"no model at {folder}: {METADATA_FILE} is missing; train it first") from None
    metadata = from_json(content, path)
    if not isinstance(metadata.get(_DIGESTS), dict):
        raise ModelRejected(f"{path} names no sha256 of {MODEL_FILE}: train the model again")
    if key is not None:
        check_signature(metadata, key, path)
    return metadata


def _check_features(metadata: Mapping[str, Any], payload: object, *, origin: str) -> None:
    """Refuse a model whose metadata and payload name different features, or the same in another order."""
    named = metadata.get(_FEATURES)
    own = payload.get(_FEATURES) if isinstance(payload, Mapping) else None
    if named == own:
        return
    if not isinstance(named, list) or not isinstance(own, list):
        silent = MODEL_FILE if isinstance(named, list) else METADATA_FILE
        raise ModelRejected(f"{origin}: {silent} holds no list of features: train the model again")
    pairs = enumerate(zip_longest(named, own, fillvalue=_NOTHING), start=1)
    position, (theirs, ours) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    raise ModelRejected(
        f"{origin}: the features are in another order or are others: number {position} is {_named(theirs)} "
        f"in {METADATA_FILE} ({len(named)} features) and {_named(ours)} in {MODEL_FILE} ({len(own)}); "
        "scores would be wrong and nothing would say so: train the model again"
    )


def _named(feature: object) -> str:
    return "missing" if feature is _NOTHING else repr(feature)
