"""Models on disk, one folder each: checked before they are unpickled, replaced as a whole.

What the payload means belongs to `domain.training`; where the folder lies belongs to the layout.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from itb_assets.errors import ModelNotFound, ModelRejected
from itb_assets.storage.atomic import storage_errors
from itb_assets.storage.dtypes import dtypes_of, to_pandas, to_polars
from itb_assets.storage.folders import current_folder, replaced_folder
from itb_assets.storage.layout import (
    METADATA_FILE,
    METRICS_FILE,
    MODEL_FILE,
    SCORES_FILE,
    Layout,
    ModelAddress,
)
from itb_assets.storage.safe_pickle import dump_plain, load_plain

MAX_BYTES = 512 * 1024 * 1024
"""Largest model.pkl that is read: a LightGBM of 10,000 trees is a tenth of it."""

_SCORES_DTYPES = "scores_columns"
_DIGESTS = "sha256"
_ATTEMPTS = 5
_SIGNATURE = "signature"


@dataclass(frozen=True)
class StoredModel:
    """A model as it was saved: what it is, how well it did out of sample, and its plain data."""

    metadata: Mapping[str, Any]
    metrics: Mapping[str, Any]
    payload: Any
    folder: Path

    def scores(self) -> pd.DataFrame:
        """Return the out-of-sample scores saved with it; raise ModelRejected if there are none."""
        if SCORES_FILE not in self.metadata[_DIGESTS]:
            raise ModelRejected(f"{self.folder} was saved without scores: train the model again")
        content = _checked_bytes(self.folder / SCORES_FILE, self.metadata[_DIGESTS][SCORES_FILE])
        return to_pandas(pl.read_parquet(content), self.metadata[_SCORES_DTYPES])


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
        ModelRejected for a payload that is not plain, StorageFull and StorageError; the model before is then
        still there.
        """
        contents = {MODEL_FILE: dump_plain(payload), METRICS_FILE: _to_json(metrics)}
        stored = dict(metadata)
        if scores is not None:
            stored[_SCORES_DTYPES] = dtypes_of(scores)
            contents[SCORES_FILE] = _parquet(scores)
        stored[_DIGESTS] = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        stored.pop(_SIGNATURE, None)
        if self.signing_key is not None:
            stored[_SIGNATURE] = _signature(stored, self.signing_key)
        contents[METADATA_FILE] = _to_json(stored)
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
        ModelNotFound, or ModelRejected saying what is wrong with it.
        """
        for _ in range(_ATTEMPTS):
            place = current_folder(folder)
            before = _identity(place)
            try:
                return self._load(place, signing_key or self.signing_key, expect or {})
            except (ModelRejected, ModelNotFound):
                # a writer may have swapped the folder between two of its files
                if _identity(current_folder(folder)) == before:
                    raise
        raise ModelRejected(f"{folder} changes faster than it can be read: try again")

    def _load(self, folder: Path, key: bytes | None, expect: Mapping[str, str]) -> StoredModel:
        metadata = self._metadata(folder, key)
        wrong = [
            f"{name} is {metadata.get(name)!r}, expected {value!r}"
            for name, value in expect.items()
            if metadata.get(name) != value
        ]
        if wrong:
            raise ModelRejected(f"{folder} holds another model: {'; '.join(wrong)}; train it again")
        digests = metadata[_DIGESTS]
        metrics = _checked_bytes(folder / METRICS_FILE, digests.get(METRICS_FILE))
        payload = _checked_bytes(folder / MODEL_FILE, digests.get(MODEL_FILE))
        return StoredModel(
            metadata,
            _from_json(metrics, folder / METRICS_FILE),
            load_plain(payload, origin=str(folder / MODEL_FILE)),
            folder,
        )

    def peek(self, folder: Path) -> Mapping[str, Any] | None:
        """Return the metadata of a model without loading it, or None where there is none."""
        place = current_folder(folder)
        return self._metadata(place, self.signing_key) if (place / METADATA_FILE).is_file() else None

    def _metadata(self, folder: Path, key: bytes | None) -> dict[str, Any]:
        path = folder / METADATA_FILE
        if not path.is_file():
            raise ModelNotFound(f"no model at {folder}: {METADATA_FILE} is missing; train it first")
        metadata = _from_json(path.read_bytes(), path)
        if not isinstance(metadata.get(_DIGESTS), dict):
            raise ModelRejected(f"{path} names no sha256 of {MODEL_FILE}: train the model again")
        if key is not None:
            _check_signature(metadata, key, path)
        return metadata


def _identity(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def list_models(layout: Layout) -> tuple[ModelAddress, ...]:
    """Return the address of every model below the data root."""
    return layout.models()


def _check_signature(metadata: Mapping[str, Any], key: bytes, path: Path) -> None:
    found = metadata.get(_SIGNATURE)
    if not isinstance(found, str):
        raise ModelRejected(
            f"{path} is not signed, and a signing key is set: train the model again, or unset the key"
        )
    if not hmac.compare_digest(found.encode(), _signature(metadata, key).encode()):
        raise ModelRejected(f"{path} carries a signature that this key did not make: train the model again")


def _signature(metadata: Mapping[str, Any], key: bytes) -> str:
    unsigned = {name: value for name, value in metadata.items() if name != _SIGNATURE}
    canonical = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), default=str)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _checked_bytes(path: Path, digest: str | None) -> bytes:
    """Read a file whose digest is known; the bytes that were hashed are those that are used."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelRejected(f"{path} has {size:,} bytes: expected at most {MAX_BYTES:,}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelRejected(f"{path} is missing: train the model again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelRejected(
            f"{path} is not the file that was saved (sha256 {found[:12]}, {METADATA_FILE} says "
            f"{str(digest)[:12]}): it was changed or torn; train the model again"
        )
    return content


def _to_json(values: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(values, indent=2, allow_nan=True) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ModelRejected(f"metadata or metrics are not JSON: {error}") from error


def _from_json(content: bytes, path: Path) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelRejected(
            f"{path} is not JSON ({error}): it was changed or torn; train the model again"
        ) from error
    if not isinstance(values, dict):
        raise ModelRejected(
            f"{path} holds a {type(values).__name__}, expected an object: train the model again"
        )
    return values


def _parquet(scores: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    to_polars(scores).write_parquet(buffer, compression="snappy")
    return buffer.getvalue()
