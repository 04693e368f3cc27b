"""What positions earned by day, by hour and kline by kline.

Statistics of these numbers, and intervals around them, belong to `evaluation`; pictures to the plots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.evaluation.returns import drawdown_curve
from itb_assets.domain.klines import NS_PER_MS, open_times_ns, utc_times
from itb_assets.domain.markets import DAY_MS, HOUR_MS, Market
from itb_assets.domain.samples import MeasurableSample, require_one_sample
from itb_assets.domain.trading.grid import Grid
from itb_assets.domain.trading.trades import Floats, Ints, is_closed
from itb_assets.errors import DataContractError

DAILY_COLUMNS = (
    *("timestamp", "sample", "total_trades", "win_rate", "total_pnl", "avg_pnl", "max_win", "max_loss"),
)
"""Columns of the days of both samples."""

_HOURS = 24


def daily_performance(trades: pd.DataFrame, market: Market, *, model_name: str) -> pd.DataFrame:
    """Return one row a day (UTC, by entry) on which a position was entered that has ended.

    Columns `day` (its first instant), `symbol`, `freq`, `model_name`, `total_trades`, `win_rate` (the
    fraction with a profit after fees), `total_pnl`, `avg_pnl`, `max_win` and `max_loss` in quote currency;
    the last two are the best and the worst result: `max_win` is a loss on a day without a profit. Raises
    DataContractError where samples are mixed or in sample.
    """
    closed = _closed(trades)
    days = open_times_ns(closed) // (DAY_MS * NS_PER_MS)
    starts = np.flatnonzero(np.diff(days, prepend=-1))
    pnl = closed["pnl"].to_numpy()
    count = np.diff(starts, append=len(closed))
    total = np.add.reduceat(pnl, starts) if len(pnl) else pnl
    best = np.maximum.reduceat(pnl, starts) if len(pnl) else pnl
    worst = np.minimum.reduceat(pnl, starts) if len(pnl) else pnl
    wins = np.add.reduceat((pnl > 0).astype(np.int64), starts) if len(pnl) else count
    names = {"symbol": market.symbol, "freq": market.freq, "model_name": model_name}
    return pd.DataFrame(
        {
            "day": utc_times(days[starts] * (DAY_MS * NS_PER_MS)),
            **{name: np.full(len(starts), text, dtype=object) for name, text in names.items()},
            "total_trades": count.astype(np.int64),
            "win_rate": wins / count,
            "total_pnl": total,
            "avg_pnl": total / count,
            "max_win": best,
            "max_loss": worst,
        }
    )


def daily_by_sample(trades: pd.DataFrame, market: Market, *, model_name: str) -> pd.DataFrame:
    """Return the days of each sample beside each other: `timestamp`, `sample` and the numbers of a day.

    Each row is of one sample alone, as `daily_performance` gives it. `timestamp` is the day's first instant;
    on a day with trades of both samples, the row of that which came second has the time of its first trade,
    so that rows stay unique. Raises DataContractError for trades in sample.
    """
    other = trades[~trades["sample"].isin(get_args(MeasurableSample))]
    if len(other):
        require_one_sample(other["sample"])
    parts = []
    for sample in get_args(MeasurableSample):
        rows = trades[trades["sample"] == sample]
        daily = daily_performance(rows, market, model_name=model_name)
        times = open_times_ns(rows[is_closed(rows)])
        firsts = times[np.flatnonzero(np.diff(times // (DAY_MS * NS_PER_MS), prepend=-1))]
        parts.append(daily.assign(first=utc_times(firsts), sample=np.full(len(daily), sample, dtype=object)))
    rows = pd.concat(parts, ignore_index=True).sort_values("first", ignore_index=True)
    second = rows["day"].duplicated()
    rows["timestamp"] = rows["day"].where(~second, rows["first"])
    return rows[list(DAILY_COLUMNS)]


@dataclass(frozen=True)
class SampleTotals:
    """What the days of one sample add up to, with Wilson's 95 % bounds of the win rate; money as there."""

    sample: str
    days: int
    trades: int
    wins: int
    wilson_low: float
    wilson_high: float
    total_pnl: float

    @property
    def win_rate(self) -> float:
        """Fraction of the trades with a profit after fees."""
        return self.wins / self.trades


def totals_by_sample(days: pd.DataFrame) -> tuple[SampleTotals, ...]:
    """Add up the days of each sample, as `daily_by_sample` gives them, in the order samples appear."""
    found = []
    for sample, own in days.groupby("sample", sort=False):
        trades = int(own["total_trades"].sum())
        wins = int((own["win_rate"] * own["total_trades"]).round().sum())
        total = float(own["total_pnl"].sum())
        found.append(SampleTotals(str(sample), len(own), trades, wins, *wilson(wins, trades), total))
    return tuple(found)


def by_hour(trades: pd.DataFrame) -> pd.DataFrame:
    """Return for each hour of entry, 0 to 23 UTC: `hour`, `trades`, `wins`, `win_rate` and `total_pnl`.

    Positions that have ended are counted. `win_rate` is a fraction, NaN in an hour without trades. Raises
    DataContractError where samples are mixed or in sample.
    """
    closed = _closed(trades)
    hours = open_times_ns(closed) // (HOUR_MS * NS_PER_MS) % _HOURS
    pnl = closed["pnl"].to_numpy()
    count = np.bincount(hours, minlength=_HOURS).astype(np.int64)
    wins = np.bincount(hours[pnl > 0], minlength=_HOURS).astype(np.int64)
    return pd.DataFrame(
        {
            "hour": np.arange(_HOURS, dtype=np.int64),
            "trades": count,
            "wins": wins,
            "win_rate": np.divide(wins, count, out=np.full(_HOURS, np.nan), where=count > 0),
            "total_pnl": np.bincount(hours, weights=pnl, minlength=_HOURS),
        }
    )


def equity_curve(trades: pd.DataFrame, data: pd.DataFrame, market: Market, *, capital: float) -> pd.DataFrame:
    """Return what an account of `capital` is worth at the close of every row of the grid.

    Columns `timestamp`, `equity` in quote currency, and `drawdown`: the distance from the highest equity so
    far, the capital included, as a fraction of it, 0 or less. Held positions count at the close, the entry's
    fee paid; in a gap at the last close before it. Raises DataContractError where samples are mixed or in
    sample, and where the data do not reach from the first entry to the last exit.
    """
    if not (math.isfinite(capital) and capital > 0):
        raise DataContractError(f"capital {capital}: expected an amount above 0")
    require_one_sample(trades["sample"])
    grid = Grid.of(data, market)
    entries, exits = _spans(trades, grid)
    closed = is_closed(trades)
    realised = np.bincount(exits[closed], weights=trades["pnl"].to_numpy()[closed], minlength=len(grid))
    equity: Floats = capital + np.cumsum(realised) + _unrealised(trades, grid, entries, exits)
    return pd.DataFrame(
        {
            "timestamp": utc_times(grid.times_ns(np.arange(len(grid)))),
            "equity": equity,
            "drawdown": drawdown_curve(np.concatenate(([capital], equity)))[1:],
        }
    )


def bar_returns(curve: pd.DataFrame, *, capital: float) -> Floats:
    """Return the gain of each row of an equity curve as a fraction of the capital it began with.

    Positions have a fixed size, so gains add up and do not compound: an account that is lost, or owes, still
    has returns.
    """
    return np.diff(curve["equity"].to_numpy(), prepend=capital) / capital


def exposure(trades: pd.DataFrame, data: pd.DataFrame, market: Market) -> float | None:
    """Return the fraction of the grid's rows in which a position was held; None of no rows."""
    grid = Grid.of(data, market)
    entries, exits = _spans(trades, grid)
    inside = trades["exit_reason"].isin(("take_profit", "stop_loss")).to_numpy()
    rows, _ = _held_rows(entries, exits + inside)
    held = np.zeros(len(grid), dtype=np.bool_)
    held[rows] = True
    return float(held.mean()) if len(grid) else None


def traded_notional(trades: pd.DataFrame) -> Floats:
    """Return what each position bought and sold together, in quote currency; NaN while open."""
    both: Floats = (trades["entry_price"] + trades["exit_price"]).to_numpy()
    return trades["quantity"].to_numpy() * both


def _closed(trades: pd.DataFrame) -> pd.DataFrame:
    require_one_sample(trades["sample"])
    return trades[is_closed(trades)]


def _spans(trades: pd.DataFrame, grid: Grid) -> tuple[Ints, Ints]:
    """Return the rows of entry and of exit, the latter beyond the grid while open."""
    entries = grid.rows_of(trades["timestamp"], "trades")
    closed = is_closed(trades)
    exits = np.full(len(trades), len(grid), dtype=np.int64)
    ended = trades["exit_time_ms"].to_numpy()[closed].astype(np.int64) * NS_PER_MS
    exits[closed] = (ended - grid.first_ns) // grid.step_ns
    late = closed & (exits >= len(grid))
    if late.any():
        raise DataContractError(
            f"{grid.market}: {int(late.sum())} trades end after the last kline, the first entered at "
            f"{trades['timestamp'].iloc[int(late.argmax())]}: pass the data the trades were made on"
        )
    return entries, exits


def _held_rows(entries: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Return every row of every span [entry, end), and which span each belongs to."""
    lengths = ends - entries
    owners = np.repeat(np.arange(len(entries)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(owners)) + (entries - before)[owners], owners


def _unrealised(trades: pd.DataFrame, grid: Grid, entries: Ints, exits: Ints) -> Floats:
    """Return what the positions held at each row's close have gained, less the fee of their entry.

    The fee is the same percentage of either side, so the entry's part is known from the prices.
    """
    prices, ended_at = trades["entry_price"].to_numpy(), trades["exit_price"].to_numpy()
    share = np.where(is_closed(trades), prices / (prices + ended_at), 1.0)
    paid = trades["fees"].to_numpy() * share
    size = np.where(trades["side"].to_numpy(object) == "BUY", 1.0, -1.0) * trades["quantity"].to_numpy()
    rows, owners = _held_rows(entries, exits)
    latest = np.maximum.accumulate(np.where(grid.present, np.arange(len(grid)), 0))
    gains = size[owners] * (grid.close[latest[rows]] - prices[owners]) - paid[owners]
    total: Floats = np.bincount(rows, weights=gains, minlength=len(grid)).astype(np.float64, copy=False)
    return total
