"""One frame in file and table: whether each is whole, whether both are the same, and the better of the two.

What is compared beside frames belongs to `verify`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.errors import DatabaseRefused, DatabaseUnavailable, MarketBusy, StorageError
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.dtypes import first_difference, to_polars
from itb_assets.storage.files.manifest import FrameManifest
from itb_assets.storage.files.stored_frame import StoredFrame

_TABLES = {
    "raw/klines": ("ohlcv",),
    "processed/data": ("ohlcv",),
    "processed/features": ("features",),
    "labeled/matrix": ("ohlcv", "features", "labels"),
}
"""Tables whose rows make these frames; the others lie in one that has the name of their stage."""
_COMPOSED = {"processed/data": ("raw/klines",), "labeled/matrix": ("processed/data", "processed/features")}
"""Frames whose rows in the database are made of those of others."""


@dataclass(frozen=True)
class Look:
    """What was found of a frame: each side unless it is absent or not whole, and what is wrong."""

    file: StoredFrame | None = None
    table: StoredFrame | None = None
    file_problem: str = ""
    table_problem: str = ""
    difference: str = ""

    @property
    def found(self) -> bool:
        """Whether there is anything of this frame."""
        return self.file is not None or self.table is not None or bool(self.problem)

    @property
    def problem(self) -> str:
        """Everything that is wrong, in one line."""
        return "; ".join(filter(None, (self.file_problem, self.table_problem, self.difference)))


def look_at(platform: Platform, market: Market, asset: str) -> Look:
    """Read a frame from file and table as far as the storage phase has them, and compare."""
    path = platform.frame_path(market, asset)
    if platform.phase == "db":
        beside = f"{path} lies beside the tables of phase db: `itb storage phase db` archives it"
        table, table_problem = _table(platform, market, asset)
        return Look(None, table, file_problem=beside if path.exists() else "", table_problem=table_problem)
    file, file_problem = _file(platform, market, asset)
    if platform.phase == "files":
        return Look(file, file_problem=file_problem)
    table, table_problem = _table(platform, market, asset)
    if file is None and not file_problem and table is not None:
        file_problem = f"{path} is gone, the database holds {table.rows} rows"
    if table is None and not table_problem and file is not None:
        table_problem = "the database has no record of it: `itb verify --repair` loads it"
    difference = "" if file is None or table is None else _difference(platform, market, asset, file, table)
    return Look(file, table, file_problem, table_problem, difference)


def mend(platform: Platform, market: Market, asset: str, look: Look) -> str:
    """Make the worse side anew from the better one; return which, or nothing where neither is whole.

    Of two whole ones the later is the better, unless it is a table made of rows that changed since: that
    cannot be read any more. The caller holds the market's lock.
    """
    if platform.phase in ("files", "db") or platform.database is None:
        return ""
    if look.table is not None and not look.table_problem and _table_is_better(look) and _reads(look.table):
        platform.keeper.adopt(market, asset, look.table)
        return f"file made again from the database (version {look.table.manifest.version})"
    if look.file is not None and not look.file_problem:
        platform.keeper.reload_table(market, asset, look.file)
        return f"database loaded again from the file (version {look.file.manifest.version})"
    return ""


def _reads(table: StoredFrame) -> bool:
    try:
        table.read()
    except (DatabaseUnavailable, DatabaseRefused, MarketBusy):
        raise
    except StorageError:
        return False
    return True


def _table_is_better(look: Look) -> bool:
    if look.file is None or look.file_problem or look.table is None:
        return True
    return look.table.manifest.newer_than(look.file.manifest)


def _file(platform: Platform, market: Market, asset: str) -> tuple[StoredFrame | None, str]:
    path = platform.frame_path(market, asset)
    if not path.exists():
        return None, ""
    problems = platform.frames.verify(path)
    return (None, "; ".join(problems)) if problems else (platform.frames.open(path), "")


def _table(platform: Platform, market: Market, asset: str) -> tuple[StoredFrame | None, str]:
    """Return a frame as the database has it once it was read whole, or why it cannot be."""
    if platform.database is None:
        return None, ""
    table = platform.database.find(asset, market)
    if table is None:
        return None, ""
    if _is_current(platform, market, asset, table.manifest):
        try:
            _kept_rows(platform, asset, table)
        except (DatabaseUnavailable, DatabaseRefused, MarketBusy):
            raise
        except StorageError as error:
            return None, str(error)
    return table, ""


def _difference(platform: Platform, market: Market, asset: str, file: StoredFrame, table: StoredFrame) -> str:
    old, new = table.manifest, file.manifest
    if old.sha256 != new.sha256:
        return (
            f"the database holds version {old.version} ({old.rows} rows), "
            f"the file version {new.version} ({new.rows} rows)"
        )
    if not _is_current(platform, market, asset, old):
        return ""  # made of newer rows than the file's: materializing it brings both level
    rows = (to_polars(_kept_rows(platform, asset, frame)) for frame in (table, file))
    differs_from = first_difference(*rows)
    return "" if differs_from is None else f"file and database differ from {differs_from} on"


def _kept_rows(platform: Platform, asset: str, frame: StoredFrame) -> pd.DataFrame:
    """Return the rows that both sides must have: without those that a retention policy may have dropped."""
    days = platform.policies.retention_days
    tables = _TABLES.get(asset, (asset.partition("/")[0],))
    dropped_after = [days[table] for table in tables if table in days]
    if not dropped_after:
        return frame.read()
    return frame.since(pd.Timestamp(platform.clock()) - pd.Timedelta(days=min(dropped_after)))


def _is_current(platform: Platform, market: Market, asset: str, manifest: FrameManifest) -> bool:
    """Tell whether what a frame's rows are made of, and that in turn, is still what it was made from."""
    if platform.database is None:
        return True
    for source in _COMPOSED.get(asset, ()):
        found = platform.database.recorded(source, market)
        if found is None or manifest.sources.get(source) != found.version:
            return False
        if not _is_current(platform, market, source, found):
            return False
    return True
