"""How likely luck alone earns as much: the same signals, shifted in a circle against the prices.

The test itself belongs to `evaluation.luck`; here it is told what shifted signals would have earned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.luck import ShiftTest, permutation_test
from itb_assets.domain.klines import NS_PER_MS, utc_times
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.domain.samples import require_one_sample
from itb_assets.domain.trading.exits import take_in_turn
from itb_assets.domain.trading.grid import Grid
from itb_assets.domain.trading.orders import read_orders
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import Bools, Floats, Ints, is_closed

SHIFTS = 1000
_INSIDE_KLINE = ("take_profit", "stop_loss")


def min_shift(rows: int, market: Market, horizon_rows: int) -> int:
    """Return the smallest shift of `rows`: a day and twice the horizon, at most a quarter of the rows.

    0 stands for rows that are too few to shift.

    >>> min_shift(16_128, Market("BTCUSDT", "5m"), 9), min_shift(200, Market("BTCUSDT", "5m"), 9)
    (288, 50)
    """
    return min(max(DAY_MS // market.freq_ms, 2 * horizon_rows), rows // 4)


def luck_of_signals(
    signals: pd.DataFrame,
    data: pd.DataFrame,
    rule: TradingRule,
    market: Market,
    *,
    shifts: int = SHIFTS,
    seed: int = 0,
) -> ShiftTest | None:
    """Compare the mean result of a trade after fees with that of the signals at other times.

    `signals` are of one sample, `data` the full grid from the first of them to the last exit. Shifts are of
    a day or twice a position's time limit at least. None where there is no signal, or too few rows. Positions
    that the rule would end at an opposite signal end by target, stop or time on both sides. Raises
    DataContractError where samples are mixed or in sample.
    """
    require_one_sample(signals["sample"])
    own = replace(rule, exit_on_opposite=False)
    grid = Grid.of(data, market)
    orders = read_orders(signals, grid, own)
    places = grid.rows_of(signals["timestamp"], "signals")
    first, rows = (int(places[0]), int(places[-1] - places[0]) + 1) if len(places) else (0, 0)
    min_shift = max(DAY_MS // market.freq_ms, 2 * rule.time_limit_rows)
    if rows < 2 * min_shift + 2 or not len(orders.rows):
        return None
    asked = np.zeros(rows)
    asked[orders.rows - first] = orders.signs
    earned = _earner(asked, grid, data, own, first)
    return permutation_test(earned, rows, shifts=shifts, min_shift=min_shift, seed=seed)


def _earner(
    asked: Floats, grid: Grid, data: pd.DataFrame, rule: TradingRule, first: int
) -> Callable[[int], float | None]:
    """Return what tells the result of signals shifted by some rows: all ends are known before any shift."""
    long = _ends(grid, data, rule, "long", first, len(asked)) if rule.trades_long else None
    short = _ends(grid, data, rule, "short", first, len(asked)) if rule.trades_short else None

    def earned(shift: int) -> float | None:
        signs = np.roll(asked, shift)
        pnl, free = np.zeros(len(signs)), np.zeros(len(signs), dtype=np.int64)
        followed = np.zeros(len(signs), dtype=np.bool_)
        for sign, ends in ((1.0, long), (-1.0, short)):
            if ends is not None:
                mine = signs == sign
                known, gains, places = ends
                pnl[mine], free[mine], followed[mine] = gains[mine], places[mine], known[mine]
        rows = np.flatnonzero(followed)
        taken = take_in_turn(rows + first + 1, free[rows], places=rule.max_positions)
        return float(pnl[rows[taken]].mean()) if len(taken) else None

    return earned


def _ends(
    grid: Grid, data: pd.DataFrame, rule: TradingRule, side: Literal["long", "short"], first: int, rows: int
) -> tuple[Bools, Floats, Ints]:
    """Follow a signal of every row as if it were the only one: which can be, what each earns, until when.

    What is still open at the end is none of them.
    """
    everywhere = pd.DataFrame(
        {
            "timestamp": utc_times(grid.times_ns(np.arange(first, first + rows))),
            "sample": np.full(rows, "out_of_sample", dtype=object),
            "this": np.ones(rows, dtype=np.bool_),
            "other": np.zeros(rows, dtype=np.bool_),
        }
    )
    buy, sell = ("this", "other") if side == "long" else ("other", "this")
    alone = replace(rule, direction=side, buy=buy, sell=sell, score=None, max_positions=rows + 1)
    trades = simulate(everywhere, data, alone, grid.market).trades
    trades = trades[is_closed(trades)]
    at = grid.rows_of(trades["timestamp"], "trades") - 1 - first
    left_ns = trades["exit_time_ms"].to_numpy().astype(np.int64) * NS_PER_MS
    inside = trades["exit_reason"].isin(_INSIDE_KLINE).to_numpy()
    known = np.zeros(rows, dtype=np.bool_)
    gains, free = np.zeros(rows), np.zeros(rows, dtype=np.int64)
    known[at], gains[at] = True, trades["pnl"].to_numpy()
    free[at] = (left_ns - grid.first_ns) // grid.step_ns + inside
    return known, gains, free
