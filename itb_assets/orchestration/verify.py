"""Compares what is stored with its records and with each other: files, tables and models.

Frames that differ are mended from the better side where that is asked for; models are made again instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from itb_assets.domain.markets import Market
from itb_assets.errors import ItbError
from itb_assets.orchestration.executed import executed_fills
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.orchestration.verify_frames import look_at, mend
from itb_assets.storage.disk.locks import LOCK_WAIT_S, market_lock
from itb_assets.storage.layout import ModelAddress


@dataclass(frozen=True)
class Finding:
    """One thing that was compared, and what differs (empty when it is whole).

    `mended` says from which side it was put right.
    """

    market: str
    what: str
    problem: str = ""
    mended: str = ""

    @property
    def bad(self) -> bool:
        """Whether something is wrong still."""
        return bool(self.problem) and not self.mended


def verify(platform: Platform, *, repair: bool = False) -> Iterator[Finding]:
    """Check every frame, table and model of the data root, one finding each, upstream first.

    Nothing is altered unless `repair` is asked for; then what differs is mended under the market's lock.
    """
    for market in platform.markets():
        for asset in platform.frame_names():
            yield from verify_frame(platform, market, asset, repair=repair)
    yield from _fills(platform)
    for address in platform.layout.models():
        yield _model(platform, address)
        yield from _versions(platform, address)


def verify_frame(
    platform: Platform, market: Market, asset: str, *, repair: bool = False
) -> Iterator[Finding]:
    """Check the file and the rows of one frame; nothing where it was never made."""
    look = look_at(platform, market, asset)
    mended = ""
    if look.problem:
        # a writer may have been between its table and its file: look again while nobody writes
        with market_lock(platform.layout.market_lock(market), wait_s=LOCK_WAIT_S):
            look = look_at(platform, market, asset)
            if look.problem and repair:
                mended = mend(platform, market, asset, look)
    if look.found:
        yield Finding(str(market), asset, look.problem, mended)


def _fills(platform: Platform) -> Iterator[Finding]:
    """Check that executed trades, where any were imported, can be read."""
    fills = executed_fills(platform.settings)
    if not fills.exists():
        return
    try:
        fills.read()
    except ItbError as error:
        yield Finding("", "executed trades", str(error))
    else:
        yield Finding("", "executed trades")


def _versions(platform: Platform, address: ModelAddress) -> Iterator[Finding]:
    """Check the kept versions that are not in use, each by itself."""
    for version in platform.registry.versions(address):
        if version.state != "promoted":
            name = f"models/{address.variant}/{address.algo}/{address.label} version {version.number}"
            yield Finding(str(address.market), name, version.error)


def _model(platform: Platform, address: ModelAddress) -> Finding:
    name = f"models/{address.variant}/{address.algo}/{address.label}"
    try:
        load_model(platform, address.market, ModelName(address.variant, address.algo, address.label))
    except ItbError as error:
        return Finding(str(address.market), name, str(error))
    return Finding(str(address.market), name)
