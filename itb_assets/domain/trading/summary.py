"""What the paper trades of one sample add up to over a period: trades, curve, ratios, costs.

Single measures belong to `evaluation` and `performance`; how likely a result is luck belongs to `luck`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.returns import max_drawdown, sharpe, sortino
from itb_assets.domain.evaluation.trade_statistics import TradeStatistics, trade_statistics
from itb_assets.domain.markets import Market
from itb_assets.domain.samples import require_one_sample
from itb_assets.domain.trading.performance import bar_returns, equity_curve, exposure, traded_notional
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import Floats, is_closed


@dataclass(frozen=True, eq=False)
class PaperSummary:
    """What the positions that were entered in [start, end), and have ended, earned.

    Money is in quote currency and after fees unless it says otherwise; `capital` is what all positions that
    may be held at a time take. `slippage` is what the rule charged the fills with. Ratios are annualised,
    `max_drawdown` is a fraction, 0 or less. `curve` has a row a kline: `timestamp`, `equity`, `drawdown` and
    `buy_and_hold`, the capital held instead; `returns` are its gains as fractions of the capital.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    capital: float
    statistics: TradeStatistics
    open_trades: int
    gross_pnl: float
    slippage: float
    average_win: float | None
    average_loss: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float | None
    curve: pd.DataFrame
    returns: Floats
    closed: pd.DataFrame

    @property
    def return_pct(self) -> float:
        """What was earned, in per cent of the capital."""
        return self.statistics.total_pnl / self.capital * 100


def signal_period(
    signals: pd.DataFrame, sample: str, market: Market, *, until: pd.Timestamp
) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return [start, end) of the opens at which signals of a sample could be followed; None without any.

    `signals` holds `timestamp` and `sample`, `until` is the end of the klines, which no period goes beyond.
    """
    times = signals.loc[signals["sample"] == sample, "timestamp"]
    if not len(times):
        return None
    bar = market.freq_delta
    start, end = times.iloc[0] + bar, min(times.iloc[-1] + 2 * bar, until)
    return (start, end) if start < end else None


def summarise(
    trades: pd.DataFrame,
    data: pd.DataFrame,
    rule: TradingRule,
    market: Market,
    *,
    period: tuple[pd.Timestamp, pd.Timestamp],
) -> PaperSummary:
    """Measure the positions of one sample entered in a period; those still open are counted, no more.

    `data` is a data frame that holds the period. A position that was entered in it and left later counts
    whole, and the curve goes on until then. Raises DataContractError where samples are mixed or in sample,
    and where the data end before the last exit.
    """
    start, end = period
    within = trades[(trades["timestamp"] >= start) & (trades["timestamp"] < end)]
    require_one_sample(within["sample"])
    closed = within[is_closed(within)]
    shown_until = end
    if len(closed):
        last_exit = pd.Timestamp(int(closed["exit_time_ms"].max()), unit="ms", tz="UTC")
        shown_until = max(end, last_exit + market.freq_delta)
    rows = data[(data["timestamp"] >= start) & (data["timestamp"] < shown_until)]
    capital = rule.capital
    curve = equity_curve(closed, rows, market, capital=capital)
    returns = bar_returns(curve, capital=capital)
    statistics = trade_statistics(
        closed["pnl"],
        return_pct=closed["return_pct"],
        fees=closed["fees"],
        traded_notional=traded_notional(closed),
        sample=closed["sample"],
        capital=capital,
        exposure=exposure(closed, rows, market),
    )
    year = market.bars_per_year
    pnl = closed["pnl"].to_numpy()
    return PaperSummary(
        start=start,
        end=end,
        capital=capital,
        statistics=statistics,
        open_trades=len(within) - len(closed),
        gross_pnl=float(closed["gross_pnl"].sum()),
        slippage=_slippage(closed, rule),
        average_win=_mean(pnl[pnl > 0]),
        average_loss=_mean(pnl[pnl < 0]),
        sharpe=sharpe(returns, year),
        sortino=sortino(returns, year),
        max_drawdown=max_drawdown(np.concatenate(([capital], curve["equity"].to_numpy()))),
        curve=curve.assign(buy_and_hold=_held(rows, capital)),
        returns=returns,
        closed=closed,
    )


def _held(rows: pd.DataFrame, capital: float) -> Floats:
    """Return what the capital would be worth, had it bought at the first open and been held."""
    opens = rows["open"].to_numpy(dtype=np.float64)
    known = np.flatnonzero(np.isfinite(opens))
    closes = rows["close"].to_numpy(dtype=np.float64)
    held: Floats = capital * closes / opens[known[0]] if len(known) else np.full(len(rows), np.nan)
    return held


def _slippage(closed: pd.DataFrame, rule: TradingRule) -> float:
    """Return what slippage took: at every entry, and at every exit but a take profit's."""
    share = rule.slippage_pct / 100.0
    signs = np.where(closed["side"].to_numpy(object) == "BUY", 1.0, -1.0)
    entry, left = closed["entry_price"].to_numpy(), closed["exit_price"].to_numpy()
    at_market = closed["exit_reason"].to_numpy(object) != "take_profit"
    worse = entry * share / (1 + signs * share) + np.where(at_market, left * share / (1 - signs * share), 0.0)
    return float((closed["quantity"].to_numpy() * worse).sum())


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
