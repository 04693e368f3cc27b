"""What one model's walk-forward scores alone would have earned, and how likely luck earns as much.

Thresholds, positions, measures and tests are those of the modules called; what is stored of the answer
belongs to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.deflated_sharpe import deflated_sharpe
from itb_assets.domain.evaluation.luck import auc_test
from itb_assets.domain.evaluation.thresholds import Threshold, thresholds_by_fold
from itb_assets.domain.klines import NS_PER_MS, open_times_ns
from itb_assets.domain.markets import Market
from itb_assets.domain.trading.backtest import backtest_scores
from itb_assets.domain.trading.luck import luck_of_signals, min_shift
from itb_assets.domain.trading.paper import PaperResult
from itb_assets.domain.trading.resolve import BUY, SCORE, SELL
from itb_assets.domain.trading.rule import EXECUTION, TradingRule
from itb_assets.domain.trading.summary import PaperSummary, signal_period, summarise
from itb_assets.domain.trading.trades import Floats, is_closed

SHIFTS = 299
"""Circular shifts that the trading result is held against: a chance of 5 % is then known to one point."""

PRICES = ("timestamp", "open", "high", "low", "close")
"""Columns of the data that are read."""

_RULE = (
    *("direction", "take_profit_pct", "stop_loss_pct", "time_limit_rows"),
    *("fee_pct", "slippage_pct", "notional", "max_positions"),
)


def trading_evidence(
    scores: pd.DataFrame,
    data: pd.DataFrame,
    rule: TradingRule,
    market: Market,
    *,
    purge_rows: int,
    n_trials: int,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the scores would have earned, and how likely luck earns as much, as plain JSON data.

    `scores` holds `timestamp`, `score` and `fold`, all out of sample; `data` PRICES on the full grid; `rule`
    follows one label (see `resolve_label_rule`). A fold's threshold is chosen on the folds before it, by what
    a position after each of their rows brought after fees, so the first fold is not traded. The luck test is
    `luck_of_signals`; the deflated Sharpe ratio takes `n_trials` worthless models whose ratios spread as
    chance spreads them. Figures that the rows cannot tell are None.
    """
    data = _covered(scores, data, rule, market)
    thresholds = thresholds_by_fold(
        scores["score"].to_numpy(np.float64),
        scores["fold"].to_numpy(np.int64),
        _gain_of_each_row(scores, data, rule, market),
        purge_rows=max(purge_rows, rule.time_limit_rows + 2),
    )
    limits = {fold: one.value for fold, one in enumerate(thresholds) if one is not None}
    about = _about(rule, thresholds)
    if not limits:
        reason = "too few earlier rows to choose a threshold on"
        return about | {"trades": 0, "reason": reason}, {"trading": None, "deflated_sharpe": None}
    tested = scores[scores["fold"].to_numpy() >= min(limits)]
    result = backtest_scores(tested, limits, data, rule, market)
    signals = _signals(tested, limits, rule)
    until = data["timestamp"].iloc[-1] + market.freq_delta
    period = signal_period(signals, "out_of_sample", market, until=until)
    if period is None:
        reason = "no kline after the rows that have a threshold"
        return about | {"trades": 0, "reason": reason}, {"trading": None, "deflated_sharpe": None}
    summary = summarise(result.trades, data, rule, market, period=period)
    trading = {**about, **_figures(summary, result, market)}
    if not len(summary.closed):
        return trading, {"trading": None, "deflated_sharpe": None}
    covered = data[data["timestamp"] >= tested["timestamp"].iloc[0]].reset_index(drop=True)
    found = luck_of_signals(signals, covered, rule, market, shifts=SHIFTS, seed=seed)
    return trading, {
        "trading": None if found is None else dict(vars(found)),
        "deflated_sharpe": _deflated(summary.returns, n_trials),
    }


def auc_luck(scores: pd.DataFrame, market: Market, *, purge_rows: int) -> dict[str, Any] | None:
    """Return the test of the AUC against labels shifted in a circle, or None of too few rows.

    `scores` holds `score` and `outcome`, in order of time. Shifts are of `min_shift` rows at least.
    """
    known = scores[scores["score"].notna() & scores["outcome"].notna()]
    smallest = min_shift(len(known), market, purge_rows)
    if not smallest:
        return None
    label = known["outcome"].to_numpy(dtype=np.bool_)
    return dict(vars(auc_test(known["score"].to_numpy(np.float64), label, min_shift=smallest)))


def _covered(scores: pd.DataFrame, data: pd.DataFrame, rule: TradingRule, market: Market) -> pd.DataFrame:
    """Return the prices from the first score to the end of the last position it can open."""
    first, last = scores["timestamp"].iloc[0], scores["timestamp"].iloc[-1]
    until = last + (rule.time_limit_rows + 3) * market.freq_delta
    low, high = (int(data["timestamp"].searchsorted(time)) for time in (first, until))
    return data.iloc[low:high][list(PRICES)].reset_index(drop=True)


def _gain_of_each_row(scores: pd.DataFrame, data: pd.DataFrame, rule: TradingRule, market: Market) -> Floats:
    """Return what a position after each row brings by itself, in per cent; NaN where there can be none."""
    alone = replace(rule, max_positions=len(scores))
    trades = backtest_scores(scores, -math.inf, data, alone, market).trades
    trades = trades[is_closed(trades)]
    decided = open_times_ns(trades) - market.freq_ms * NS_PER_MS
    gains = np.full(len(scores), np.nan)
    gains[np.searchsorted(open_times_ns(scores), decided)] = trades["return_pct"].to_numpy()
    return gains


def _signals(scores: pd.DataFrame, limits: Mapping[int, float], rule: TradingRule) -> pd.DataFrame:
    """Return the scores at their thresholds as signals of the rule's side."""
    folds, values = scores["fold"].to_numpy(), scores["score"].to_numpy(np.float64)
    by_fold = np.full(int(folds.max()) + 1, np.nan)
    by_fold[list(limits)] = list(limits.values())
    reached = values >= by_fold[folds]
    return pd.DataFrame(
        {
            "timestamp": scores["timestamp"].array,
            "sample": np.full(len(scores), "out_of_sample", dtype=object),
            SCORE: values,
            BUY: reached & rule.trades_long,
            SELL: reached & rule.trades_short,
        }
    )


def _about(rule: TradingRule, thresholds: tuple[Threshold | None, ...]) -> dict[str, Any]:
    """Say by which rule and from which scores on positions were taken."""
    return {
        "sample": "out_of_sample",
        "execution": EXECUTION,
        "rule": {name: rule.definition[name] for name in _RULE},
        "thresholds": [None if one is None else dict(vars(one)) for one in thresholds],
    }


def _figures(summary: PaperSummary, result: PaperResult, market: Market) -> dict[str, Any]:
    return {
        **summary.statistics.as_dict(),
        "from": summary.start.isoformat(),
        "until": summary.end.isoformat(),
        "capital": summary.capital,
        "return_pct": summary.return_pct,
        "gross_pnl": summary.gross_pnl,
        "slippage": summary.slippage,
        "sharpe": summary.sharpe,
        "sortino": summary.sortino,
        "max_drawdown": summary.max_drawdown,
        "periods_per_year": market.bars_per_year,
        "signals": result.signals,
        "signals_busy": result.busy,
        "signals_without_kline": result.without_kline,
        "open_trades": summary.open_trades,
    }


def _deflated(returns: Floats, n_trials: int) -> dict[str, Any]:
    """Return the chance that the Sharpe ratio is more than the best of as many worthless models shows."""
    spread = 1 / math.sqrt(len(returns))
    chance = deflated_sharpe(returns, n_trials=n_trials, trial_sharpe_std=spread)
    return {"probability": chance, "n_trials": n_trials, "trial_sharpe_std": spread, "bars": len(returns)}
