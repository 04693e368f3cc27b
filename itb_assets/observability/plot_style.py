"""The one look of every plot: size, colours, figure, axes, and how a figure becomes PNG bytes.

What is drawn belongs to `plots`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX, DPI = 900, 420, 100

# Okabe and Ito's palette: told apart by colour-blind readers, and in grey by lightness or shape.
BLUE, VERMILION, SKY = "#0072B2", "#D55E00", "#56B4E9"
INK, GREY, RULE = "#222222", "#6b7280", "#e5e7eb"


def new_figure(title: str, *, note: str = "") -> Figure:
    """Return an empty figure with its title, and a note opposite to it."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only drawing pays for matplotlib

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
    figure.text(0.02, 0.955, title, size=12, weight="bold", color=INK, va="center")
    figure.text(0.98, 0.955, note, size=9, color=GREY, va="center", ha="right")
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


def no_data(title: str, why: str) -> bytes:
    """Draw an empty panel that says why it is empty."""
    figure = new_figure(title)
    figure.text(0.5, 0.48, why, size=13, color=GREY, ha="center", va="center")
    return to_png(figure)


def to_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above

    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()
