"""The one look of every plot: size, colours, figure, axes, and how a figure becomes a small PNG.

What is drawn belongs to `plots`, `performance_plots` and `model_plots`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX, DPI = 900, 420, 100

# Okabe and Ito's palette: told apart by colour-blind readers, and in grey by lightness or shape.
BLUE, VERMILION, SKY, ORANGE = "#0072B2", "#D55E00", "#56B4E9", "#E69F00"
INK, GREY, RULE = "#222222", "#6b7280", "#e5e7eb"

_COLOURS = 64  # no pixel moves by more than 15 of 255, and the file is a quarter of the one in true colour
_LABEL_ROOM = 0.14  # of the height, under which two labels would touch
_NAME_LENGTH, _TITLE_LENGTH, _NOTE_LENGTH = 34, 78, 90  # letters that fit


def new_figure(title: str, *, note: str = "") -> Figure:
    """Return an empty figure with its title, and a note opposite to it."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only drawing pays for matplotlib

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
    room = max(_NAME_LENGTH, _TITLE_LENGTH - round(0.6 * len(note)))
    figure.text(0.02, 0.955, shorten(title, room), size=12, weight="bold", color=INK, va="center")
    figure.text(0.98, 0.955, shorten(note, _NOTE_LENGTH), size=9, color=GREY, va="center", ha="right")
    return figure


def dress(
    axes: Axes, *, xlabel: str = "", ylabel: str = "", grid: Literal["", "x", "y", "both"] = "both"
) -> None:
    """Give axes the one look of this project: light grid behind the data, no box, grey ticks."""
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(RULE)
    axes.tick_params(colors=GREY, labelsize=9, length=3)
    if grid:
        axes.grid(visible=True, axis=grid, color=RULE, linewidth=0.8)
    axes.set_xlabel(xlabel, size=9, color=GREY)
    # Above the axis and level, where it is read without turning one's head.
    axes.annotate(
        ylabel, (0, 1), (-2, 8), xycoords="axes fraction", textcoords="offset points", size=9, color=GREY
    )


def beside(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write up to two labels (value, words, colour) right of the axes, level with their values, yet apart.

    The axes must have their final limits.
    """
    low, high = axes.get_ylim()
    ordered = sorted(labels)
    close = len(ordered) > 1 and ordered[1][0] - ordered[0][0] < _LABEL_ROOM * (high - low)
    for (value, words, colour), away in zip(ordered, ("top", "bottom"), strict=False):
        axes.annotate(
            words,
            (1, value),
            (6, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va=away if close else "center",
            size=9,
            color=colour,
            annotation_clip=False,
        )


def no_data(title: str, why: str) -> bytes:
    """Draw an empty panel that says why it is empty."""
    figure = new_figure(title)
    figure.text(0.5, 0.48, why, size=13, color=GREY, ha="center", va="center")
    return to_png(figure)


def to_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG of few colours.

    Pictures are stored in the event log at every update: a palette makes them four times smaller.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
    from PIL import Image  # noqa: PLC0415 - as above

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
    few = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def time_axis(axes: Axes) -> None:
    """Lay out a horizontal axis of times, with few words."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - as above

    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def around_one_time(axes: Axes, times: pd.Series) -> None:
    """Show the day around a single point in time, which would else be drawn amid years."""
    first, last = naive(times.iloc[:1])[0], naive(times.iloc[-1:])[0]
    if first == last:
        axes.set_xlim(first - np.timedelta64(12, "h"), last + np.timedelta64(12, "h"))


def naive(times: pd.Series) -> NDArray[np.datetime64]:
    """Return times as UTC without a zone, which is what matplotlib draws without converting."""
    return pd.DatetimeIndex(pd.to_datetime(times, utc=True)).tz_localize(None).to_numpy()


def shorten(name: str, length: int = _NAME_LENGTH) -> str:
    """Put a name on one line of at most `length` letters, cut in the middle, where the least is said.

    A dollar sign stays one: matplotlib would read what stands between two of them as a formula.
    """
    line = " ".join(name.split())
    if len(line) > length:
        half = (length - 1) // 2
        line = f"{line[:half]}…{line[-half:]}"
    return line.replace("$", r"\$")
