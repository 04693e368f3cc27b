"""Close and signals as a small SVG: a page that is written at every kline can afford it.

It takes a thousandth of a second and a few kilobytes; plots that are drawn once a training belong to `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from itb_assets.observability.plot_data import Bools, Floats, keep_extremes, run_starts
from itb_assets.observability.plot_style import BLUE, GREY, HEIGHT_PX, INK, RULE, VERMILION, WIDTH_PX

_LEFT, _RIGHT, _TOP, _BOTTOM = 75.0, 825.0, 60.0, 300.0
_STRIPS = {"buy": (BLUE, 325.0), "sell": (VERMILION, 355.0)}
_STRIP_HEIGHT = 18.0
_TICKS = 4
_MANY_MARKERS = 150
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def signal_plot(
    frame: pd.DataFrame, buy: Sequence[bool] | pd.Series, sell: Sequence[bool] | pd.Series, *, title: str
) -> bytes:
    """Draw `close` over `timestamp`, a mark where each run of buys or sells begins, all signals below.

    `buy` and `sell` belong to the rows of `frame` by position; unknown ones count as none. Returns SVG of
    900 x 420 pixels; a frame without any close gives a panel that says so.
    """
    close = frame["close"].to_numpy(dtype=np.float64)
    known = np.isfinite(close)
    if not known.any():
        return _svg([_text(20, 24, title, size=15, bold=True), _text(450, 210, "no klines to show")])
    low, high, ticks = _scale(float(close[known].min()), float(close[known].max()))
    x = np.linspace(_LEFT, _RIGHT, max(len(close), 2))[: len(close)]
    y = _BOTTOM - (close - low) / (high - low) * (_BOTTOM - _TOP)
    parts = [_text(20, 24, title, size=15, bold=True), *_grid(ticks, low, high), *_time_axis(frame, x)]
    shown = keep_extremes(close)
    parts.append(f'<path d="{_path(x[shown], y[shown])}" fill="none" stroke="{GREY}" stroke-width="1.3"/>')
    last = int(np.flatnonzero(known)[-1])
    parts.append(f'<circle cx="{x[last]:.1f}" cy="{y[last]:.1f}" r="3.5" fill="{INK}"/>')
    parts.append(_text(x[last] + 8, y[last] + 4, f"{close[last]:,.7g}", colour=INK))
    for side, flags in (("buy", _flags(buy)), ("sell", _flags(sell))):
        parts += _side(side, flags, x, y)
    return _svg(parts)


def _svg(parts: Sequence[str]) -> bytes:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{HEIGHT_PX}" '
        f'viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" font-family="DejaVu Sans, Arial, sans-serif">'
        f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="white"/>'
    )
    return (head + "".join(parts) + "</svg>").encode()


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    colour: str = GREY,
    bold: bool = False,
    anchor: str = "start",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    fill = INK if bold else colour
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{weight}>'
        f"{escape(words)}</text>"
    )


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return the limits of the price axis and round values on it."""
    room = (high - low) * 0.06 or abs(high) * 0.001 or 1.0
    low, high = low - room, high + room
    raw = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * nice for nice in _NICE if unit * nice >= raw)
    first = math.ceil(low / step)
    return low, high, [k * step for k in range(first, math.floor(high / step) + 1)]


def _grid(ticks: Sequence[float], low: float, high: float) -> Iterator[str]:
    for tick in ticks:
        y = _BOTTOM - (tick - low) / (high - low) * (_BOTTOM - _TOP)
        yield f'<path d="M{_LEFT:.0f} {y:.1f}H{_RIGHT:.0f}" stroke="{RULE}"/>'
        yield _text(_LEFT - 8, y + 4, f"{tick:,.7g}", anchor="end")


def _time_axis(frame: pd.DataFrame, x: Floats) -> Iterator[str]:
    times = frame["timestamp"]
    pattern = "%m-%d %H:%M" if times.iloc[-1] - times.iloc[0] < pd.Timedelta(days=20) else "%Y-%m-%d"
    for row in np.unique(np.linspace(0, len(x) - 1, _TICKS + 1).astype(int)):
        yield _text(x[row], 400, f"{times.iloc[row]:{pattern}}", anchor="middle")


def _path(x: Floats, y: Floats) -> str:
    """Return an SVG path that is interrupted where a value is unknown."""
    words, pen_down = [], False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(down):
            words.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = math.isfinite(down)
    return "".join(words)


def _side(side: str, flags: Bools, x: Floats, y: Floats) -> Iterator[str]:
    """Yield one side's marks on the price, and its strip with a line for every signal."""
    colour, top = _STRIPS[side]
    sign = 1 if side == "buy" else -1
    starts = run_starts(flags)
    starts = starts[np.isfinite(y[starts])]
    if len(starts) <= _MANY_MARKERS:
        marks = "".join(
            f"M{x[row]:.1f} {y[row] + 6 * sign:.1f}l-4.5 {9 * sign}h9z" for row in starts.tolist()
        )
        yield f'<path d="{marks}" fill="{colour}"/>'
    lines = "".join(f"M{value:.1f} {top}v{_STRIP_HEIGHT:.0f}" for value in np.unique(x[flags].round(1)))
    yield f'<path d="{lines}" stroke="{colour}" stroke-width="1.5" opacity="0.8"/>'
    yield _text(_LEFT - 8, top + 13, f"{side} {int(flags.sum()):,}", colour=colour, anchor="end")


def _flags(values: Sequence[bool] | pd.Series) -> Bools:
    return pd.Series(values).astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)
