"""What walk-forward scores would have earned: positions on paper, fees, buy and hold, and tests of luck.

Training belongs to `evaluation_cases`, showing to `evaluation_table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from evaluation_cases import MARKET, Evaluated
from evaluation_scores import BOTH, DAY_ROWS, Bools, Floats, Scored, scored_ways, trading_rule

from itb_assets.domain.evaluation.deflated_sharpe import deflated_sharpe
from itb_assets.domain.evaluation.returns import sharpe
from itb_assets.domain.evaluation.thresholds import Threshold, thresholds_by_fold
from itb_assets.domain.trading.luck import luck_of_signals
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.summary import PaperSummary, signal_period, summarise
from itb_assets.errors import DataContractError

SHIPPED, CHOSEN = "shipped", "chosen"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the table; None where there is no answer. Money is in per cent of one position's size."""

    variant: str
    algo: str
    scored: Scored
    threshold: str
    fee_pct: float
    days: float
    signals: int
    trades: int
    win_rate: float | None
    wilson_low: float | None
    wilson_high: float | None
    profit_factor: float | None
    expectancy_pct: float | None
    gross_pct: float | None
    """What a trade brought before fees."""
    total_return_pct: float
    hold_return_pct: float
    sharpe: float | None
    max_drawdown_pct: float
    p_value: float | None
    losing_thresholds: int
    """Thresholds whose best candidate lost on the earlier folds already."""
    chosen_thresholds: int
    returns: Floats
    """Of every kline: what the deflated Sharpe ratio is computed from."""
    deflated_sharpe: float | None = None


def lines_of(
    evaluated: Evaluated, data: pd.DataFrame, *, fees: Sequence[float], shifts: int, seed: int
) -> Iterator[Line]:
    """Trade each label alone, then both together, at every fee."""
    for scored in scored_ways(evaluated, data):
        found = [
            _line(evaluated, scored, judged, data, shifts=shifts, seed=seed)
            for fee_pct in fees
            for judged in _ways(scored, data, trading_rule(evaluated, scored.traded, fee_pct))
        ]
        yield from sorted(found, key=lambda line: line.threshold, reverse=True)


def deflated(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with the chance that each Sharpe ratio beats the best of as many worthless trials.

    Every line of the table is a trial; how far trials spread is told by the lines of the same fee.
    """
    found = []
    for line in lines:
        ratios = [sharpe(other.returns, 1) for other in lines if other.fee_pct == line.fee_pct]
        known = [ratio for ratio in ratios if ratio is not None]
        spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
        chance = deflated_sharpe(line.returns, n_trials=len(lines), trial_sharpe_std=spread)
        found.append(replace(line, deflated_sharpe=chance))
    return found


@dataclass(frozen=True, eq=False)
class _Judged:
    """Signals over the rows they are judged on, one way of choosing them."""

    threshold: str
    signals: pd.DataFrame
    rule: TradingRule
    chosen: tuple[Threshold, ...] = ()


def _ways(scored: Scored, data: pd.DataFrame, rule: TradingRule) -> Iterator[_Judged]:
    """Follow the strategy's own limits where it has any, then those chosen on earlier folds."""
    frame = scored.frame
    if scored.traded == BOTH:
        own = frame["buy"].to_numpy(bool), frame["sell"].to_numpy(bool)
        yield _Judged(SHIPPED, _signals(frame, rule, *own), rule)
    score, fold = frame["score"].to_numpy(), frame["fold"].to_numpy(np.int64)
    reached, chosen = {}, []
    for sign, trades in ((1.0, rule.trades_long), (-1.0, rule.trades_short)):
        facing = sign * score if scored.traded == BOTH else score
        limits = (
            thresholds_by_fold(
                facing, fold, _gains(frame, data, rule, sign), purge_rows=rule.time_limit_rows + 2
            )
            if trades
            else (None,) * (int(fold[-1]) + 1)
        )
        by_fold = np.array([np.nan if limit is None else limit.value for limit in limits])
        reached[sign] = facing >= by_fold[fold]
        chosen += [limit for limit in limits if limit is not None]
    later = fold > 0  # the first fold has no earlier one to choose on
    signals = _signals(frame, rule, reached[1.0], reached[-1.0])
    yield _Judged(CHOSEN, signals[later].reset_index(drop=True), rule, tuple(chosen))


def _signals(frame: pd.DataFrame, rule: TradingRule, buy: Bools, sell: Bools) -> pd.DataFrame:
    columns = {rule.score: frame["score"].to_numpy(), rule.buy: buy, rule.sell: sell}
    columns = {name: values for name, values in columns.items() if name is not None}
    return pd.DataFrame({"timestamp": frame["timestamp"].array, "sample": "out_of_sample", **columns})


def _gains(frame: pd.DataFrame, data: pd.DataFrame, rule: TradingRule, sign: float) -> Floats:
    """Return what a position after each row would have brought, as if each were the only one."""
    every = np.ones(len(frame), dtype=np.bool_)
    signals = _signals(frame, rule, every if sign > 0 else ~every, every if sign < 0 else ~every)
    alone = replace(rule, max_positions=len(frame) + rule.time_limit_rows)
    trades = simulate(signals, data, alone, MARKET).trades
    gains = pd.Series(np.nan, index=pd.DatetimeIndex(frame["timestamp"]))
    gains.loc[pd.DatetimeIndex(trades["timestamp"]) - MARKET.freq_delta] = trades["pnl"].to_numpy()
    return gains.to_numpy(dtype=np.float64)


def _line(
    evaluated: Evaluated, scored: Scored, judged: _Judged, data: pd.DataFrame, *, shifts: int, seed: int
) -> Line:
    rule, signals = judged.rule, judged.signals
    prices = _span(signals, data, rule)
    result = simulate(signals, prices, rule, MARKET)
    until = prices["timestamp"].iloc[-1] + MARKET.freq_delta
    period = signal_period(signals, "out_of_sample", MARKET, until=until)
    if period is None:
        raise DataContractError(f"{scored.traded}: no kline follows the scored rows, so none can be traded")
    summary = summarise(result.trades, prices, rule, MARKET, period=period)
    statistics = summary.statistics
    traded = statistics.trades > 0
    luck = luck_of_signals(signals, prices, rule, MARKET, shifts=shifts, seed=seed) if traded else None
    return Line(
        variant=evaluated.combination.variant,
        algo=evaluated.combination.algo,
        scored=scored,
        threshold=judged.threshold,
        fee_pct=rule.fee_pct,
        days=len(signals) / DAY_ROWS,
        signals=result.signals,
        trades=statistics.trades,
        win_rate=statistics.win_rate,
        wilson_low=statistics.wilson_low,
        wilson_high=statistics.wilson_high,
        profit_factor=statistics.profit_factor,
        expectancy_pct=statistics.expectancy_pct,
        gross_pct=100.0 * summary.gross_pnl / statistics.trades / rule.notional if traded else None,
        total_return_pct=summary.return_pct,
        hold_return_pct=_hold(summary, rule),
        sharpe=summary.sharpe,
        max_drawdown_pct=100.0 * (summary.max_drawdown or 0.0),
        p_value=None if luck is None else luck.p_value,
        losing_thresholds=sum(limit.earlier_gain < 0 for limit in judged.chosen),
        chosen_thresholds=len(judged.chosen),
        returns=summary.returns,
    )


def _span(signals: pd.DataFrame, data: pd.DataFrame, rule: TradingRule) -> pd.DataFrame:
    """Return the klines from the first row judged until the last position has ended."""
    first, last = data["timestamp"].searchsorted(signals["timestamp"].iloc[[0, -1]])
    return data.iloc[first : last + rule.time_limit_rows + 3].reset_index(drop=True)


def _hold(summary: PaperSummary, rule: TradingRule) -> float:
    """Return what buying at the first open and selling at the last close brings after fees, in per cent."""
    grown = summary.curve["buy_and_hold"].dropna().iloc[-1] / summary.capital
    return float(100.0 * (grown - 1.0) - rule.fee_pct * (1.0 + grown))
