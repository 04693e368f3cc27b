"""Signals as orders on the rows of a grid: which side each asks for, and which of them count.

What becomes of an order belongs to `paper`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd

from itb_assets.domain.samples import MeasurableSample
from itb_assets.domain.trading.grid import Grid
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import Bools, Floats, Ints
from itb_assets.errors import DataContractError


@dataclass(frozen=True, eq=False)
class Orders:
    """Signals on sides that are traded, ascending by the row of their kline.

    `signals` is each order's row in the signals frame and `signs` its side, 1 for long and -1 for short.
    `buy_rows` and `sell_rows` mark, over the whole grid, the signals of either side, traded or not.
    """

    rows: Ints
    signals: Ints
    signs: Floats
    buy_rows: Bools
    sell_rows: Bools
    contradicting: int

    def only(self, kept: Bools) -> Orders:
        """Return some of the orders."""
        return replace(self, rows=self.rows[kept], signals=self.signals[kept], signs=self.signs[kept])


def read_orders(signals: pd.DataFrame, grid: Grid, rule: TradingRule) -> Orders:
    """Read the rule's columns; raise DataContractError where they are absent, not boolean or in sample."""
    names = [name for name in (rule.buy, rule.sell, rule.score) if name is not None]
    absent = [name for name in ("timestamp", "sample", *names) if name not in signals.columns]
    if absent:
        raise DataContractError(
            f"{grid.market}: signals lack the columns {absent}, found {list(map(str, signals.columns))}: "
            "materialize the signals again, or correct buy, sell and score in paper_trading"
        )
    _require_measurable(signals["sample"], grid)
    rows = grid.rows_of(signals["timestamp"], "signals")
    known = grid.present[rows]
    buy = _flags(signals, rule.buy, grid) & known
    sell = _flags(signals, rule.sell, grid) & known
    both = buy & sell
    buy &= ~both
    sell &= ~both
    traded = np.flatnonzero((buy & rule.trades_long) | (sell & rule.trades_short))
    return Orders(
        rows=rows[traded],
        signals=traded,
        signs=np.where(buy[traded], 1.0, -1.0),
        buy_rows=_over_grid(grid, rows[buy]),
        sell_rows=_over_grid(grid, rows[sell]),
        contradicting=int(both.sum()),
    )


def _flags(signals: pd.DataFrame, name: str | None, grid: Grid) -> Bools:
    """Return a boolean column, unknown as False; a side without a column has no signals."""
    if name is None:
        return np.zeros(len(signals), dtype=np.bool_)
    column = signals[name]
    if str(column.dtype) not in ("bool", "boolean"):
        raise DataContractError(
            f"{grid.market}: the signal {name} is {column.dtype}, expected a boolean column: "
            "name a column that buys or sells in paper_trading"
        )
    return column.to_numpy(dtype=np.bool_, na_value=False)


def _require_measurable(samples: pd.Series, grid: Grid) -> None:
    """Refuse rows a model was trained on; out_of_sample and live rows may stand beside each other here."""
    refused = [str(name) for name in samples.unique() if name not in get_args(MeasurableSample)]
    if refused:
        raise DataContractError(
            f"{grid.market}: signals of the samples {refused} cannot be traded: expected "
            f"{' or '.join(get_args(MeasurableSample))}; nothing is earned on rows a model was trained on"
        )


def _over_grid(grid: Grid, rows: Ints) -> Bools:
    marked = np.zeros(len(grid), dtype=np.bool_)
    marked[rows] = True
    return marked
