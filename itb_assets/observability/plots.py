"""Plots for a page: PNG bytes of 900 x 420 pixels, drawn without any global state.

What is plotted is worked out in `plot_data`. An input without a single value gives a panel that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from itb_assets.observability.plot_data import (
    Bools,
    Floats,
    calibrate,
    keep_extremes,
    lanes,
    run_starts,
)
from itb_assets.observability.plot_style import (
    BLUE,
    GREY,
    INK,
    SKY,
    VERMILION,
    beside,
    dress,
    naive,
    new_figure,
    no_data,
    shorten,
    time_axis,
    to_png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDES = (("sell", VERMILION, "v", 9), ("buy", BLUE, "^", -9))
_MANY_MARKERS = 150
_MANY_FOLDS = 9


def price_with_signals(
    frame: pd.DataFrame, buy: Sequence[bool] | pd.Series, sell: Sequence[bool] | pd.Series, *, title: str
) -> bytes:
    """Draw `close` over `timestamp`, a mark where each run of buys or sells begins, all signals below.

    `buy` and `sell` belong to the rows of `frame` by position; unknown ones count as none.
    """
    close = frame["close"].to_numpy(dtype=np.float64)
    if not np.isfinite(close).any():
        return no_data(title, "no klines to show")
    figure = new_figure(title)
    price = figure.add_axes((0.085, 0.27, 0.84, 0.57))
    strip = figure.add_axes((0.085, 0.105, 0.84, 0.115), sharex=price)
    times = frame["timestamp"]
    shown = keep_extremes(close)
    price.plot(naive(times.iloc[shown]), close[shown], color=GREY, linewidth=1.2)
    last = int(np.flatnonzero(np.isfinite(close))[-1])
    price.plot(naive(times.iloc[last : last + 1]), close[[last]], "o", color=INK, markersize=4)
    price.annotate(
        f"{close[last]:,.7g}",
        (naive(times.iloc[last : last + 1])[0], close[last]),
        (7, 0),
        textcoords="offset points",
        va="center",
        size=9,
        color=INK,
        annotation_clip=False,
    )
    counts = []
    for level, (side, colour, marker, offset) in enumerate(_SIDES):
        flags = _flags(sell if side == "sell" else buy)
        starts = run_starts(flags)
        if len(starts) <= _MANY_MARKERS:
            _marks(price, naive(times.iloc[starts]), close[starts], colour, marker, offset)
        at, share = lanes(flags)
        colours = [(colour, 0.3 + 0.7 * part) for part in share]
        strip.vlines(naive(times.iloc[at]), level - 0.36, level + 0.36, colors=colours, linewidth=1.5)
        counts.append(f"{side} {flags.sum():,}")
    dress(price, ylabel="close")
    price.yaxis.set_major_formatter("{x:,.7g}")
    price.tick_params(labelbottom=False)
    price.margins(x=0.01, y=0.1)
    _strip(strip, counts)
    return to_png(figure)


def score_calibration(
    scores: Sequence[float] | pd.Series,
    outcomes: Sequence[bool] | pd.Series,
    *,
    bins: int = 10,
    title: str = "Score calibration, out of sample",
) -> bytes:
    """Draw how often a label came true against the score it was given, and how the scores are spread.

    Rows whose score or outcome is unknown are left out. Bins hold equal counts; bars are Wilson's 95 %
    bounds.
    """
    score = np.asarray(pd.Series(scores), dtype=np.float64)
    outcome = pd.Series(outcomes).astype("boolean")
    known = np.isfinite(score) & outcome.notna().to_numpy()
    if not known.any():
        return no_data(title, "no row has both a score and an outcome yet")
    score, hit = score[known], outcome[known].to_numpy(dtype=np.bool_)
    figure = new_figure(title, note=f"{len(score):,} rows, {hit.mean():.1%} came true")
    _reliability(figure.add_axes((0.085, 0.155, 0.45, 0.69)), score, hit, bins)
    _spread(figure.add_axes((0.62, 0.155, 0.36, 0.69)), score, hit)
    return to_png(figure)


def walk_forward_auc(
    folds: Sequence[tuple[str, float]], overall: float, *, title: str = "Walk-forward AUC"
) -> bytes:
    """Draw the AUC of each test window as (label, auc) in order of time, beside the one over all of them."""
    aucs = np.array([auc for _, auc in folds], dtype=np.float64)
    if not np.isfinite(aucs).any():
        return no_data(title, "no window could be scored yet")
    figure = new_figure(title, note="each window scored by a model fitted on earlier rows only")
    axes = figure.add_axes((0.085, 0.155, 0.80, 0.69))
    at = np.arange(len(aucs))
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(at, 0.5, aucs, color=SKY, linewidth=3)
    axes.plot(at, aucs, "o", color=BLUE, markersize=8, zorder=3)
    _values(axes, at, aucs)
    if np.isfinite(overall):
        axes.axhline(overall, color=VERMILION, linewidth=1.3)
    every = -(-len(aucs) // _MANY_FOLDS)
    axes.set_xticks(at[::every], [label for label, _ in folds][::every])
    axes.set_xlim(-0.5, len(aucs) - 0.5)
    known = np.append(aucs[np.isfinite(aucs)], [0.5, overall if np.isfinite(overall) else 0.5])
    room = max(float(np.ptp(known)) * 0.18, 0.02)
    axes.set_ylim(known.min() - room, known.max() + room)
    _name_lines(axes, overall)
    dress(axes, ylabel="AUC", xlabel="test window", grid="y")
    return to_png(figure)


def feature_importance(
    names: Sequence[str], gains: Sequence[float], *, top: int = 20, title: str = "Feature importance"
) -> bytes:
    """Draw the `top` features by gain, as shares of the gain of all; ValueError unless each has one gain."""
    ranked = sorted(zip(names, gains, strict=True), key=lambda pair: -pair[1])
    total = float(sum(gain for _, gain in ranked))
    if total <= 0:
        return no_data(title, "the model uses no feature")
    shown = ranked[:top]
    shares = np.array([gain for _, gain in shown]) / total * 100
    figure = new_figure(
        title, note=f"{len(shown)} of {len(ranked)} features" if len(shown) < len(ranked) else ""
    )
    axes = figure.add_axes((0.27, 0.125, 0.69, 0.735))
    at = np.arange(len(shown))
    axes.barh(at, shares, color=BLUE, height=0.68)
    size = 9 if len(shown) <= 15 else 7.5  # noqa: PLR2004  twenty lines of 9 points would touch
    for row, share in enumerate(shares):
        axes.annotate(
            f"{share:.1f}",
            (share, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            size=size,
            color=INK,
        )
    axes.set_yticks(at, [shorten(name) for name, _ in shown])
    axes.invert_yaxis()
    axes.set_ylim(max(len(shown), 4) - 0.4, -0.6)
    axes.set_xlim(0, shares.max() * 1.08)
    dress(axes, xlabel="share of total gain, %", grid="x")
    axes.tick_params(axis="y", labelsize=size, length=0)
    return to_png(figure)


def _marks(axes: Axes, times: Any, close: Floats, colour: str, marker: str, offset: int) -> None:  # noqa: ANN401
    """Put a triangle clear of the line, below it for buys and above it for sells."""
    from matplotlib.transforms import ScaledTranslation  # noqa: PLC0415 - only drawing pays for matplotlib

    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101  axes are always made by a figure here
    shift = ScaledTranslation(0, offset / 72, figure.dpi_scale_trans)
    many = len(times) > _MANY_MARKERS // 3
    axes.plot(
        times,
        close,
        linestyle="none",
        marker=marker,
        markersize=4.5 if many else 7.5,
        alpha=0.75 if many else 1.0,
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.3 if many else 0.6,
        transform=axes.transData + shift,
    )


def _strip(axes: Axes, lane_names: Sequence[str]) -> None:
    """Name the two lanes of the signal strip and lay out the time axis under it."""
    time_axis(axes)
    axes.set_yticks(range(len(lane_names)), lane_names)
    axes.set_ylim(-0.55, 1.55)
    dress(axes, xlabel="UTC", grid="")
    axes.tick_params(axis="y", length=0)
    for label, (_, colour, _, _) in zip(axes.get_yticklabels(), _SIDES, strict=True):
        label.set_color(colour)


def _reliability(axes: Axes, score: Floats, hit: Bools, bins: int) -> None:
    """Draw observed against predicted with its bounds, over the range that scores take."""
    curve = calibrate(score, hit, bins)
    top = float(min(max(curve.predicted.max(), curve.high.max()) * 1.06, 1.02))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.fill_between(curve.predicted, curve.low, curve.high, color=SKY, alpha=0.3, linewidth=0)
    axes.plot(curve.predicted, curve.observed, "o-", color=BLUE, linewidth=1.5, markersize=5, clip_on=False)
    axes.set_xlim(min(0.0, float(curve.predicted.min())), top)
    axes.set_ylim(0, top)
    axes.text(
        0.98, 0.03, "dashed: perfectly calibrated", size=8, color=GREY, ha="right", transform=axes.transAxes
    )
    dress(axes, xlabel="mean score of the bin", ylabel="share that came true, with 95 % bounds")


def _spread(axes: Axes, score: Floats, hit: Bools) -> None:
    """Draw how scores spread among rows that came true and among those that did not."""
    edges = np.linspace(score.min(), score.max() if np.ptp(score) > 0 else score.min() + 0.01, 31)
    for rows, name, colour in ((~hit, "did not come true", GREY), (hit, "came true", VERMILION)):
        if rows.any():
            share = np.histogram(score[rows], edges)[0] / rows.sum() * 100
            axes.stairs(share, edges, color=colour, linewidth=1.5, label=name, fill=False)
            axes.stairs(share, edges, color=colour, alpha=0.15, fill=True)
    axes.margins(x=0.01)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.22)  # room for the legend
    axes.legend(frameon=False, fontsize=9, loc="upper right", borderaxespad=0.1, labelcolor=INK)
    dress(axes, xlabel="score", ylabel="rows, % of each group")


def _values(axes: Axes, at: Any, values: Floats) -> None:  # noqa: ANN401
    """Write each value beyond its point, away from the coin flip; not for so many that they would touch."""
    if len(values) > 2 * _MANY_FOLDS:
        return
    for x, value in zip(at, values, strict=True):
        if not np.isfinite(value):
            axes.annotate("not scored", (x, 0.5), ha="center", va="bottom", size=8, color=GREY)
        else:
            above = value >= 0.5  # noqa: PLR2004  a coin flip
            axes.annotate(
                f"{value:.3f}",
                (x, value),
                (0, 8 if above else -8),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                size=9,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
            )


def _name_lines(axes: Axes, overall: float) -> None:
    """Name both horizontal lines to the right of the axes."""
    names = [(0.5, "coin flip\n0.500", GREY)]
    if np.isfinite(overall):
        names.append((overall, f"all windows\n{overall:.3f}", VERMILION))
    beside(axes, names)


def _flags(values: Sequence[bool] | pd.Series) -> Bools:
    return pd.Series(values).astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)
