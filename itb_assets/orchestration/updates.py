"""How much of a dataset has to be computed again, and the result handed to the IO manager.

The arithmetic of reach (lookback, horizon) belongs to the assets that know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.storage.files.frames import StoredFrame
from itb_assets.storage.files.manifest import EVERYTHING
from itb_assets.storage.tables.database import SqlStore


@dataclass(frozen=True)
class FrameUpdate:
    """Rows that replace everything stored from `from_time` on; `from_time` None replaces the whole dataset.

    `digest` names the definition that made the rows, `sources` the version of each dataset they were
    made from. `frame` None means that nothing changed upstream and nothing is to be written. `base` is the
    version that was stored when the computation began, None for none: what is written onto another version
    would undo somebody else's work. `commit` writes to the database what no table of frames keeps, before
    the rows take their place: done twice it must be as done once.
    """

    frame: pd.DataFrame | None
    digest: str
    sources: Mapping[str, int]
    from_time: pd.Timestamp | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    base: int | None = None
    commit: Callable[[SqlStore], object] | None = None

    @property
    def rows(self) -> int:
        """Rows computed."""
        return 0 if self.frame is None else len(self.frame)


@dataclass(frozen=True)
class Work:
    """What an asset has to do: nothing, everything, or the rows from a time on."""

    nothing: bool = False
    from_time: pd.Timestamp | None = None


def pending_work(previous: StoredFrame | None, *, digest: str, sources: Mapping[str, StoredFrame]) -> Work:
    """Compare what is stored with what it was made from.

    Returns the earliest time at which any source changed since it was last consumed.
    """
    if previous is None or previous.manifest.digest != digest:
        return Work()
    changes = []
    for name, source in sources.items():
        consumed = previous.manifest.sources.get(name)
        changed = EVERYTHING if consumed is None else source.manifest.changed_since(consumed)
        if changed == EVERYTHING:
            return Work()
        if changed is not None:
            changes.append(changed)
    return Work(from_time=min(changes)) if changes else Work(nothing=True)


def versions(sources: Mapping[str, StoredFrame]) -> dict[str, int]:
    """Return the version of each source, as it is recorded with what is made from it."""
    return {name: source.manifest.version for name, source in sources.items()}


def rows_before(market: Market, time: pd.Timestamp, rows: int) -> pd.Timestamp:
    """Return the open time `rows` klines before `time`."""
    return time - rows * market.freq_delta
