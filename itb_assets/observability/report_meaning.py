"""What the figures, the trading rule and the method of a performance report mean, in plain words.

The headline belongs to `report_words`; the page belongs to `report`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from itb_assets.domain.trading.rule import TradingRule
from itb_assets.observability.report_data import Measurement, PerformanceReport
from itb_assets.observability.report_words import money, span
from itb_assets.observability.wording import amount, counted, exact_percent, number, percent, share


@dataclass(frozen=True)
class Figure:
    """A key figure and what it means."""

    name: str
    value: str
    meaning: str


def key_figures(report: PerformanceReport) -> tuple[Figure, ...]:
    """Return the figures a reader should know, each with its meaning in a sentence."""
    return (*_trade_figures(report), *_curve_figures(report), *_luck_figures(report))


def _trade_figures(report: PerformanceReport) -> tuple[Figure, ...]:
    opened = f" {report.open_trades:,} still open, not counted." if report.open_trades else ""
    won = "Share of trades with a profit after costs."
    if report.win_rate_low is not None:
        low, high = share(report.win_rate_low), share(report.win_rate_high)
        won = f"Between {low} and {high} with 95 % confidence."
    if report.break_even_win_rate is not None:
        won += f" {share(report.break_even_win_rate)} are needed to break even."
    sizes = "What one trade brought on average."
    if report.average_win is not None and report.average_loss is not None:
        sizes = f"Average win {amount(report.average_win)}, average loss {amount(report.average_loss)}."
    capital = money(report, report.capital)
    result = f"{percent(report.return_pct, 2, signed=True)} of a capital of {capital}, after costs."
    return (
        Figure("Result", money(report, report.total_pnl, signed=True), result),
        Figure("Trades", f"{report.trades:,}", f"Positions that were closed.{opened}"),
        Figure("Won", share(report.win_rate), won),
        Figure("A trade", money(report, report.expectancy, signed=True), sizes),
        Figure(
            "Profit factor",
            number(report.profit_factor),
            "All gains over all losses: below 1 the strategy loses.",
        ),
    )


def _curve_figures(report: PerformanceReport) -> tuple[Figure, ...]:
    sharpe = (
        f"A year's return over its own swings, from bars of {report.market.freq}: "
        "0 is nothing, 1 is decent, far more is suspicious."
    )
    turnover = number(report.turnover, 1) + (" times" if report.turnover is not None else "")
    return (
        Figure(
            "Worst drawdown",
            percent(report.max_drawdown_pct),
            "The deepest fall from the highest worth before it.",
        ),
        Figure("Sharpe ratio", number(report.sharpe), sharpe),
        Figure("Sortino ratio", number(report.sortino), "The same, counting only the swings downward."),
        Figure("In the market", share(report.exposure, 0), "Share of the time with a position open."),
        Figure("Turnover", turnover, "How often the capital was traded, purchases and sales together."),
    )


def _luck_figures(report: PerformanceReport) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            "Luck",
            number(test.p_value, 3),
            f"Share of times that chance alone does at least as well: {test.name}. {test.meaning}".strip(),
        )
        for test in report.luck
    )


def rule_sentences(rule: TradingRule, report: PerformanceReport) -> tuple[str, ...]:
    """Say how positions are opened, how they end and what they cost."""
    freq, length = report.market.freq, pd.Timedelta(report.market.freq_delta)
    opens = {
        "long": f"A buy signal ({rule.buy}) opens a long position.",
        "short": f"A sell signal ({rule.sell}) opens a short position.",
        "both": f"A buy signal ({rule.buy}) opens a long position, a sell signal ({rule.sell}) a short one.",
    }[rule.direction]
    limit = f"{counted(rule.time_limit_rows, 'candle')} ({span(rule.time_limit_rows * length)})"
    favour, against = exact_percent(rule.take_profit_pct), exact_percent(rule.stop_loss_pct)
    together = "one position" if rule.max_positions == 1 else f"{rule.max_positions} positions"
    fee, slippage = exact_percent(rule.fee_pct), exact_percent(rule.slippage_pct)
    opposite = ("A signal the other way ends a position, too.",) if rule.exit_on_opposite else ()
    return (
        (
            f"{opens} A signal is known when its {freq} candle closes; "
            "the position is entered at the open of the next one."
        ),
        (
            f"A position ends when the price moves {favour} in its favour (take profit) "
            f"or {against} against it (stop loss), and after {limit} at the latest."
        ),
        *opposite,
        (
            "When one candle reaches both, the stop loss counts. "
            "The take profit counts once the price has gone beyond it and never fills better than its price; "
            "an open beyond the stop loss fills at that open."
        ),
        (
            f"At most {together} at a time, each of {money(report, rule.notional)}; "
            "signals meanwhile are passed over."
        ),
        f"Each side pays a fee of {fee}, and slippage of {slippage} except at a take profit.",
    )


def method_sentences(how: Measurement, report: PerformanceReport) -> tuple[str, ...]:
    """Say how scores were made of rows that no model had seen."""
    length = pd.Timedelta(report.market.freq_delta)
    kind = "all earlier rows" if how.scheme == "expanding" else "a window of earlier rows that moves along"
    purge = f"{counted(how.purge_rows, 'row')} ({span(how.purge_rows * length)})"
    windows = counted(len(how.windows), "window")
    return (
        f"Walk-forward, {how.scheme}: {windows}, each scored by models fitted on {kind} only.",
        (
            f"The last {purge} before each window were kept out of the fit: "
            "their outcome is decided inside the window."
        ),
        *how.notes,
    )
