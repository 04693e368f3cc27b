"""The files of a model folder: read whole and checked against what was recorded of them, written as bytes.

Which files make a model, and when they are replaced, belongs to the stores.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import io
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from itb_assets.errors import ModelRejected
from itb_assets.storage.files.dtypes import to_polars
from itb_assets.storage.layout import METADATA_FILE

MAX_BYTES = 512 * 1024 * 1024
"""Largest file of a model that is read: a LightGBM of 10,000 trees is a tenth of it."""

SIGNATURE = "signature"


def read_file(path: Path) -> bytes:
    """Read an ordinary file; raise FileNotFoundError, or ModelRejected for a link, a pipe or a huge file."""
    try:
        # without O_NONBLOCK opening a pipe waits for its writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ModelRejected(f"{path} is a symbolic link: expected the file itself") from error
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it was opened by its descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelRejected(f"{path} is no ordinary file: delete it and train the model again")
        if status.st_size > MAX_BYTES:
            raise ModelRejected(f"{path} has {status.st_size:,} bytes: expected at most {MAX_BYTES:,}")
        return file.read()


def checked_file(path: Path, digest: str | None) -> bytes:
    """Read a file whose digest is known; the bytes that were hashed are those that are used."""
    try:
        content = read_file(path)
    except FileNotFoundError:
        raise ModelRejected(f"{path} is missing: train the model again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelRejected(
            f"{path} is not the file that was saved (sha256 {found[:12]}, {METADATA_FILE} says "
            f"{str(digest)[:12]}): it was changed or torn; train the model again"
        )
    return content


def digest_of(path: Path) -> str | None:
    """Return a file's sha256, or None where there is no file that `read_file` reads."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except (OSError, ModelRejected):
        return None


def to_json(values: Mapping[str, Any]) -> bytes:
    """Return metadata or metrics as they are written; raise ModelRejected for what JSON does not know."""
    try:
        return (json.dumps(values, indent=2, allow_nan=True) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ModelRejected(f"metadata or metrics are not JSON: {error}") from error


def from_json(content: bytes, path: Path) -> dict[str, Any]:
    """Return the object in a file's content; raise ModelRejected naming `path`."""
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


def to_parquet(scores: pd.DataFrame) -> bytes:
    """Return a frame as a parquet file."""
    buffer = io.BytesIO()
    to_polars(scores).write_parquet(buffer, compression="snappy")
    return buffer.getvalue()


def signature_of(metadata: Mapping[str, Any], key: bytes) -> str:
    """Return the signature that metadata gets under a key; the one it carries does not count."""
    unsigned = {name: value for name, value in metadata.items() if name != SIGNATURE}
    canonical = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), default=str)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def check_signature(metadata: Mapping[str, Any], key: bytes, path: Path) -> None:
    """Raise ModelRejected unless the metadata at `path` was signed with this key."""
    found = metadata.get(SIGNATURE)
    if not isinstance(found, str):
        raise ModelRejected(
            f"{path} is not signed, and a signing key is set: train the model again, or unset the key"
        )
    if not hmac.compare_digest(found.encode(), signature_of(metadata, key).encode()):
        raise ModelRejected(f"{path} carries a signature that this key did not make: train the model again")
