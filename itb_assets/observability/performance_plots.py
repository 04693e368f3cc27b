"""Plots of trading results: equity and drawdown, P&L by day, win rate by hour, returns of trades.

What the numbers are belongs to whoever computed them; plots of models belong to `model_plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from itb_assets.observability.plot_data import (
    Floats,
    by_hour_of_day,
    drawdown_of,
    finite,
    histogram_around_zero,
    keep_extremes,
    pool_days,
)
from itb_assets.observability.plot_style import (
    BLUE,
    GREY,
    INK,
    SKY,
    VERMILION,
    around_one_time,
    beside,
    dress,
    naive,
    new_figure,
    no_data,
    time_axis,
    to_png,
)
from itb_assets.observability.wording import amount, counted, number, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UPPER, _LOWER = (0.085, 0.40, 0.82, 0.45), (0.085, 0.105, 0.82, 0.20)
_MOST_BARS = 370  # a year of days
_BAR_AREA_PT = 500.0  # width of the plotted area in points


def equity_and_drawdown(frame: pd.DataFrame, *, title: str, note: str = "") -> bytes:
    """Draw what an account was worth and, below, how far that stood under its highest worth so far.

    `frame` holds `timestamp` and `equity`, in order of time, and may hold `buy_and_hold`, both in quote
    currency, and `drawdown` (a share, 0 or less). Unknown and infinite values are left out.
    """
    equity = finite(frame["equity"])
    if not np.isfinite(equity).any():
        return no_data(title, "no equity to show: no position was closed yet")
    figure = new_figure(title, note=note)
    upper = figure.add_axes(_UPPER)
    lower = figure.add_axes(_LOWER, sharex=upper)
    times, ends = frame["timestamp"], []
    if "buy_and_hold" in frame and np.isfinite(held := finite(frame["buy_and_hold"])).any():
        ends.append((_line(upper, times, held, GREY, 0.9), "buy & hold", GREY))
    end = _line(upper, times, equity, BLUE, 1.4)
    upper.margins(x=0.01, y=0.1)
    beside(upper, [(end, amount(end), BLUE), *ends])
    _drawdown(lower, times, drawdown_of(frame))
    around_one_time(upper, times)
    _dress_both(upper, lower, "equity, quote currency", "drawdown, %")
    return to_png(figure)


def daily_pnl(daily: pd.DataFrame, *, title: str) -> bytes:
    """Draw profit and loss of each day as bars, and above them their running total.

    `daily` holds `day` and `total_pnl` in quote currency; an unknown one counts as none. More days than
    fit are pooled, several to a bar, and the axis says how many.
    """
    pooled = pool_days(daily["day"], daily["total_pnl"], _MOST_BARS)
    pnl, days = pooled.pnl, pooled.days_a_bar
    if len(pnl) == 0:
        return no_data(title, "no day with a closed position yet")
    periods = counted(len(pnl), "day" if days == 1 else f"{days}-day period")
    figure = new_figure(title, note=f"{int((pnl > 0).sum()):,} of {periods} with a profit")
    upper = figure.add_axes(_UPPER)
    lower = figure.add_axes(_LOWER, sharex=upper)
    times = pd.Series(pooled.starts)
    upper.axhline(0, color=GREY, linewidth=0.8)
    end = _line(upper, times, np.cumsum(pnl), INK, 1.3)
    beside(upper, [(end, amount(end, signed=True), INK)])
    width = _bar_width(pooled.starts, days)
    for rows, colour in ((pnl > 0, BLUE), (pnl < 0, VERMILION)):
        lower.vlines(naive(times[rows]), 0, pnl[rows], colors=colour, linewidth=width)
    lower.axhline(0, color=GREY, linewidth=0.8)
    pad = np.timedelta64(12 * days + len(pnl) // 4, "h")
    upper.set_xlim(naive(times)[0] - pad, naive(times)[-1] + pad)
    each = "each day" if days == 1 else f"each {days} days"
    _dress_both(upper, lower, "profit and loss so far, quote currency", each)
    return to_png(figure)


def win_rate_by_hour(by_hour: pd.DataFrame, *, title: str) -> bytes:
    """Draw the share of trades won by hour of entry with Wilson's 95 % bounds, and how many there were.

    `by_hour` holds `hour` (0 to 23, UTC), `trades` and `win_rate` (a share, 0 to 1); hours may be absent.
    """
    hours = by_hour_of_day(by_hour)
    if len(hours.hour) == 0:
        return no_data(title, "no closed position yet")
    figure = new_figure(
        title, note=f"{counted(int(hours.trades.sum()), 'trade')}, {share(hours.overall)} won"
    )
    upper = figure.add_axes(_UPPER)
    lower = figure.add_axes(_LOWER, sharex=upper)
    upper.axhline(hours.overall * 100, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    upper.vlines(hours.hour, hours.low * 100, hours.high * 100, color=SKY, linewidth=3)
    upper.plot(hours.hour, hours.win_rate * 100, "o", color=BLUE, markersize=6, zorder=3, clip_on=False)
    upper.set_ylim(0, 100)
    beside(upper, [(hours.overall * 100, f"all hours\n{share(hours.overall)}", GREY)])
    upper.tick_params(labelbottom=False)
    lower.bar(hours.hour, hours.trades, color=GREY, width=0.7)
    lower.set_xticks(range(24))
    lower.set_xlim(-0.6, 23.6)
    lower.locator_params(axis="y", nbins=4, integer=True)
    lower.yaxis.set_major_formatter("{x:,.0f}")
    dress(upper, ylabel="trades won, %, with 95 % bounds", grid="y")
    dress(lower, xlabel="hour of entry, UTC", ylabel="trades", grid="y")
    return to_png(figure)


def return_distribution(return_pct: Sequence[float] | pd.Series, *, title: str) -> bytes:
    """Draw how the net returns of closed positions are spread, in per cent of what each was entered with.

    Unknown ones are left out. The few beyond the outermost bars are counted in the picture, not drawn.
    """
    known = finite(pd.Series(return_pct))
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return no_data(title, "no closed position yet")
    counts, edges = histogram_around_zero(known)
    beyond = len(known) - int(counts.sum())
    note = counted(len(known), "trade") + (f", {beyond:,} of them beyond the picture" if beyond else "")
    figure = new_figure(title, note=note)
    axes = figure.add_axes((0.085, 0.145, 0.88, 0.70))
    centres, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges) * 0.92
    for rows, colour, name in ((centres < 0, VERMILION, "lost"), (centres > 0, BLUE, "won")):
        if counts[rows].any():
            axes.bar(centres[rows], counts[rows], width=widths[rows], color=colour, label=name)
    axes.axvline(0, color=GREY, linewidth=1)
    mean = float(known.mean())
    words = f"mean {number(mean, 3, signed=True)} %"
    axes.axvline(mean, color=INK, linewidth=1.4, linestyle=(0, (4, 3)), label=words)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    axes.margins(x=0.02)
    axes.locator_params(axis="y", integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    dress(axes, xlabel="net return of a trade, %", ylabel="trades", grid="y")
    return to_png(figure)


def _line(axes: Axes, times: pd.Series, values: Floats, colour: str, width: float) -> float:
    """Draw a curve through few points and a dot at its end, and return the value there."""
    shown = keep_extremes(values)
    axes.plot(naive(times.iloc[shown]), values[shown], color=colour, linewidth=width)
    last = int(np.flatnonzero(np.isfinite(values))[-1])
    axes.plot(naive(times.iloc[last : last + 1]), values[[last]], "o", color=colour, markersize=4)
    return float(values[last])


def _drawdown(axes: Axes, times: pd.Series, down: Floats) -> None:
    """Fill the drawdown and say where and how deep it was worst."""
    shown = keep_extremes(down)
    few = naive(times.iloc[shown])
    axes.fill_between(few, down[shown], 0, color=VERMILION, alpha=0.25, linewidth=0)
    axes.plot(few, down[shown], color=VERMILION, linewidth=0.9)
    deepest = float(np.nanmin(down, initial=0.0))
    axes.set_ylim(min(deepest * 1.25, -1.0), 0)
    if deepest < 0:
        worst = int(np.nanargmin(down))
        axes.plot(naive(times.iloc[worst : worst + 1]), down[[worst]], "o", color=VERMILION, markersize=4)
        beside(axes, [(deepest, f"worst\n{number(deepest)} %", VERMILION)])


def _dress_both(upper: Axes, lower: Axes, above: str, below: str) -> None:
    """Dress a pair of panels that share their times."""
    for axes in (upper, lower):
        axes.yaxis.set_major_formatter("{x:,.7g}")
    lower.locator_params(axis="y", nbins=4)
    time_axis(lower)
    upper.tick_params(labelbottom=False)
    dress(upper, ylabel=above)
    dress(lower, xlabel="UTC", ylabel=below)


def _bar_width(starts: pd.DatetimeIndex, days: int) -> float:
    """Return the points a bar may be wide."""
    slots = (starts[-1] - starts[0]) / pd.Timedelta(days=days) + 2
    return float(np.clip(0.7 * _BAR_AREA_PT / slots, 0.8, 26))
