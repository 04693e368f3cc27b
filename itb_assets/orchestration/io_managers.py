"""IO managers: frames and models in and out, files and database as one step.

What is computed does not belong here, nor how a file or a table is written: that is storage.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.errors import InputError, MarketBusy, StorageError
from itb_assets.orchestration.failures import as_failures
from itb_assets.orchestration.metadata import frame_metadata
from itb_assets.orchestration.models import LoadedModel, ModelUpdate, load_model
from itb_assets.orchestration.partitions import market_of
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.promotion import keep_model, kept_page, tell_kept
from itb_assets.orchestration.updates import FrameUpdate
from itb_assets.storage.frames import Record, StoredFrame
from itb_assets.storage.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.manifest import FrameManifest


def _market(context: dg.InputContext | dg.OutputContext) -> Market:
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    if len(keys) != 1:
        raise InputError(f"a run is for one market, found {len(keys)} partitions: start one run for each")
    return market_of(keys[0])


class FrameIOManager(dg.IOManager):
    """Stores a FrameUpdate, hands out a StoredFrame that reads only what is asked of it."""

    def __init__(self, platform: Platform) -> None:
        """Keep the stores to write to."""
        self._platform = platform

    def handle_output(self, context: dg.OutputContext, obj: FrameUpdate) -> None:
        """Write the rows to file and table, or record that nothing changed."""
        with as_failures(retry=self._platform.retry_steps):
            market = _market(context)
            asset = "/".join(context.asset_key.path)
            path = self._platform.frame_path(market, asset)
            with market_lock(self._platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
                before = self._platform.stored(market, asset)
                _refuse_stale(market, asset, obj, before)
                manifest = self._write(context, market, asset, obj)
                self._catch_up(market, asset, path)
            counts = {
                "rows_new": manifest.rows - (before.rows if before else 0),
                "rows_computed": obj.rows,
            }
            context.add_output_metadata(frame_metadata(manifest, path, counts | dict(obj.metadata)))

    def _write(
        self, context: dg.OutputContext, market: Market, asset: str, update: FrameUpdate
    ) -> FrameManifest:
        frames, path, frame = self._platform.frames, self._platform.frame_path(market, asset), update.frame
        if frame is None:
            return frames.open(path).manifest
        record = Record(
            asset=asset,
            symbol=market.symbol,
            freq=market.freq,
            digest=update.digest,
            sources=dict(update.sources),
            run_id=context.run_id,
            written_at=self._platform.clock(),
        )

        def commit_rows(manifest: FrameManifest) -> None:
            database = self._platform.database
            if database is not None and database.keeps(asset):
                database.replace(asset, market, frame, from_time=update.from_time, manifest=manifest)
            if database is not None and update.commit is not None:
                update.commit(database)

        if update.from_time is None:
            return frames.write(path, frame, record=record, before_commit=commit_rows)
        return frames.splice(
            path, frame, record=record, from_time=update.from_time, before_commit=commit_rows
        )

    def _catch_up(self, market: Market, asset: str, path: Path) -> None:
        """Give the tables what they missed: a database that was away, or a run without one."""
        database = self._platform.database
        if database is not None and database.keeps(asset):
            database.catch_up(asset, market, self._platform.frames.open(path))

    def load_input(self, context: dg.InputContext) -> StoredFrame:
        """Return a lazy handle on what is stored."""
        with as_failures(retry=self._platform.retry_steps):
            asset = "/".join(context.asset_key.path)
            market = _market(context)
            stored = self._platform.stored(market, asset)
            if stored is None:
                raise StorageError(f"{asset} of {market} is not there yet: materialize it first")
            return stored


def _refuse_stale(market: Market, asset: str, update: FrameUpdate, stored: StoredFrame | None) -> None:
    """Refuse rows computed beside another version than the one they would be written onto."""
    found = stored.manifest.version if stored else None
    if found != update.base:
        raise MarketBusy(
            f"{asset} of {market} was written by another run meanwhile (version {update.base} became "
            f"{found}): nothing was overwritten, run again"
        )


class ModelIOManager(dg.IOManager):
    """Keeps a ModelUpdate as a version, hands out the promoted one, checked before it is unpickled."""

    def __init__(self, platform: Platform) -> None:
        """Keep the stores to write to."""
        self._platform = platform

    def handle_output(self, context: dg.OutputContext, obj: ModelUpdate) -> None:
        """Keep model, metadata, metrics and out-of-sample scores as a version, and use it unless worse."""
        with as_failures(retry=self._platform.retry_steps):
            market = _market(context)
            with market_lock(self._platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
                kept = keep_model(self._platform, market, obj, run_id=context.run_id)
            tell_kept(context, obj, market, kept)
            promoted = self._platform.layout.promoted_dir(kept.address)
            place = dg.MetadataValue.path(
                str((promoted if kept.promoted else kept.version.folder).absolute())
            )
            context.add_output_metadata({**kept_page(kept), **obj.page, "path": place})

    def load_input(self, context: dg.InputContext) -> LoadedModel:
        """Return the model after its digest, signature and address were checked."""
        with as_failures(retry=self._platform.retry_steps):
            market = _market(context)
            _, variant, algo, label = context.asset_key.path
            return load_model(self._platform, market, ModelName(variant, algo, label))
