"""Compares what is stored with its records: files, tables and models with their digests.

Nothing is repaired here: materializing an asset again is the repair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from itb_assets.domain.markets import Market
from itb_assets.errors import ItbError
from itb_assets.orchestration.executed import executed_fills
from itb_assets.orchestration.models import load_model
from itb_assets.orchestration.platform import ModelName, Platform
from itb_assets.storage.layout import ModelAddress


@dataclass(frozen=True)
class Finding:
    """One thing that was compared, and what differs (empty when it is whole)."""

    market: str
    what: str
    problem: str = ""


def verify(platform: Platform) -> Iterator[Finding]:
    """Check every file, table and model of the data root, one finding each."""
    for market in platform.layout.markets():
        for asset in platform.frame_names():
            yield from _frame(platform, market, asset)
    yield from _fills(platform)
    for address in platform.layout.models():
        yield _model(platform, address)
        yield from _versions(platform, address)


def _frame(platform: Platform, market: Market, asset: str) -> Iterator[Finding]:
    path = platform.frame_path(market, asset)
    if not path.exists():
        return
    problems = platform.frames.verify(path)
    yield Finding(str(market), asset, "; ".join(problems))
    database = platform.database
    if problems or database is None or not database.keeps(asset):
        return
    manifest = platform.frames.open(path).manifest
    recorded = database.recorded(asset, market)
    if recorded is None:
        yield Finding(
            str(market), f"table of {asset}", "the database has no record of it: materialize it again"
        )
    elif recorded.sha256 != manifest.sha256:
        yield Finding(
            str(market),
            f"table of {asset}",
            f"the database holds version {recorded.version} ({recorded.rows} rows), "
            f"the file version {manifest.version} ({manifest.rows} rows): materialize it again",
        )
    else:
        yield Finding(str(market), f"table of {asset}")


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
