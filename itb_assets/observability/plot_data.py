"""What plots show, worked out as plain arrays: fewer points, runs of signals, bins of a calibration.

Drawing belongs to `plots`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from itb_assets.domain.evaluation.intervals import wilson_bounds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Positions = NDArray[np.intp]

MAX_POINTS = 2_000
_FEW_VALUES = 200
_HISTOGRAM_BARS = 40


def finite(values: pd.Series) -> Floats:
    """Return values as floats; what is unknown, infinite or no number is NaN."""
    array = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(array), array, np.nan)


def keep_extremes(values: Floats, max_points: int = MAX_POINTS) -> Positions:
    """Return at most `max_points` positions: first, last, and the lowest and highest of each stretch.

    One position of a stretch that is wholly unknown is kept, so that a long gap stays a gap.
    """
    rows = len(values)
    if rows <= max_points:
        return np.arange(rows)
    width = -(-rows // (max_points // 2 - 1))
    unknown = np.isnan(values)
    kept = [np.array([0, rows - 1])]
    for filler, seek in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        filled = np.full(-(-rows // width) * width, filler)
        filled[:rows] = np.where(unknown, filler, values)
        kept.append(seek(filled.reshape(-1, width), axis=1) + np.arange(0, len(filled), width))
    return np.unique(np.concatenate(kept))


def run_starts(flags: Bools) -> Positions:
    """Return the first position of each run of True."""
    before = np.concatenate(([False], flags[:-1]))
    return np.flatnonzero(flags & ~before)


@dataclass(frozen=True)
class Calibration:
    """Observed against predicted, in bins of equal count; bounds are Wilson's at 95 %."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]


def calibrate(scores: Floats, outcomes: Bools, bins: int) -> Calibration:
    """Sort by score and cut into at most `bins` groups of equal count; equal scores stay in one group."""
    order = np.argsort(scores, kind="stable")
    scores, hits = scores[order], outcomes[order].astype(np.float64)
    cuts = np.linspace(0, len(scores), min(bins, len(scores)) + 1).astype(np.intp)[:-1]
    starts = np.unique(np.searchsorted(scores, scores[cuts], side="left"))
    counts = np.diff(np.append(starts, len(scores)))
    predicted = np.add.reduceat(scores, starts) / counts
    came_true = np.add.reduceat(hits, starts)
    low, high = wilson_bounds(came_true, counts)
    return Calibration(predicted, came_true / counts, low, high, counts)


def drawdown_pct(equity: Floats) -> Floats:
    """Return how far each value stands under the highest so far, in per cent: zero or below.

    Unknown where the value is, and where nothing above zero was reached yet.

    >>> drawdown_pct(np.array([100.0, 120.0, 90.0, np.nan, 120.0])).tolist()
    [0.0, 0.0, -25.0, nan, 0.0]
    """
    peak: Floats = np.fmax.accumulate(equity)
    share: Floats = np.divide(equity - peak, peak, out=np.full(len(equity), np.nan), where=peak > 0)
    return share * 100


def drawdown_of(frame: pd.DataFrame, capital: float = math.nan) -> Floats:
    """Return an equity curve's drawdown in per cent: its own `drawdown` (a share), or as its equity says.

    The account began with `capital`, where that is known.
    """
    if "drawdown" in frame:
        return finite(frame["drawdown"]) * 100
    return drawdown_pct(np.append(capital, finite(frame["equity"])))[1:]


@dataclass(frozen=True)
class PooledDays:
    """Profit and loss of periods of equal length; `starts` holds the first day of each, in order."""

    starts: pd.DatetimeIndex
    pnl: Floats
    days_a_bar: int


def pool_days(days: pd.Series, pnl: pd.Series, most: int) -> PooledDays:
    """Sum profit and loss by day, or by as many days as it takes to have at most `most` periods.

    Unknown times and amounts are left out; a period without any row is absent.
    """
    frame = pd.DataFrame(
        {
            "day": pd.DatetimeIndex(pd.to_datetime(days, utc=True)).floor("D"),
            "pnl": finite(pnl),
        }
    )
    frame = frame[frame["day"].notna() & frame["pnl"].notna()]
    if frame.empty:
        return PooledDays(pd.DatetimeIndex([], tz="UTC"), np.empty(0), 1)
    first = frame["day"].min()
    since = (frame["day"] - first).dt.days
    width = int(since.max()) // most + 1
    total = frame["pnl"].groupby(since // width).sum()
    starts = first + pd.to_timedelta(total.index.to_numpy() * width, unit="D")
    return PooledDays(pd.DatetimeIndex(starts), total.to_numpy(), width)


@dataclass(frozen=True)
class HoursOfDay:
    """Hours that had trades, in order; rates are shares of 1, bounds Wilson's at 95 %."""

    hour: NDArray[np.int64]
    trades: NDArray[np.int64]
    win_rate: Floats
    low: Floats
    high: Floats

    @property
    def overall(self) -> float:
        """Share of all trades that was won."""
        return float((self.win_rate * self.trades).sum() / self.trades.sum())


def by_hour_of_day(frame: pd.DataFrame) -> HoursOfDay:
    """Read `hour`, `trades` and `win_rate`; hours without trades are left out."""
    known = frame[(frame["trades"].fillna(0) > 0) & frame["win_rate"].notna()].sort_values("hour")
    trades, share = known["trades"].to_numpy(dtype=np.int64), known["win_rate"].to_numpy(dtype=np.float64)
    low, high = wilson_bounds(np.rint(share * trades), trades)
    return HoursOfDay(known["hour"].to_numpy(dtype=np.int64), trades, share, low, high)


def histogram_around_zero(values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Count values in bars of equal width, one edge at zero, so that no bar holds gains and losses.

    Of many values the outermost 0.5 % on either side do not widen the bars, and may lie beyond them.
    """
    cut = 0.5 if len(values) > _FEW_VALUES else 0.0
    low, high = np.percentile(values, [cut, 100 - cut])
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    width = (high - low) / min(_HISTOGRAM_BARS, 8 + len(values)) or 0.1
    first, last = math.floor(low / width), math.floor(high / width) + 1
    edges = np.arange(first, last + 1, dtype=np.float64) * width
    edges[0] = min(edges[0], low)  # rounding must not leave the lowest outside
    return np.histogram(values, edges)[0].astype(np.int64), edges


def shared_start(names: Sequence[str]) -> str:
    """Return what all of several names begin with, up to the last space or slash in it.

    >>> shared_start(["BTCUSDT 5m/lgbm/high", "BTCUSDT 5m/logreg/high"])
    'BTCUSDT 5m/'
    """
    if len(names) <= 1:
        return ""
    start = os.path.commonprefix([str(name) for name in names])  # noqa: RUF071  letters are meant
    return start[: max(start.rfind(" "), start.rfind("/")) + 1]
