"""Paper trading: signals and prices in, positions out, by one explicit and cautious rule.

Where targets and limits come from belongs to `resolve`, what the positions are worth to `performance`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb_assets.domain.klines import NS_PER_MS, open_times_ns, utc_times
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.exits import first_hits, take_in_turn
from itb_assets.domain.trading.fills import Positions, position_frame
from itb_assets.domain.trading.grid import Grid, first_at_or_after
from itb_assets.domain.trading.orders import Orders, read_orders
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import Bools, Floats, Ints, is_closed
from itb_assets.errors import DataContractError

_INSIDE_KLINE = ("take_profit", "stop_loss")


@dataclass(frozen=True, eq=False)
class PaperResult:
    """The positions, and what became of every signal on a side that is traded.

    `signals` = positions + `busy` + `without_kline` + `waiting`.
    """

    trades: pd.DataFrame
    signals: int
    busy: int
    """Ignored because as many positions as allowed were held."""
    without_kline: int
    """Ignored because the next kline, at whose open they would be followed, is missing."""
    waiting: int
    """Of the newest kline: the next one is not there yet."""
    contradicting: int
    """Klines with both a buy and a sell signal, which are neither."""


def simulate(
    signals: pd.DataFrame,
    data: pd.DataFrame,
    rule: TradingRule,
    market: Market,
    *,
    since: pd.Timestamp | None = None,
    earlier: pd.DataFrame | None = None,
) -> PaperResult:
    """Follow the signals over the klines; return the positions entered, of all times or from `since` on.

    `signals` holds `timestamp`, `sample` and the columns the rule names; a row without a signal may be
    absent, and a signal of a missing kline counts as none. `data` is a data frame on the full grid. Neither
    is changed.

    A signal of kline t is followed at the open of kline t + 1 or never. From its first kline on, a position
    ends at the first of these: the price touches the stop (filled there, or at an open beyond it); the price
    goes beyond the target (filled at the target, never better); both in one kline, then it is the stop. What
    is left after `time_limit_rows` rows, or has an opposite signal where the rule minds it, leaves at the
    next open there is. A place taken by a position that ends within a kline is free from the next one on;
    one that ends at an open is free at once. What the data do not show the end of is OPEN.

    To go on where an earlier run stopped pass `since` (see `resume_time`) and its trades as `earlier`;
    signals and data then reach back to one kline before `since` at least, and the frames' rows from `since`
    on give, together with the earlier trades before it, exactly what one run over everything gives.

    Raises DataContractError for data off the grid, signals that are not boolean, in sample or at times
    without a row, and earlier trades that were still open at `since`.
    """
    grid = Grid.of(data, market)
    orders = read_orders(signals, grid, rule)
    first = 0 if since is None else -((grid.first_ns - since.value) // grid.step_ns)
    at_row = orders.rows
    new = at_row + 1 >= first
    waits = at_row + 1 >= len(grid)
    followed = np.zeros(len(at_row), dtype=np.bool_)
    followed[~waits] = grid.present[at_row[~waits] + 1]
    possible = _follow(grid, orders.only(new & followed), rule)
    chosen = take_in_turn(
        possible.entry_rows, possible.free_rows, places=rule.max_positions, busy=_busy(grid, since, earlier)
    )
    return PaperResult(
        trades=position_frame(grid, possible.only(chosen), rule, signals),
        signals=int(new.sum()),
        busy=len(possible) - len(chosen),
        without_kline=int((new & ~waits & ~followed).sum()),
        waiting=int((new & waits).sum()),
        contradicting=orders.contradicting,
    )


def resume_time(trades: pd.DataFrame, *, changed_from: pd.Timestamp | None = None) -> pd.Timestamp | None:
    """Return the time to go on from after new klines and signals; None stands for the beginning.

    `changed_from` is the earliest time at which klines or signals were added or altered: then nothing before
    it is in doubt but positions that ended later or are open. Without it, only newer rows may have been
    added to those that gave `trades`: it goes on at the first open position, or else at the last one.
    """
    if not len(trades):
        return changed_from
    doubtful = ~is_closed(trades)
    if changed_from is None:
        doubtful[-1] = True
    else:
        doubtful |= trades["exit_time_ms"].to_numpy() >= changed_from.value // NS_PER_MS
    times = open_times_ns(trades)[doubtful]
    if changed_from is not None:
        times = np.append(times, changed_from.value)
    return utc_times(times.min(keepdims=True))[0]


def _follow(grid: Grid, orders: Orders, rule: TradingRule) -> Positions:
    """Follow every order to its end, as if it were the only one."""
    entries = orders.rows + 1
    slippage = rule.slippage_pct / 100.0
    prices = grid.open[entries] * (1.0 + orders.signs * slippage)
    targets = prices * (1.0 + orders.signs * (rule.take_profit_pct / 100.0))
    stops = prices * (1.0 - orders.signs * (rule.stop_loss_pct / 100.0))
    due = np.minimum(entries + rule.time_limit_rows, len(grid))
    by_signal = np.zeros(len(entries), dtype=np.bool_)
    if rule.exit_on_opposite:
        answers = np.where(
            orders.signs > 0,
            first_at_or_after(orders.sell_rows)[entries],
            first_at_or_after(orders.buy_rows)[entries],
        )
        by_signal = answers + 1 < np.minimum(entries + rule.time_limit_rows, len(grid) + 1)
        due = np.where(by_signal, np.minimum(answers + 1, len(grid)), due)
    hits = _hits(grid, orders, entries, targets, stops, due)
    inside = hits < due
    ends = np.where(inside, hits, first_at_or_after(grid.present)[due])
    return Positions(
        signals=orders.signals,
        signs=orders.signs,
        entry_rows=entries,
        entry_prices=prices,
        targets=targets,
        stops=stops,
        exit_rows=ends,
        inside=inside,
        by_signal=by_signal,
    )


def _hits(grid: Grid, orders: Orders, entries: Ints, targets: Floats, stops: Floats, due: Ints) -> Ints:
    """Return the row of each order's target or stop; short orders are long ones on negated prices."""
    hits = due.copy()
    for sign, ahead, behind in ((1.0, grid.high, grid.low), (-1.0, grid.low, grid.high)):
        mine: Bools = orders.signs == sign
        if mine.any():
            hits[mine] = first_hits(
                np.where(grid.present, sign * ahead, -np.inf),
                np.where(grid.present, sign * behind, np.inf),
                entries=entries[mine],
                targets=sign * targets[mine],
                stops=sign * stops[mine],
                limits=due[mine],
            )
    return hits


def _busy(grid: Grid, since: pd.Timestamp | None, earlier: pd.DataFrame | None) -> list[int]:
    """Return the rows from which the places of earlier positions are free again."""
    if since is None or earlier is None or not len(earlier):
        return []
    kept = earlier[open_times_ns(earlier) < since.value]
    still_open = ~is_closed(kept)
    if still_open.any():
        raise DataContractError(
            f"{grid.market}: {int(still_open.sum())} earlier trades are open, the first entered at "
            f"{kept['timestamp'].iloc[int(still_open.argmax())]}, so nothing can go on at {since}: "
            "go on at the time that resume_time gives"
        )
    ended = kept["exit_time_ms"].to_numpy().astype(np.int64) * NS_PER_MS
    rows = (ended - grid.first_ns) // grid.step_ns + kept["exit_reason"].isin(_INSIDE_KLINE).to_numpy()
    return [int(row) for row in rows[rows * grid.step_ns + grid.first_ns > since.value]]
