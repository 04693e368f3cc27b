"""Paper trading and its measures, twice: by the package, and by the loop that one writes first.

Both give the same facts, so that nobody is fast by doing something else. How they are timed belongs to
`trading`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import inputs
import numpy as np
import pandas as pd
from measure import Case
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from itb_assets.domain.klines import to_grid
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.performance import by_hour, daily_performance
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.summary import signal_period, summarise
from itb_assets.domain.training.metrics import ScoredRows, calibration, measure

STAGES = ("positions", "days and hours", "statistics, curve, ratios", "metrics of the scores")
RULE = TradingRule("both", "buy", "sell", "score", 0.4, 0.1, 4, fee_pct=0.04, slippage_pct=0.01)
CAPITAL = RULE.capital
HITS_PER_ROW = {"5 %": 0.17, "80 %": 0.01}
"""Score differences from which a row is a signal, by the share of rows that then are."""

_SEED = 11


@dataclass(frozen=True, eq=False)
class Rows:
    """Prices with an outage, signals of every row, one score a row and its outcome."""

    data: pd.DataFrame
    signals: pd.DataFrame
    score: np.ndarray[Any, np.dtype[np.float64]]
    outcome: np.ndarray[Any, np.dtype[np.bool_]]

    def head(self, rows: int) -> Rows:
        """Return the first rows."""
        return Rows(self.data.head(rows), self.signals.head(rows), self.score[:rows], self.outcome[:rows])


def make_rows(rows: int, share: str) -> Rows:
    """Return that many scored rows, of which that share are signals."""
    rng = np.random.default_rng(_SEED)
    data = to_grid(inputs.make_klines(rows), inputs.MARKET).head(rows)
    up, down = rng.beta(1, 18, (2, rows))
    limit = HITS_PER_ROW[share]
    signals = pd.DataFrame(
        {
            "timestamp": data["timestamp"],
            "sample": "out_of_sample",
            "score": up - down,
            "buy": up - down >= limit,
            "sell": up - down <= -limit,
        }
    )
    return Rows(data, signals, up, rng.random(rows) < up)


def ours(rows: Rows) -> dict[str, Case]:
    """Return each stage by the package."""
    market = inputs.MARKET
    trades = simulate(rows.signals, rows.data, RULE, market).trades
    samples = rows.signals["sample"].to_numpy(object)

    def tables() -> Mapping[str, float]:
        days, hours = daily_performance(trades, market, model_name="m"), by_hour(trades)
        return {
            "days": len(days),
            "best day": days["total_pnl"].max(),
            "hour 12": hours["total_pnl"][12],
        }

    def summary() -> Mapping[str, float]:
        until = rows.data["timestamp"].iloc[-1] + market.freq_delta
        period = signal_period(rows.signals, "out_of_sample", market, until=until)
        if period is None:
            raise ValueError("no kline after the signals: expected two rows or more")
        found = summarise(trades, rows.data, RULE, market, period=period)
        return {
            "wins": found.statistics.wins,
            "pnl": found.statistics.total_pnl,
            "exposure": found.statistics.exposure or 0.0,
            "equity": found.curve["equity"].iloc[-1],
            "Sharpe": found.sharpe or 0.0,
            "Sortino": found.sortino or 0.0,
            "drawdown": found.max_drawdown or 0.0,
        }

    def scores() -> Mapping[str, float]:
        scored = ScoredRows(rows.score, rows.outcome, samples)
        calibration(scored)
        found = measure(scored, 0.1)
        names = ("auc", "average_precision", "log_loss", "brier")
        return {name: getattr(found, name) for name in names}

    def positions() -> Mapping[str, float]:
        return {"positions": len(simulate(rows.signals, rows.data, RULE, market).trades)}

    return _cases(positions, tables, summary, scores)


def plain(rows: Rows) -> dict[str, Case]:
    """Return each stage by loops over rows, by pandas and by scikit-learn."""
    trades = plain_trades(rows)

    closed = pd.DataFrame(trades)
    closed = closed[closed["pnl"].notna()]

    def tables() -> Mapping[str, float]:
        times = closed["timestamp"]
        days = closed.groupby(times.dt.floor("D"))["pnl"].agg(["count", "sum", "mean", "max", "min"])
        hours = closed.groupby(times.dt.hour)["pnl"].agg(["count", "sum"])
        return {"days": len(days), "best day": days["sum"].max(), "hour 12": hours["sum"].get(12, 0.0)}

    def summary() -> Mapping[str, float]:
        held = [False] * len(rows.data)
        for trade in trades:
            if "exit" in trade:
                for row in range(trade["entry"], trade["end"]):
                    held[row] = True
        equity = pd.Series(plain_equity(rows, trades)[1:])
        gains = equity.diff().fillna(equity.iloc[0] - CAPITAL) / CAPITAL
        year = math.sqrt(inputs.MARKET.bars_per_year)
        downside = math.sqrt((gains.clip(upper=0) ** 2).mean())
        return {
            "wins": float((closed["pnl"] > 0).sum()),
            "pnl": closed["pnl"].sum(),
            "exposure": sum(held[1:]) / len(equity),
            "equity": equity.iloc[-1],
            "Sharpe": gains.mean() / gains.std() * year,
            "Sortino": gains.mean() / downside * year,
            "drawdown": float((equity / equity.cummax().clip(lower=CAPITAL) - 1).min()),
        }

    def scores() -> Mapping[str, float]:
        pd.Series(rows.outcome).groupby(pd.qcut(rows.score, 10), observed=True).mean()
        return {
            "auc": roc_auc_score(rows.outcome, rows.score),
            "average_precision": average_precision_score(rows.outcome, rows.score),
            "log_loss": log_loss(rows.outcome, rows.score),
            "brier": brier_score_loss(rows.outcome, rows.score),
        }

    return _cases(lambda: {"positions": len(plain_trades(rows))}, tables, summary, scores)


def _cases(*stages: Callable[[], Mapping[str, float]]) -> dict[str, Case]:
    return {
        name: Case(run, facts=lambda found: {key: float(value) for key, value in found.items()})
        for name, run in zip(STAGES, stages, strict=True)
    }


def plain_trades(rows: Rows) -> list[dict[str, Any]]:
    """Walk over the klines one by one, at most one position at a time."""
    trades: list[dict[str, Any]] = []
    held: dict[str, Any] | None = None
    before = None
    klines = zip(rows.data.itertuples(), rows.signals.itertuples(), strict=True)
    for row, (kline, signal) in enumerate(klines):
        if not math.isnan(kline.open):
            if held is not None and row >= held["entry"] + RULE.time_limit_rows:
                _close(held, row, kline.open, slippage=RULE.slippage_pct)
                held = None
            if held is None and before is not None and before.buy != before.sell:
                held = _open(row, kline, 1.0 if before.buy else -1.0)
                trades.append(held)
            if held is not None and _ended_within(held, row, kline):
                held = None
        before = None if math.isnan(kline.open) else signal
    for trade in trades:
        trade.setdefault("end", len(rows.data))
    return trades


def _open(row: int, kline: Any, sign: float) -> dict[str, Any]:  # noqa: ANN401 - a row of itertuples
    price = kline.open * (1 + sign * RULE.slippage_pct / 100)
    return {
        "timestamp": kline.timestamp,
        "entry": row,
        "sign": sign,
        "price": price,
        "quantity": CAPITAL / price,
        "fee": CAPITAL * RULE.fee_pct / 100,
        "target": price * (1 + sign * RULE.take_profit_pct / 100),
        "stop": price * (1 - sign * RULE.stop_loss_pct / 100),
        "pnl": math.nan,
    }


def _ended_within(held: dict[str, Any], row: int, kline: Any) -> bool:  # noqa: ANN401 - as above
    long = held["sign"] > 0
    stopped = kline.low <= held["stop"] if long else kline.high >= held["stop"]
    reached = kline.high > held["target"] if long else kline.low < held["target"]
    if stopped:
        price = min(kline.open, held["stop"]) if long else max(kline.open, held["stop"])
        _close(held, row, price, slippage=RULE.slippage_pct, inside=1)
    elif reached:
        _close(held, row, held["target"], slippage=0.0, inside=1)
    return bool(stopped or reached)


def _close(held: dict[str, Any], row: int, price: float, *, slippage: float, inside: int = 0) -> None:
    price *= 1 - held["sign"] * slippage / 100
    gross = held["sign"] * held["quantity"] * (price - held["price"])
    fees = held["fee"] + held["quantity"] * price * RULE.fee_pct / 100
    held |= {"pnl": gross - fees, "exit": row, "end": row + inside}


def plain_equity(rows: Rows, trades: list[dict[str, Any]]) -> list[float]:
    """Walk over the closes, the trades in hand; one that has not ended counts for nothing."""
    equity, account, close = [], CAPITAL, math.nan
    waiting = iter(trades)
    held = next(waiting, None)
    for row, price in enumerate(rows.data["close"]):
        close = close if math.isnan(price) else price
        open_gain = 0.0
        while held is not None and held.get("exit") == row:
            account += held["pnl"]
            held = next(waiting, None)
        if held is not None and held["entry"] <= row and "exit" in held:
            open_gain = held["sign"] * held["quantity"] * (close - held["price"]) - held["fee"]
        equity.append(account + open_gain)
    return equity
