"""The record of an asset's rows in the table `manifests`, written in the transaction of the rows.

What a manifest says belongs to `manifest`.
"""

# ruff: noqa: S608 - symbols, freqs and assets were checked, texts are quoted

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import StorageError
from itb_assets.storage.database.connection import Cursor
from itb_assets.storage.database.sql_text import literal
from itb_assets.storage.files.manifest import EVERYTHING, FrameManifest


@dataclass(frozen=True)
class Recorded:
    """What the tables know of an asset's rows; `present` names the columns they fill, None: unknown."""

    manifest: FrameManifest
    present: tuple[str, ...] | None


def lock_rows(cursor: Cursor, asset: str, market: Market) -> None:
    """Wait for whoever else writes these rows, until this transaction ends."""
    cursor.execute(f"SELECT pg_advisory_xact_lock(hashtextextended('{asset} {market}', 0))")


def recorded(cursor: Cursor, asset: str, market: Market) -> Recorded | None:
    """Return the record of an asset's rows; None where none were written, or by a version that told less.

    Raises StorageError for a record that is none of ours.
    """
    cursor.execute(f"SELECT manifest, present FROM manifests WHERE {_whose(asset, market)}")
    row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    try:
        manifest = FrameManifest.from_json(row[0], origin=Path("manifests"))
        present = None if row[1] is None else tuple(map(str, json.loads(row[1])))
    except (StorageError, ValueError, TypeError) as error:
        raise StorageError(
            f"the record of {asset} of {market} in table manifests is not one of ours "
            f"({error.__cause__ or error}): "
            f"DELETE FROM manifests WHERE {_whose(asset, market)}; then materialize it again"
        ) from error
    return Recorded(manifest, present)


def note(
    cursor: Cursor, asset: str, market: Market, manifest: FrameManifest, present: Sequence[str] | None
) -> None:
    """Note what the rows are now a copy of, and which columns they fill; None leaves what was noted."""
    values = {
        "rows": str(manifest.rows),
        "sha256": literal(manifest.sha256),
        "version": str(manifest.version),
        "run_id": literal(manifest.run_id),
        "manifest": literal(manifest.to_json()),
        "committed_at": "now()",
    }
    values |= {} if present is None else {"present": literal(json.dumps(list(present)))}
    key = {"symbol": literal(market.symbol), "freq": literal(market.freq), "asset": literal(asset)}
    taken = ", ".join(f"{name} = excluded.{name}" for name in values)
    cursor.execute(
        f"INSERT INTO manifests ({', '.join((*key, *values))}) "
        f"VALUES ({', '.join((*key.values(), *values.values()))}) "
        f"ON CONFLICT (symbol, freq, asset) DO UPDATE SET {taken}"
    )


def missing_from(found: FrameManifest | None, manifest: FrameManifest) -> pd.Timestamp | None:
    """Return from when on the tables lack what a manifest says; None if they have it all."""
    if found is None:
        return EVERYTHING
    return manifest.changed_since(found.version, sha256=found.sha256)


def _whose(asset: str, market: Market) -> str:
    return f"symbol = '{market.symbol}' AND freq = '{market.freq}' AND asset = '{asset}'"
