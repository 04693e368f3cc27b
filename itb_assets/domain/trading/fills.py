"""What positions are filled at, what they cost and what they earn; the frame they become.

When positions begin and end belongs to `paper`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from itb_assets.domain.klines import NS_PER_MS, utc_times
from itb_assets.domain.trading.grid import Grid
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import TRADE_COLUMNS, Bools, Floats, Ints, Texts, trade_ids


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions as arrays, ascending by entry; an exit row beyond the grid is not there yet.

    `inside`: ends within the exit row, at target or stop; otherwise at its open, `by_signal` or by time.
    """

    signals: Ints
    signs: Floats
    entry_rows: Ints
    entry_prices: Floats
    targets: Floats
    stops: Floats
    exit_rows: Ints
    inside: Bools
    by_signal: Bools

    def __len__(self) -> int:
        """Count the positions."""
        return len(self.signals)

    @property
    def free_rows(self) -> Ints:
        """First row at whose open another position may take the place of each."""
        return self.exit_rows + self.inside

    def only(self, chosen: Ints) -> Positions:
        """Return some of the positions."""
        return Positions(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def position_frame(
    grid: Grid, positions: Positions, rule: TradingRule, signals: pd.DataFrame
) -> pd.DataFrame:
    """Return the trades frame of the positions; slippage counts against all fills but the target's."""
    exits, stopped = _exit_prices(grid, positions, rule)
    closed = positions.exit_rows < len(grid)
    fee = rule.fee_pct / 100.0
    quantity = rule.notional / positions.entry_prices
    # + 0.0: a nothing has no sign, which exact money could not keep
    gross = positions.signs * quantity * (exits - positions.entry_prices) + 0.0
    fees = fee * rule.notional + np.where(closed, fee * (quantity * exits), 0.0)
    pnl = gross - fees
    entry_ns = grid.times_ns(positions.entry_rows)
    exit_ms = (grid.times_ns(positions.exit_rows) // NS_PER_MS).astype(np.float64)
    score = np.full(len(positions), np.nan)
    if rule.score is not None:
        score = signals[rule.score].to_numpy(dtype=np.float64)[positions.signals]
    columns = {
        "timestamp": utc_times(entry_ns),
        "trade_id": trade_ids(entry_ns),
        "side": _either(positions.signs > 0, "BUY", "SELL"),
        "status": _either(closed, "CLOSED", "OPEN"),
        "entry_price": positions.entry_prices,
        "quantity": quantity,
        "take_profit": positions.targets,
        "stop_loss": positions.stops,
        "signal_strength": score,
        "exit_time_ms": np.where(closed, exit_ms, np.nan),
        "exit_price": exits,
        "exit_reason": _reasons(positions, stopped, closed),
        "fees": fees,
        "gross_pnl": gross,
        "pnl": pnl,
        "return_pct": pnl / rule.notional * 100.0,
        "sample": signals["sample"].to_numpy(dtype=object)[positions.signals],
    }
    return pd.DataFrame({name: columns[name] for name in TRADE_COLUMNS}, copy=False)


def _exit_prices(grid: Grid, positions: Positions, rule: TradingRule) -> tuple[Floats, Bools]:
    """Return what each position is closed at, NaN while open, and which of them were stopped."""
    long = positions.signs > 0
    last = max(len(grid) - 1, 0)
    rows = np.minimum(positions.exit_rows, last)
    opened, stops = grid.open[rows], positions.stops
    touched = np.where(long, grid.low[rows] <= stops, grid.high[rows] >= stops)
    stopped: Bools = positions.inside & touched
    at_stop = np.where(long, np.minimum(opened, stops), np.maximum(opened, stops))
    at_market = np.where(stopped, at_stop, opened) * (1.0 - positions.signs * (rule.slippage_pct / 100.0))
    prices = np.where(positions.inside & ~stopped, positions.targets, at_market)
    prices[positions.exit_rows > last] = np.nan
    return prices, stopped


def _reasons(positions: Positions, stopped: Bools, closed: Bools) -> Texts:
    numbers = np.select([~closed, stopped, positions.inside, positions.by_signal], [0, 1, 2, 3], default=4)
    names = np.array([None, "stop_loss", "take_profit", "opposite_signal", "time_limit"], dtype=object)
    reasons: Texts = names[numbers]
    return reasons


def _either(which: Bools, yes: str, no: str) -> Texts:
    texts: Texts = np.array([no, yes], dtype=object)[which.astype(np.int64)]
    return texts
