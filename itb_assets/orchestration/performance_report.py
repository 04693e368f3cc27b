"""One variant's paper trades on one market, in full: what a report says, from what is stored.

The figures are the domain's, their words and looks the room `observability`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from itb_assets.domain.evaluation.deflated_sharpe import deflated_sharpe
from itb_assets.domain.executed.fills import split_symbol
from itb_assets.domain.markets import Market
from itb_assets.domain.samples import MeasurableSample
from itb_assets.domain.trading.performance import by_hour, daily_performance
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.summary import PaperSummary, signal_period, summarise
from itb_assets.errors import InputError, StorageError
from itb_assets.observability.report_data import LuckTest, PerformanceReport
from itb_assets.observability.wording import amount, counted, number
from itb_assets.orchestration.measured_models import Evidence, evidence_of
from itb_assets.orchestration.paper_trades import PRICES
from itb_assets.orchestration.platform import Platform
from itb_assets.storage.files.frames import StoredFrame


@dataclass(frozen=True)
class Question:
    """Whose results are asked for: of one sample, of all its time or of its last `days`."""

    market: Market
    variant: str
    sample: MeasurableSample = "out_of_sample"
    days: int | None = None


@dataclass(frozen=True)
class _Stored:
    """The stored frames a report is made from."""

    trades: StoredFrame
    signals: StoredFrame
    data: StoredFrame

    @property
    def end(self) -> pd.Timestamp:
        """Open time of the newest kline."""
        assert self.data.last is not None  # noqa: S101 - no signal is there without a kline
        return self.data.last


def performance_report(platform: Platform, question: Question) -> PerformanceReport:
    """Measure what is asked for; it costs a second or two, most of them for the luck test.

    Raises StorageError where the trades are not there or were made by another rule than the strategy's, and
    InputError where the sample has no signal.
    """
    market, variant = question.market, question.variant
    rule = platform.trading_rule(variant)
    stored = _stored(platform, question, rule)
    signals = stored.signals.read(_columns(rule))
    signals = signals[signals["sample"] == question.sample]
    period = _period(signals, stored, question)
    start, end = (time - market.freq_delta for time in period)
    signals = signals[(signals["timestamp"] >= start) & (signals["timestamp"] < end)]
    prices = stored.data.since(start, PRICES)
    trades = stored.trades.read()
    trades = trades[trades["sample"] == question.sample]
    summary = summarise(trades, prices, rule, market, period=period)
    evidence = evidence_of(platform, market, variant, question.sample)
    luck = _luck(platform, rule, market, signals, prices, summary, evidence) if len(summary.closed) else ()
    return _report(
        platform, question, rule, summary, evidence, luck, _fingerprint(platform, question, stored)
    )


def _columns(rule: TradingRule) -> list[str]:
    names = (rule.buy, rule.sell, rule.score)
    return ["timestamp", "sample", *(name for name in names if name is not None)]


def _stored(platform: Platform, question: Question, rule: TradingRule) -> _Stored:
    """Open what the report is made from; refuse trades that another rule made."""
    found = {}
    for asset in (f"trades/{question.variant}", f"signals/{question.variant}", "processed/data"):
        frame = platform.stored(question.market, asset)
        if frame is None:
            raise StorageError(f"{asset} of {question.market} is not there yet: `itb run` makes it")
        found[asset] = frame
    trades, signals, data = found.values()
    if trades.manifest.digest != rule.digest:
        raise StorageError(
            f"trades/{question.variant} of {question.market} were made by another rule than that of "
            f"{platform.strategy(question.variant).origin}: `itb run` makes them again"
        )
    return _Stored(trades, signals, data)


def _period(signals: pd.DataFrame, stored: _Stored, question: Question) -> tuple[pd.Timestamp, pd.Timestamp]:
    until = stored.end + question.market.freq_delta
    period = signal_period(signals, question.sample, question.market, until=until)
    if period is None:
        raise InputError(
            f"{question.market} has no {question.sample} signals of {question.variant} yet: "
            "look at the other sample, or wait for newer klines"
        )
    start, end = period
    return (start if question.days is None else max(start, end - pd.Timedelta(days=question.days)), end)


def _report(
    platform: Platform,
    question: Question,
    rule: TradingRule,
    summary: PaperSummary,
    evidence: Evidence,
    luck: tuple[LuckTest, ...],
    fingerprint: dict[str, str],
) -> PerformanceReport:
    statistics, deepest = summary.statistics, summary.max_drawdown
    pair = split_symbol(question.market.symbol)
    return PerformanceReport(
        market=question.market,
        variant=question.variant,
        sample=question.sample,
        start=summary.start,
        end=summary.end,
        made_at=pd.Timestamp(platform.clock()),
        capital=summary.capital,
        trades=statistics.trades,
        wins=statistics.wins,
        total_pnl=statistics.total_pnl,
        quote=pair[1] if pair else "",
        open_trades=summary.open_trades,
        return_pct=summary.return_pct,
        win_rate_low=statistics.wilson_low,
        win_rate_high=statistics.wilson_high,
        average_win=summary.average_win,
        average_loss=summary.average_loss,
        profit_factor=statistics.profit_factor,
        expectancy=statistics.expectancy,
        sharpe=summary.sharpe,
        sortino=summary.sortino,
        max_drawdown_pct=None if deepest is None else -deepest * 100,
        turnover=statistics.turnover,
        exposure=statistics.exposure,
        gross_pnl=summary.gross_pnl,
        fees=statistics.total_fees,
        slippage=summary.slippage,
        luck=luck,
        rule=rule,
        models=evidence.models,
        measurement=evidence.measurement,
        fingerprint=fingerprint,
        equity=summary.curve,
        daily=daily_performance(summary.closed, question.market, model_name=question.variant),
        by_hour=by_hour(summary.closed),
    )


def _luck(
    platform: Platform,
    rule: TradingRule,
    market: Market,
    signals: pd.DataFrame,
    prices: pd.DataFrame,
    summary: PaperSummary,
    evidence: Evidence,
) -> tuple[LuckTest, ...]:
    """Ask in two ways how likely chance alone earns as much."""
    from itb_assets.domain.trading.luck import luck_of_signals  # noqa: PLC0415 - SciPy loads slowly

    longest = (rule.time_limit_rows + 2) * market.freq_delta
    near = prices[prices["timestamp"] < summary.end + longest].reset_index(drop=True)
    shifted = luck_of_signals(signals, near, rule, market, seed=platform.settings.seed)
    if shifted is None:
        first = LuckTest("signals shifted against prices", None, "Too few rows to shift them.")
    else:
        meaning = (
            f"{counted(shifted.shifts, 'shift')} in a circle, of a day at least; "
            f"a trade brings {amount(shifted.observed, signed=True)} on average, "
            f"shifted {amount(shifted.null_mean, signed=True)}."
        )
        first = LuckTest("signals shifted against prices", shifted.p_value, meaning)
    trials = evidence.tried
    spread = len(summary.returns) ** -0.5  # of Sharpe ratios, a bar, of strategies that earn nothing
    skill = deflated_sharpe(summary.returns, n_trials=trials, trial_sharpe_std=spread)
    meaning = f"One less the deflated Sharpe ratio of {counted(len(summary.returns), 'bar')}" + (
        f", {number(skill, 3)}." if skill is not None else "."
    )
    tried = "one strategy was tried" if trials == 1 else f"the best of {trials} strategies tried"
    return first, LuckTest(tried, None if skill is None else 1 - skill, meaning)


def _fingerprint(platform: Platform, question: Question, stored: _Stored) -> dict[str, str]:
    """Name what the numbers came from: with the same of all of it they come out again."""
    klines = platform.stored(question.market, "raw/klines")
    prints = {} if klines is None else {"raw/klines": klines.manifest.sha256}
    return prints | {
        "processed/data": stored.data.manifest.sha256,
        f"signals/{question.variant}": stored.signals.manifest.sha256,
        f"trades/{question.variant}": stored.trades.manifest.sha256,
        "trading rule": stored.trades.manifest.digest,
        "strategy file": platform.strategy(question.variant).digest,
        "seed": str(platform.settings.seed),
    }
