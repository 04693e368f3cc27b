"""Recorded archives as a venue, so that the demo exchange can serve real klines without the network.

Reading an archive belongs to `sources.archive`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pandas as pd

from itb_assets.demo.zips import RecordedArchive
from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import InvalidMarket, UnknownSymbol
from itb_assets.sources.archive import read_zip
from itb_assets.sources.archive_index import day_file, month_file, parse_path
from itb_assets.sources.rows import clip, open_times_ms


class RecordedVenue:
    """The markets whose zips lie in a folder laid out as the public archive; read when first asked for."""

    def __init__(self, folder: Path) -> None:
        """List the folder; raise InvalidMarket where it holds no archive."""
        self._archive = RecordedArchive(folder)
        self._paths: dict[Market, list[str]] = {}
        for place in sorted(folder.glob("data/spot/*/klines/*/*/*.zip")):
            path = place.relative_to(folder).as_posix()
            parsed = parse_path(path)
            if parsed and parsed[2] in FREQ_MS:
                self._paths.setdefault(Market(parsed[1], parsed[2]), []).append(path)
        if not self._paths:
            raise InvalidMarket(
                f"{folder} holds no recorded archive: expected "
                "data/spot/monthly/klines/SYMBOL/FREQ/*.zip below it"
            )
        self._lock = threading.Lock()
        self._frames: dict[Market, pd.DataFrame] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols recorded."""
        return tuple(sorted({market.symbol for market in self._paths}))

    def klines(self, market: Market, start_ms: int, end_ms: int, *, now_ms: int) -> pd.DataFrame:
        """Return recorded klines; what is recorded is finished, so there is no unfinished candle."""
        if market not in self._paths:
            return empty_klines()
        return clip(self._all(market), start_ms, min(end_ms, now_ms - market.freq_ms + 1))

    def first_open_ms(self, market: Market) -> int:
        """Return the open time of the first kline recorded."""
        if market not in self._paths:
            raise UnknownSymbol(
                f"{market} is not recorded: there are {', '.join(map(str, sorted(self._paths)))}"
            )
        return int(open_times_ms(self._all(market))[0])

    def _all(self, market: Market) -> pd.DataFrame:
        with self._lock:
            if market not in self._frames:
                frames = [self._read(market, path) for path in self._paths[market]]
                whole = pd.concat(frames).drop_duplicates("timestamp").sort_values("timestamp")
                self._frames[market] = whole.reset_index(drop=True)
            return self._frames[market]

    def _read(self, market: Market, path: str) -> pd.DataFrame:
        parsed = parse_path(path)
        content = self._archive.content(path)
        if parsed is None or content is None:
            return empty_klines()
        date = parsed[3] if parsed[0] == "daily" else f"{parsed[3]}-01"
        at_ms = int(np.datetime64(date, "ms").astype(np.int64))
        file = day_file(market, at_ms) if parsed[0] == "daily" else month_file(market, at_ms)
        return read_zip(content, file)
