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
)
from itb_assets.observability.plot_style import (
    BLUE,
    GREY,
    INK,
    SKY,
    VERMILION,
    beside,
    dress,
    new_figure,
    no_data,
    shorten,
    to_png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MANY_FOLDS = 9


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
