"""What a performance report says in plain words of how it went: the headline, for a page or a terminal.

What its figures, its rule and its method mean is said in `report_meaning`; the values are `report_data`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from itb_assets.observability.report_data import PerformanceReport
from itb_assets.observability.wording import NBSP, UNKNOWN, amount, counted, number, percent, share

Mood = Literal["lost", "unclear", "won", "nothing"]

LUCK_LEVEL = 0.05
_FEW_TRADES = 30
_RARE = 0.001
_EVEN_PCT = 0.005


@dataclass(frozen=True)
class Headline:
    """The result in one sentence, what to know about it in a few more, and its mood.

    `won` is said only of a profit that the luck test tells from chance.
    """

    verdict: str
    details: tuple[str, ...]
    mood: Mood


def headline(report: PerformanceReport) -> Headline:
    """Say plainly how it went, on which rows, and whether it can be told from chance."""
    period = f"in {span(report.end - report.start)}"
    where = " ".join(_where(report))
    if report.trades == 0:
        still = f" {counted(report.open_trades, 'position')} still open." if report.open_trades else ""
        verdict = f"The strategy closed no trade {period}, so there is nothing to judge yet.{still}"
        return Headline(verdict, (where,), "nothing")
    earned = report.total_pnl if report.return_pct is None else report.return_pct
    details = [where, _wins(report), _luck(report, earned), *_holding(report), *_few(report)]
    verdict = f"{_costs_paid(report)} the strategy {_earned(report, earned)} {period}."
    return Headline(verdict, tuple(details), _mood(report, earned))


def _earned(report: PerformanceReport, earned: float) -> str:
    """Say what was earned, in per cent of the capital where that is known."""
    if earned == 0:
        return "neither gained nor lost"
    size = money(report, abs(earned))
    if report.return_pct is not None:
        small = abs(earned) < _EVEN_PCT
        size = f"less than {percent(0.01, 2)}" if small else percent(abs(earned), 2 if abs(earned) < 1 else 1)
    return f"{'lost' if earned < 0 else 'gained'} {size}"


def _mood(report: PerformanceReport, earned: float) -> Mood:
    if earned < 0:
        return "lost"
    beyond_chance = report.p_value is not None and report.p_value < LUCK_LEVEL
    return "won" if earned > 0 and beyond_chance else "unclear"


def _costs_paid(report: PerformanceReport) -> str:
    """Name the costs that are in the result."""
    fees = bool(report.fees) or (report.rule is not None and report.rule.fee_pct > 0)
    slips = report.rule is not None and report.rule.slippage_pct > 0
    if fees:
        return "After fees and slippage" if slips else "After fees"
    return "After slippage, with no fee counted," if slips else "With no fee or slippage counted,"


def _where(report: PerformanceReport) -> Iterator[str]:
    """Say which rows the result was measured on, and whether anything was really bought."""
    if report.sample == "live":
        yield "Live: every signal came from a model fitted before the prices it was tried on."
    else:
        yield "Out of sample: every signal came from a model that had not seen the prices it was tried on."
    if report.account == "paper":
        yield "Traded on paper: no order was sent to an exchange."
    else:
        yield f"Executed trades of {report.account}."


def _wins(report: PerformanceReport) -> str:
    """Say how many trades were won, how sure that is, and how many it takes."""
    text = f"{counted(report.trades, 'trade')}, {share(report.win_rate, 0)} won"
    if report.win_rate_low is not None and report.win_rate_high is not None:
        low, high = share(report.win_rate_low, 0), share(report.win_rate_high, 0)
        text += f" (with 95 % confidence the true rate is between {low} and {high})"
    if report.break_even_win_rate is not None:
        text += f"; wins and losses of this size break even at {share(report.break_even_win_rate, 0)}"
    return text + "."


def _luck(report: PerformanceReport, earned: float) -> str:
    """Say what the luck test says, the least flattering one where there are several."""
    p = report.p_value
    if p is None:
        return (
            "Whether this is luck was not tested."
            if not report.luck
            else "Too little is there to test for luck."
        )
    chance = f"chance alone does at least as well {odds(p)}"
    if p >= LUCK_LEVEL:
        return f"The luck test cannot tell this from chance: {chance}."
    if earned < 0:
        return f"The signals are better than chance ({chance}), but not by enough to pay for the trades."
    return f"This is unlikely to be luck: {chance}."


def _holding(report: PerformanceReport) -> Iterator[str]:
    held = report.held_pct
    if held is not None:
        yield (
            f"Holding {report.market.symbol} over the same time would have "
            f"{'lost' if held < 0 else 'gained'} {percent(abs(held))}, before fees."
        )


def _few(report: PerformanceReport) -> Iterator[str]:
    if report.trades < _FEW_TRADES:
        yield f"With {counted(report.trades, 'trade')} little can be concluded."


def odds(p: float) -> str:
    """Say a probability as how often in so many times."""
    if p < _RARE:
        return "less than once in 1,000 times"
    times = 1000 if p < 10 * _RARE else 100
    often = number(p * times, 1 if p < 2 * LUCK_LEVEL else 0).removesuffix(".0")
    return f"{often} {'time' if often == '1' else 'times'} in {times:,}"


def span(length: pd.Timedelta) -> str:
    """Say a length of time in its largest fitting unit.

    >>> span(pd.Timedelta(days=56)), span(pd.Timedelta(minutes=90))
    ('56 days', '90 minutes')
    """
    for unit, size in (("day", pd.Timedelta(days=1)), ("hour", pd.Timedelta(hours=1))):
        if length >= 2 * size or length == size:
            return counted(round(length / size), unit)
    return counted(round(length / pd.Timedelta(minutes=1)), "minute")


def money(report: PerformanceReport, value: float | None, *, signed: bool = False) -> str:
    """Write an amount with its currency; an unknown one has none."""
    text = amount(value, signed=signed)
    return text if text == UNKNOWN or not report.quote else f"{text}{NBSP}{report.quote}"
