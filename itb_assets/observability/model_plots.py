"""Plots that judge models: compared with each other, over time against a threshold, candidates of a search.

Plots of one model's training belong to `plots`, of trading results to `performance_plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from itb_assets.observability.plot_data import (
    Bools,
    Floats,
    Positions,
    finite,
    keep_extremes,
    shared_start,
)
from itb_assets.observability.plot_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    around_one_time,
    beside,
    dress,
    naive,
    new_figure,
    no_data,
    shorten,
    time_axis,
    to_png,
)
from itb_assets.observability.wording import counted, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHANCE = 0.5
_MOST_ROWS = 20
_ROOMY_ROWS = 15  # above which lines of 9 points would touch
_MOST_MARKERS = 200
_LARGE_MARKERS = 100
_FIELD = (0.32, 0.125, 0.54, 0.735)
_ROW_NAME = 40  # letters that fit left of the field

_VERDICT_LOOKS = {
    "ok": (BLUE, "o"),
    "warning": (ORANGE, "^"),
    "error": (VERMILION, "X"),
    "insufficient data": (GREY, "."),
}


def model_comparison(models: pd.DataFrame, *, title: str, top: int = _MOST_ROWS) -> bytes:
    """Draw the out-of-sample AUC of each model with its interval, the best first, beside a coin flip.

    `models` holds `name`, `auc`, and the bounds `low` and `high`, which may be unknown; a boolean column
    `promoted` may be there: promoted models are drawn full, others hollow. Models without AUC are left out.
    Blue is above a coin flip by its whole interval, vermilion below, grey neither.
    """
    known = models[np.isfinite(finite(models["auc"]))].sort_values("auc", ascending=False, kind="stable")
    if known.empty:
        return no_data(title, "no model was scored out of sample yet")
    shown = known.head(top)
    figure = new_figure(title, note=_how_many(len(shown), len(known), "model"))
    axes = figure.add_axes(_FIELD)
    auc, low, high = (finite(shown[column]) for column in ("auc", "low", "high"))
    full = np.ones(len(shown), dtype=np.bool_)
    if "promoted" in shown:
        full = shown["promoted"].astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)
    at = np.arange(len(shown))
    axes.axvline(_CHANCE, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for rows, colour in _against_chance(low, high):
        axes.hlines(at[rows], low[rows], high[rows], color=colour, linewidth=3, alpha=0.45)
        for part, face in ((rows & full, colour), (rows & ~full, "white")):
            axes.plot(auc[part], at[part], "o", color=colour, markerfacecolor=face, markersize=7, zorder=3)
    bounds = np.concatenate([auc, low, high, [_CHANCE]])
    _room(axes, bounds[np.isfinite(bounds)], 0.01)
    hollow = "" if full.all() else "; hollow: not promoted"
    dress(axes, xlabel=f"AUC out of sample, with its interval; dashed: a coin flip{hollow}", grid="both")
    _rows(axes, list(shown["name"]), [number(value, 3) for value in auc])
    return to_png(figure)


def search_leaderboard(
    candidates: pd.DataFrame, *, title: str, metric: str = "AUC, out of sample", top: int = _MOST_ROWS
) -> bytes:
    """Draw the candidates of a search for a model by their score, in the order given: the best first.

    `candidates` holds `name` and `score`, and may hold `seconds` it took to judge each, and `state`: one that
    is not `complete` was given up early and is drawn hollow. Candidates without a score are counted only.
    """
    known = candidates[np.isfinite(finite(candidates["score"]))]
    if known.empty:
        return no_data(title, "the search scored no candidate")
    shown = known.head(top)
    failed = len(candidates) - len(known)
    note = _how_many(len(shown), len(known), "candidate") + (f", {failed:,} failed" if failed else "")
    figure = new_figure(title, note=note)
    axes = figure.add_axes(_FIELD)
    scores, at = finite(shown["score"]), np.arange(len(shown))
    _room(axes, scores, 0.002)
    whole = (
        (shown["state"] == "complete").to_numpy() if "state" in shown else np.ones(len(shown), dtype=np.bool_)
    )
    for rows, face in ((whole, BLUE), (~whole, "white")):
        axes.plot(scores[rows], at[rows], "o", color=BLUE, markerfacecolor=face, markersize=6, zorder=3)
    axes.plot(scores[:1], at[:1], "o", color=VERMILION, markersize=9, zorder=4)
    ends = [number(score, 4) for score in scores]
    if "seconds" in shown:
        ends = [
            f"{end}  {number(took, 1)} s" for end, took in zip(ends, finite(shown["seconds"]), strict=True)
        ]
    early = "" if whole.all() else "; hollow: given up early"
    dress(axes, xlabel=f"{shorten(metric, 60)}{early}", grid="both")
    _rows(axes, list(shown["name"]), ends)
    return to_png(figure)


def drift_history(history: pd.DataFrame, *, title: str, measure: str = "value") -> bytes:
    """Draw a measure of drift against its threshold, each evaluation in the colour of its verdict.

    `history` holds `timestamp`, `value`, `threshold` (either may be unknown) and `verdict`: `ok`, `warning`,
    `error` or `insufficient data`; another one is drawn in ink. Evaluations without a value are counted.
    """
    ordered = history.sort_values("timestamp", kind="stable")
    value, threshold = finite(ordered["value"]), finite(ordered["threshold"])
    valued = np.isfinite(value)
    evaluations = counted(len(value), "evaluation")
    if not valued.any():
        return no_data(
            title, f"{evaluations}, none with enough data yet" if len(value) else "not evaluated yet"
        )
    missing = f"{len(value) - valued.sum():,} of {evaluations} without a value"
    figure = new_figure(title, note="" if valued.all() else missing)
    axes = figure.add_axes((0.085, 0.145, 0.80, 0.70))
    times, shown = ordered["timestamp"], keep_extremes(value, _MOST_MARKERS)
    axes.plot(naive(times.iloc[shown]), value[shown], color=GREY, linewidth=0.9, zorder=1)
    _threshold(axes, times, threshold)
    verdict = ordered["verdict"].astype("str").str.lower().str.replace("_", " ").to_numpy(dtype=object)
    for name in dict.fromkeys([*_VERDICT_LOOKS, *sorted(set(verdict))]):
        _points(axes, times, value, np.flatnonzero((verdict == name) & valued), name)
    axes.margins(x=0.02, y=0.12)
    around_one_time(axes, times)
    if np.isfinite(threshold).any():
        last = float(threshold[np.isfinite(threshold)][-1])
        beside(axes, [(last, f"threshold\n{last:.4g}", INK)])
    _legend(axes)
    time_axis(axes)
    dress(axes, xlabel="UTC", ylabel=shorten(measure))
    return to_png(figure)


def _threshold(axes: Axes, times: pd.Series, threshold: Floats) -> None:
    """Draw the threshold as it was; across the whole picture when it never moved."""
    known = np.unique(threshold[np.isfinite(threshold)])
    if len(known) == 1:
        axes.axhline(known[0], color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    else:
        kept = keep_extremes(threshold)
        axes.plot(naive(times.iloc[kept]), threshold[kept], color=INK, linewidth=1.2, linestyle=(0, (4, 3)))


def _points(axes: Axes, times: pd.Series, value: Floats, rows: Positions, verdict: str) -> None:
    """Draw the evaluations of one verdict, with their number; of very many, the extremes."""
    if len(rows) == 0:
        return
    colour, marker = _VERDICT_LOOKS.get(verdict, (INK, "s"))
    kept = rows[keep_extremes(value[rows], _MOST_MARKERS)]
    axes.plot(
        naive(times.iloc[kept]),
        value[kept],
        marker,
        color=colour,
        linestyle="none",
        markersize=7 if len(kept) <= _LARGE_MARKERS else 4.5,
        markeredgewidth=0,
        label=f"{shorten(verdict, 24)} {len(rows):,}",
        zorder=3,
    )


def _legend(axes: Axes) -> None:
    """Name the marks above the axes, in a row."""
    handles, _ = axes.get_legend_handles_labels()
    axes.legend(
        handles=handles,
        frameon=False,
        fontsize=9,
        ncols=len(handles),
        loc="lower right",
        bbox_to_anchor=(1.01, 0.99),
        labelcolor=INK,
        handletextpad=0.2,
        columnspacing=1.2,
    )


def _against_chance(low: Floats, high: Floats) -> tuple[tuple[Bools, str], ...]:
    """Return the rows whose interval is above a coin flip, below it, and neither, with their colours."""
    above, below = low > _CHANCE, high < _CHANCE
    return (above, BLUE), (below, VERMILION), (~(above | below), GREY)


def _rows(axes: Axes, names: Sequence[str], ends: Sequence[str]) -> None:
    """Name each row to its left and write its value to its right, the first on top.

    What all names begin with is written once, above them.
    """
    size = 9 if len(names) <= _ROOMY_ROWS else 7.5
    start = shared_start(names)
    axes.set_yticks(range(len(names)), [shorten(str(name)[len(start) :], _ROW_NAME) for name in names])
    if start:
        words = f"all: {shorten(start.rstrip(' /'), _ROW_NAME)}"
        axes.annotate(
            words,
            (0, 1),
            (-8, 6),
            xycoords="axes fraction",
            textcoords="offset points",
            size=9,
            color=GREY,
            ha="right",
        )
    for row, text in enumerate(ends):
        axes.annotate(
            text,
            (1, row),
            (8, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            size=size,
            color=INK,
        )
    axes.set_ylim(max(len(names), 4) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=size)


def _room(axes: Axes, values: Floats, least: float) -> None:
    """Leave room on both sides of the values."""
    room = max(float(np.ptp(values)) * 0.08, least)
    axes.set_xlim(values.min() - room, values.max() + room)


def _how_many(shown: int, known: int, what: str) -> str:
    return f"best {shown:,} of {counted(known, what)}" if shown < known else counted(known, what)
