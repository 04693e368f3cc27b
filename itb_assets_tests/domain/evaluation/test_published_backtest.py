"""The statistics of a published backtest, from its own trades and equity: GOOG, crossing averages.

The expected numbers are those of `test_compute_stats` of backtesting.py, which also stand on its website:
averages of 10 and 30 days, long and short, 10,000 of cash, no commission, the last trade closed at the end.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from backtesting.test import GOOG, SMA

from itb_assets.domain.evaluation.returns import (
    cagr,
    calmar,
    downside_deviation,
    max_drawdown,
    returns_of,
    volatility,
)
from itb_assets.domain.evaluation.trade_statistics import profit_factor, trade_statistics

TRADING_DAYS = 252


class CrossingAverages(Strategy):
    """Be long while the quick average is above the slow one, and short below."""

    def init(self):
        self.quick = self.I(SMA, self.data.Close, 10)
        self.slow = self.I(SMA, self.data.Close, 30)

    def next(self):
        if crossover(self.quick, self.slow):
            self.position.close()
            self.buy()
        elif crossover(self.slow, self.quick):
            self.position.close()
            self.sell()


@pytest.fixture(scope="module")
def run():
    return Backtest(GOOG.copy(), CrossingAverages, cash=10_000, finalize_trades=True).run()


@pytest.fixture(scope="module")
def equity(run):
    return run["_equity_curve"]["Equity"].to_numpy()


@pytest.fixture(scope="module")
def told(run):
    trades = run["_trades"]
    return trade_statistics(
        trades["PnL"],
        return_pct=trades["ReturnPct"] * 100,
        fees=trades["Commission"],
        traded_notional=trades["Size"].abs() * (trades["EntryPrice"] + trades["ExitPrice"]),
        sample=np.full(len(trades), "out_of_sample", dtype=object),
        capital=10_000,
    )


def test_trades(told):
    assert told.trades == 66
    assert told.win_rate * 100 == pytest.approx(46.96969696969697, rel=1e-12)
    assert told.expectancy_pct == pytest.approx(3.2748078066748834, rel=1e-12)
    assert told.best_pct == pytest.approx(53.59595229490424, rel=1e-12)
    assert told.worst_pct == pytest.approx(-18.39887353835481, rel=1e-12)
    assert told.sqn == pytest.approx(1.0766187356697705, rel=1e-12)
    assert told.kelly == pytest.approx(0.1518705127029717, rel=1e-12)


def test_profit(run, told, equity):
    """The published profit factor is that of returns; in money it is another, as positions grow."""
    assert profit_factor(run["_trades"]["ReturnPct"]) == pytest.approx(2.167945974262033, rel=1e-12)
    won = run["_trades"]["PnL"]
    assert told.profit_factor == pytest.approx(won[won > 0].sum() / -won[won < 0].sum(), rel=1e-12)
    assert told.total_pnl / 10_000 * 100 == pytest.approx(414.2298999999996, rel=1e-12)
    assert equity[-1] - equity[0] == pytest.approx(told.total_pnl, rel=1e-12)


def test_drawdown(equity):
    assert max_drawdown(equity) * 100 == pytest.approx(-47.98012705007589, rel=1e-12)
    assert calmar(equity, TRADING_DAYS) == pytest.approx(0.44166409202994605, rel=1e-10)


def test_growth(run, equity):
    """The published CAGR counts calendar days, 365.25 a year; its yearly return counts 252 trading days."""
    years = (run["End"] - run["Start"]).days / 365.25
    assert cagr(equity, (len(equity) - 1) / years) * 100 == pytest.approx(21.160245705962623, rel=1e-10)
    assert cagr(equity, TRADING_DAYS) * 100 == pytest.approx(21.191099249053224, rel=1e-10)


def test_ratios(equity):
    """The published ratios divide compound growth, not the mean return, and compound the deviation too."""
    returns = returns_of(equity)
    growth = cagr(equity, TRADING_DAYS)
    spread, a_day = volatility(returns, 1) ** 2, (1 + growth) ** (2 / TRADING_DAYS)
    compounded = math.sqrt((spread + a_day) ** TRADING_DAYS - a_day**TRADING_DAYS)
    assert growth / compounded == pytest.approx(0.5806232244485349, rel=1e-9)
    assert growth / downside_deviation(returns, TRADING_DAYS) == pytest.approx(1.0853434352488662, rel=1e-9)
