"""IO managers: frames and models in and out, files and database as one step.

What is computed does not belong here, nor how a file or a table is written: that is storage.
"""

from __future__ import annotations

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
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.files.frames import Record, StoredFrame
from itb_assets.storage.files.manifest import FrameManifest


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
            keeper = self._platform.keeper
            with market_lock(self._platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
                before = keeper.find(market, asset, locked=True)
                _refuse_stale(market, asset, obj, before)
                manifest = self._write(context, market, asset, obj)
                keeper.level(market, asset)  # a database that was away, or a run without one
            counts = {
                "rows_new": manifest.rows - (before.rows if before else 0),
                "rows_computed": obj.rows,
            }
            place = keeper.place(market, asset)
            context.add_output_metadata(frame_metadata(manifest, place, counts | dict(obj.metadata)))

    def _write(
        self, context: dg.OutputContext, market: Market, asset: str, update: FrameUpdate
    ) -> FrameManifest:
        if update.frame is None:
            return self._stored(market, asset).manifest
        record = Record(
            asset=asset,
            symbol=market.symbol,
            freq=market.freq,
            digest=update.digest,
            sources=dict(update.sources),
            run_id=context.run_id,
            written_at=self._platform.clock(),
        )
        return self._platform.keeper.write(
            market, asset, update.frame, record=record, from_time=update.from_time, commit=update.commit
        )

    def load_input(self, context: dg.InputContext) -> StoredFrame:
        """Return a lazy handle on what is stored."""
        with as_failures(retry=self._platform.retry_steps):
            return self._stored(_market(context), "/".join(context.asset_key.path))

    def _stored(self, market: Market, asset: str) -> StoredFrame:
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
