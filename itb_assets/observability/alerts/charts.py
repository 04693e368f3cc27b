"""Small pictures that travel with alerts: a measure and its limit, and profit and loss by day.

What is measured, and when it alarms, belongs elsewhere; larger plots belong to `plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from itb_assets.observability.alerts.catalogue import UNKNOWN, Language, figure
from itb_assets.observability.plot_style import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    beside,
    dress,
    new_figure,
    no_data,
    shorten,
    time_axis,
    to_png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Sequence[float | None]

_INCHES, _DPI = (5.0, 3.0), 180
"""Fewer inches than other plots have, at more dots: on a phone the words would else be too small to read."""
_PLACE = (0.13, 0.14, 0.65, 0.66)
_TITLE_LENGTH = 46
_MOST_POINTS = 2000
_FEW, _MILLION = 60, 1e6
_EMPTY = {"en": "nothing measured yet", "pt": "nada medido ainda"}
_LIMIT = {"en": "limit {0}", "pt": "limite {0}"}
_TOTAL = {"en": "total {0}", "pt": "total {0}"}


def measure_chart(
    times: Sequence[datetime],
    values: Numbers,
    *,
    limit: float | None,
    title: str,
    unit: str = "",
    language: Language = "en",
) -> bytes:
    """Draw a measure over time with the limit that it crossed, as a PNG.

    Unknown and infinite values leave a gap. Of many points every nth is drawn, and always the last and the
    extremes. Raise ValueError where there are not as many times as values.
    """
    if len(times) != len(values):
        raise ValueError(f"{len(times)} times and {len(values)} values: expected as many of each")
    kept = _thinned(_known(values))
    numbers = _known(values)[kept]
    if not np.isfinite(numbers).any():
        return no_data(title, _EMPTY[language])
    when = _instants(times)[kept]
    figure_ = _canvas(title)
    axes = figure_.add_axes(_PLACE)
    axes.plot(
        when, numbers, color=BLUE, linewidth=1.6, marker="o" if len(numbers) <= _FEW else "", markersize=3
    )
    last = float(numbers[np.isfinite(numbers)][-1])
    notes = [(last, _written(last, language), BLUE)]
    if limit is not None and np.isfinite(limit):
        axes.axhline(limit, color=VERMILION, linewidth=1.2, linestyle="--")
        notes.append((limit, _LIMIT[language].format(_written(limit, language)), VERMILION))
    axes.margins(x=0.02, y=0.15)
    if axes.get_ylim()[0] < 0 <= min(np.nanmin(numbers), limit or 0.0):
        axes.set_ylim(bottom=0)
    _finish(axes, when, unit, language)
    beside(axes, notes)
    return to_png(figure_)


def pnl_chart(
    days: Sequence[date],
    pnl: Numbers,
    *,
    title: str,
    currency: str = "",
    limit: float | None = None,
    language: Language = "en",
) -> bytes:
    """Draw profit and loss of each day as bars and its running total as a line, as a PNG.

    An unknown day counts as none. `limit` is the loss of a day that alarms, as a number below zero. Raise
    ValueError where there are not as many days as numbers.
    """
    if len(days) != len(pnl):
        raise ValueError(f"{len(days)} days and {len(pnl)} numbers: expected as many of each")
    numbers = _known(pnl)
    if not np.isfinite(numbers).any():
        return no_data(title, _EMPTY[language])
    numbers = np.nan_to_num(numbers, nan=0.0)
    when = np.array([np.datetime64(day, "D") for day in days])
    total = np.cumsum(numbers)
    figure_ = _canvas(title)
    axes = figure_.add_axes(_PLACE)
    axes.bar(when, numbers, width=0.8, color=np.where(numbers < 0, VERMILION, BLUE))
    axes.plot(when, total, color=INK, linewidth=1.3)
    axes.axhline(0, color=GREY, linewidth=0.8)
    notes = [(float(total[-1]), _TOTAL[language].format(_written(float(total[-1]), language)), INK)]
    if limit is not None and np.isfinite(limit):
        axes.axhline(limit, color=VERMILION, linewidth=1.2, linestyle="--")
        notes.append((limit, _LIMIT[language].format(_written(limit, language)), VERMILION))
    axes.margins(x=0.02, y=0.12)
    _finish(axes, when, currency, language)
    beside(axes, notes)
    return to_png(figure_)


def _canvas(title: str) -> Figure:
    made = new_figure(shorten(title, _TITLE_LENGTH).replace(r"\$", "$"))
    made.set_size_inches(*_INCHES)
    made.set_dpi(_DPI)
    return made


def _finish(axes: Axes, when: NDArray[np.datetime64], ylabel: str, language: Language) -> None:
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415 - only drawing pays for matplotlib

    if when[0] == when[-1]:
        axes.set_xlim(when[0] - np.timedelta64(12, "h"), when[0] + np.timedelta64(12, "h"))
    time_axis(axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _written(value, language)))
    dress(axes, ylabel=ylabel, grid="y")


def _known(values: Numbers) -> NDArray[np.float64]:
    """Return the values with NaN for what is unknown or infinite."""
    numbers = np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _thinned(numbers: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which points are drawn: evenly many, the last and the extremes."""
    every = np.arange(0, len(numbers), max(1, len(numbers) // _MOST_POINTS))
    if len(every) == len(numbers) or not np.isfinite(numbers).any():
        return every
    ends = [len(numbers) - 1, int(np.nanargmin(numbers)), int(np.nanargmax(numbers))]
    return np.unique(np.concatenate([every, ends]))


def _instants(times: Sequence[datetime]) -> NDArray[np.datetime64]:
    return np.array([np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "s") for time in times])


def _written(value: float, language: Language) -> str:
    """Write a number with as many decimals as its size deserves."""
    if not np.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size >= _MILLION:
        return f"{figure(value / _MILLION, language, 0 if value % _MILLION == 0 else 1)} M"
    decimals = 0 if size >= 100 or value == int(value) else 2 if size >= 0.1 else 4  # noqa: PLR2004
    return figure(value, language, decimals)
