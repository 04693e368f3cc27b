"""The prices a simulation runs on: a data frame seen as arrays over the rows of its grid.

What happens on those rows belongs to `paper` and `performance`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb_assets.domain.klines import NS_PER_MS, open_times_ns, utc_times
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.trades import Bools, Floats, Ints
from itb_assets.errors import DataContractError

_PRICES = ("open", "high", "low", "close")
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Grid:
    """Prices of every row from the first kline to the last; all four are NaN where a kline is missing."""

    market: Market
    first_ns: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    present: Bools

    @classmethod
    def of(cls, data: pd.DataFrame, market: Market) -> Grid:
        """Take the prices of a data frame; raise DataContractError unless it lies on the market's grid."""
        absent = [name for name in ("timestamp", *_PRICES) if name not in data.columns]
        if absent:
            raise DataContractError(
                f"{market}: data lack the columns {absent}, found {list(map(str, data.columns))}: "
                "expected a data frame with timestamp, open, high, low and close"
            )
        times = open_times_ns(data)
        step = market.freq_ms * NS_PER_MS
        broken = np.flatnonzero(np.diff(times) != step)
        if len(broken) or (len(times) and times[0] % step):
            where = int(broken[0]) + 1 if len(broken) else 0
            raise DataContractError(
                f"{market}: data are not on the full grid, first at {data['timestamp'].iloc[where]}: "
                f"expected one row every {market.freq}, missing klines included: "
                "pass the klines through to_grid first"
            )
        prices = [data[name].to_numpy(dtype=np.float64) for name in _PRICES]
        known = [~np.isnan(price) for price in prices]
        torn = np.flatnonzero(np.any([one != known[0] for one in known[1:]], axis=0))
        if len(torn):
            raise DataContractError(
                f"{market}: {len(torn)} klines have some prices and lack others, first at "
                f"{data['timestamp'].iloc[int(torn[0])]}: expected all four, or none where a kline is missing"
            )
        opened, high, low, close = prices
        first = int(times[0]) if len(times) else 0
        return cls(market, first, opened, high, low, close, present=known[0])

    def __len__(self) -> int:
        """Count the rows, missing klines included."""
        return len(self.open)

    @property
    def step_ns(self) -> int:
        """Nanoseconds from one row to the next."""
        return self.market.freq_ms * NS_PER_MS

    def times_ns(self, rows: Ints) -> Ints:
        """Return the open times of rows."""
        return rows * self.step_ns + self.first_ns

    def rows_of(self, times: pd.Series, what: str) -> Ints:
        """Return the rows of sorted, unique times; raise DataContractError where one is not on the grid."""
        found = times.to_numpy(dtype="datetime64[ns]").view(np.int64)
        offsets = found - self.first_ns
        rows: Ints = offsets // self.step_ns
        if times.hasnans or not (np.diff(found) > 0).all():
            raise DataContractError(
                f"{self.market}: {what} are not strictly increasing in time: sort them, drop duplicates"
            )
        outside = (rows * self.step_ns != offsets) | (rows < 0) | (rows >= len(self))
        if outside.any():
            first = ", ".join(str(time) for time in utc_times(found[outside][:_SHOWN]))
            raise DataContractError(
                f"{self.market}: {int(outside.sum())} {what} are at times that the data have no row for, "
                f"such as {first}: expected times of {self._span()}"
            )
        return rows

    def _span(self) -> str:
        if not len(self):
            return "no kline at all"
        first, last = utc_times(self.times_ns(np.array([0, len(self) - 1])))
        return f"the grid from {first} to {last}"


def first_at_or_after(marked: Bools) -> Ints:
    """Return for each row, and for the one after the last, the first marked row from it on.

    Where there is none it is the number of rows.

    >>> first_at_or_after(np.array([False, True, False])).tolist()
    [1, 1, 3, 3]
    """
    rows = len(marked)
    places = np.full(rows + 1, rows, dtype=np.int64)
    places[:rows][marked] = np.flatnonzero(marked)
    found: Ints = np.minimum.accumulate(places[::-1])[::-1]
    return found
