"""Charts of the report as plain geometry: points, bars and ticks, to be written into inline SVG.

A drawing is 1000 units wide and high and is stretched over its place; ticks are in per cent of it, because
their text is HTML and stays legible on a phone. Pictures for pages of assets belong to the plots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb_assets.observability.plot_data import (
    Floats,
    by_hour_of_day,
    drawdown_of,
    finite,
    keep_extremes,
    pool_days,
)
from itb_assets.observability.plot_style import naive
from itb_assets.observability.report_data import ModelResult
from itb_assets.observability.wording import amount, counted, day, number, share

_SIZE = 1000.0
_CURVE_POINTS = 700
_MOST_BARS = 200
_TIME_STEPS = (
    *(pd.Timedelta(hours=hours) for hours in (1, 3, 6, 12)),
    *(pd.Timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 182, 365)),
)


@dataclass(frozen=True)
class Tick:
    """A place on an axis in per cent of its length, from left or from the top, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """An SVG path and the class that colours it."""

    path: str
    kind: str


@dataclass(frozen=True)
class Bar:
    """A bar from `y` downward; `words` appear when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


@dataclass(frozen=True)
class Chart:
    """What one chart shows; `words` tell it to a reader who cannot see it."""

    words: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...] = ()
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high`, laid over 0 to 1000."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Floats, *, include: Sequence[float] = (), room: float = 0.05) -> Scale:
        """Hold all known values with some room around them, and those to include."""
        known = np.append(values[np.isfinite(values)], include)
        low, high = float(known.min()), float(known.max())
        pad = (high - low) * room or abs(high) * room or 1.0
        fixed = set(include)
        return cls(low if low in fixed else low - pad, high if high in fixed and high != low else high + pad)

    def place(self, values: Floats) -> Floats:
        """Return places along the axis."""
        placed: Floats = (values - self.low) / (self.high - self.low) * _SIZE
        return placed

    def ticks(self, most: int = 5) -> list[float]:
        """Return at most so many round values within."""
        raw = (self.high - self.low) / most
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * part for part in (1, 2, 2.5, 5, 10, 20) if unit * part >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def equity_charts(frame: pd.DataFrame, capital: float) -> tuple[Chart, Chart] | None:
    """Return the charts of equity and of drawdown over the same time, or None when nothing is known.

    A line marks the capital the account began with.
    """
    equity = finite(frame["equity"])
    if not np.isfinite(equity).any():
        return None
    down = drawdown_of(frame, capital)
    held = finite(frame["buy_and_hold"]) if "buy_and_hold" in frame else np.empty(0)
    times = _seconds(frame["timestamp"])
    across = Scale(times[0], times[-1] if times[-1] > times[0] else times[0] + 1)
    x_ticks = _time_ticks(across)
    scale = Scale.around(np.concatenate([equity, held, [capital]]))
    began = _SIZE - scale.place(np.array([capital]))[0]
    curves = [Curve(f"M0 {began:.1f}H1000", "level")]
    if np.isfinite(held).any():
        curves.append(Curve(_line(times, held, across, scale), "held"))
    curves.append(Curve(_line(times, equity, across, scale), "own"))
    known = equity[np.isfinite(equity)]
    words = f"Equity from {amount(known[0])} to {amount(known[-1])}"
    return Chart(words, x_ticks, _value_ticks(scale), tuple(curves)), _drawdown_chart(times, down, across)


def _drawdown_chart(times: Floats, down: Floats, across: Scale) -> Chart:
    """Return the chart of a drawdown in per cent, as an area hanging from zero."""
    deepest = float(np.nanmin(down, initial=0.0))
    under = Scale(min(deepest * 1.1, -0.1), 0.0)
    curves: tuple[Curve, ...] = ()
    known = np.flatnonzero(np.isfinite(down))
    if len(known):
        fall = _line(times, down, across, under)
        left, right = across.place(times[known[[0, -1]]])
        curves = (Curve(f"{fall}L{right:.1f} 0L{left:.1f} 0Z", "under"), Curve(fall, "fall"))
    words = f"Drawdown, at worst {number(-deepest)} %"
    return Chart(words, _time_ticks(across), _value_ticks(under, 3), curves)


def daily_chart(daily: pd.DataFrame) -> tuple[Chart, int] | None:
    """Return the chart of profit and loss by day, and how many days a bar holds; None without a day."""
    pooled = pool_days(daily["day"], daily["total_pnl"], _MOST_BARS)
    if len(pooled.pnl) == 0:
        return None
    width = pd.Timedelta(days=pooled.days_a_bar).total_seconds()
    starts = _seconds(pd.Series(pooled.starts))
    across = Scale(starts[0], max(starts[-1], starts[0] + 6 * width) + width)
    scale = Scale.around(pooled.pnl, include=(0.0,))
    left, top = across.place(starts), _SIZE - scale.place(np.maximum(pooled.pnl, 0))
    bottom = _SIZE - scale.place(np.minimum(pooled.pnl, 0))
    wide = across.place(starts + width) - left
    bars = tuple(
        Bar(
            round(float(x + 0.1 * w), 1),
            round(float(y), 1),
            round(float(0.8 * w), 1),
            round(float(low - y), 1),
            "gain" if pnl >= 0 else "loss",
            f"{day(start)}: {amount(pnl, signed=True)}",
        )
        for x, y, w, low, pnl, start in zip(left, top, wide, bottom, pooled.pnl, pooled.starts, strict=True)
    )
    won = int((pooled.pnl > 0).sum())
    words = f"Profit and loss by day, {won} of {len(bars)} bars above zero"
    return Chart(words, _time_ticks(across), _value_ticks(scale), bars=bars), pooled.days_a_bar


def hour_charts(by_hour: pd.DataFrame) -> tuple[Chart, Chart] | None:
    """Return the charts of the win rate by hour with its bounds, and of trades by hour; None of no trades."""
    hours = by_hour_of_day(by_hour)
    if len(hours.hour) == 0:
        return None
    unit = _SIZE / 24
    rate, count = Scale(0, 1), Scale(0, float(hours.trades.max()) * 1.05)
    overall = _SIZE - rate.place(np.array([hours.overall]))[0]
    whiskers, dots = [], []
    for hour, low, mid, high in zip(hours.hour, hours.low, hours.win_rate, hours.high, strict=True):
        x = (hour + 0.5) * unit
        whiskers.append(f"M{x:.1f} {_SIZE * (1 - low):.1f}V{_SIZE * (1 - high):.1f}")
        dots.append(f"M{x:.1f} {_SIZE * (1 - mid):.1f}h0.01")
    bars = tuple(
        Bar(
            round((hour + 0.15) * unit, 1),
            round(float(_SIZE - top), 1),
            round(0.7 * unit, 1),
            round(float(top), 1),
            "count",
            f"{hour}:00 to {hour + 1}:00 UTC: {counted(int(trades), 'trade')}, {share(won)} won",
        )
        for hour, trades, won, top in zip(
            hours.hour.tolist(),
            hours.trades,
            hours.win_rate,
            count.place(hours.trades.astype(np.float64)),
            strict=True,
        )
    )
    x_ticks = tuple(Tick(round((hour + 0.5) / 24 * 100, 2), str(hour)) for hour in range(0, 24, 3))
    curves = (
        Curve(f"M0 {overall:.1f}H1000", "level"),
        Curve("".join(whiskers), "bound"),
        Curve("".join(dots), "dot"),
    )
    y_ticks = tuple(Tick(at, f"{100 - at} %") for at in (0, 25, 50, 75, 100))
    return (
        Chart(f"Win rate by hour of entry, {share(hours.overall)} over all", x_ticks, y_ticks, curves),
        Chart("Trades by hour of entry", x_ticks, _value_ticks(count, 3), bars=bars),
    )


def auc_marks(models: Sequence[ModelResult]) -> tuple[Chart | None, ...]:
    """Return for each model its AUC with its interval, all on one scale that holds a coin flip at 0.5."""
    all_known = [
        value for model in models for value in (model.auc, model.auc_low, model.auc_high) if value is not None
    ]
    scale = Scale.around(np.array(all_known, dtype=np.float64), include=(0.5,), room=0.08)
    return tuple(_auc_mark(model, scale) for model in models)


def _auc_mark(model: ModelResult, scale: Scale) -> Chart | None:
    if model.auc is None:
        return None
    flip, at = scale.place(np.array([0.5, model.auc]))
    curves = [Curve(f"M{flip:.1f} 0V1000", "level")]
    words = f"AUC {number(model.auc, 3)}"
    if model.auc_low is not None and model.auc_high is not None:
        low, high = scale.place(np.array([model.auc_low, model.auc_high]))
        curves.append(Curve(f"M{low:.1f} 500H{high:.1f}", "bound"))
        words += f", between {number(model.auc_low, 3)} and {number(model.auc_high, 3)}"
    return Chart(words, (), (), (*curves, Curve(f"M{at:.1f} 500h0.01", "dot")))


def _line(times: Floats, values: Floats, across: Scale, up: Scale) -> str:
    """Return a path through few of the known points."""
    known = np.flatnonzero(np.isfinite(values))
    kept = known[keep_extremes(values[known], _CURVE_POINTS)]
    xs, ys = across.place(times[kept]), _SIZE - up.place(values[kept])
    if len(kept) == 1:
        return f"M{xs[0]:.1f} {ys[0]:.1f}h0.01"
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _seconds(times: pd.Series) -> Floats:
    """Return times as seconds since 1970."""
    return naive(times).astype("datetime64[ms]").astype(np.float64) / 1e3


def _value_ticks(scale: Scale, most: int = 5) -> tuple[Tick, ...]:
    values = scale.ticks(most)
    decimals = max((_decimals(value) for value in values), default=0)
    places = 100 - scale.place(np.array(values)) / _SIZE * 100
    return tuple(
        Tick(round(float(at), 2), number(value, decimals)) for at, value in zip(places, values, strict=True)
    )


def _decimals(value: float) -> int:
    """Return how many decimals a round value has."""
    _, _, decimals = f"{value:.8f}".rstrip("0").partition(".")
    return len(decimals)


def _time_ticks(across: Scale, most: int = 6) -> tuple[Tick, ...]:
    """Return at most so many ticks at round times."""
    length = pd.Timedelta(seconds=across.high - across.low)
    step = next((step for step in _TIME_STEPS if length / step <= most), None)
    if step is None:
        step = _TIME_STEPS[-1] * math.ceil(length / _TIME_STEPS[-1] / most)
    first = math.ceil(across.low / step.total_seconds())
    form = "%H:%M" if step < pd.Timedelta(days=1) else "%d %b" if length < pd.Timedelta(days=300) else "%b %Y"
    steps = np.arange(first, math.floor(across.high / step.total_seconds()) + 1, dtype=np.float64)
    seconds = steps * step.total_seconds()
    return tuple(
        Tick(round(float(at) / _SIZE * 100, 2), pd.Timestamp(second, unit="s", tz="UTC").strftime(form))
        for at, second in zip(across.place(seconds), seconds, strict=True)
    )
