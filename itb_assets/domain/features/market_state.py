"""The `spread` and `regime` generators: how wide candles are, how volatile the market is against its past.

The indicator that `regime` reads is made by another generator, earlier in the same strategy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field, model_validator

from itb_assets.domain.features.steps import TIMESTAMP, Array, Columns, Step
from itb_assets.domain.features.talib_generator import WindowList
from itb_assets.domain.features.windows import mean, roll
from itb_assets.domain.generator_config import GeneratorConfig, Name, Rows, read_config
from itb_assets.domain.markets import DAY_MS, MINUTE_MS
from itb_assets.domain.specs import Dialect, GeneratorSpec

LOW_QUANTILE, HIGH_QUANTILE = 0.35, 0.70
"""Below the first volatility is low (0), from the second on it is high (2)."""

SAMPLE_ROWS = 12
"""Every 12th row stands for its neighbours: an ATR over 14 rows hardly moves in between."""

TIE_MARGIN = 1e-6
"""A value this close below a threshold counts as on it: rounding to float32 decides no tie."""

DAY_NS = DAY_MS * 1_000_000
MAX_ROWS_A_DAY = DAY_MS // MINUTE_MS


class SpreadConfig(GeneratorConfig):
    """Config of `spread`: windows in rows."""

    windows: WindowList = Field(default_factory=lambda: [3, 5, 10])


class SpreadGenerator:
    """Registered as `spread`: mean of (high - low) / close over a window, in percent."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return one step with all windows."""
        config = read_config(spec, SpreadConfig)
        legacy = dialect == "legacy"

        def kernel(columns: Columns) -> Sequence[Array]:
            spread = _spread_pct(columns)
            if legacy:  # windows that are not full yet count, down to one row
                series = pd.Series(spread, copy=False)
                return [series.rolling(rows, min_periods=1).mean().to_numpy() for rows in config.windows]
            if not np.isfinite(spread).all():  # a price of 0: a running sum would never be finite again
                return [roll(spread, rows, mean, min_rows=rows, partial=False) for rows in config.windows]
            return [talib.SMA(spread, rows) for rows in config.windows]

        return (
            Step(
                outputs=tuple(f"spread_pct_{rows}" for rows in config.windows),
                inputs=("high", "low", "close"),
                definitions=tuple(
                    {"generator": "spread", "window": rows, "dialect": dialect} for rows in config.windows
                ),
                kernel=kernel,
                lookback_rows=max(config.windows) - 1,
                by_segment=not legacy,
                stays_finite=not legacy,
            ),
        )


def _spread_pct(columns: Columns) -> Array:
    spread: Array = np.subtract(columns["high"], columns["low"])
    spread /= columns["close"]
    spread *= 100
    return spread


class RegimeConfig(GeneratorConfig):
    """Config of `regime`.

    `window`: rows before each UTC day whose quantiles are that day's thresholds (14 days of 5m by default).
    `min_rows`: how many of them must be known. Both concern the `causal` dialect alone.
    """

    atr_column: Name = "high_low_close_ATR_14"
    window: Rows = 4032
    min_rows: Annotated[int | None, Field(ge=1)] = None

    @model_validator(mode="after")
    def _known_rows_fit(self) -> RegimeConfig:
        if self.min_rows is not None and self.min_rows > self.window:
            raise ValueError(f"min_rows {self.min_rows} is more than window {self.window}")
        return self

    @property
    def least_rows(self) -> int:
        """Rows that must be known: as configured, else 288 or the window if that is shorter."""
        return self.min_rows or min(288, self.window)


class RegimeGenerator:
    """Registered as `regime`: `vol_regime` is 0 in low, 1 in medium, 2 in high volatility (ATR / close)."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return one step; `causal` knows only earlier days, `legacy` the whole frame."""
        config = read_config(spec, RegimeConfig)
        legacy = dialect == "legacy"

        def kernel(columns: Columns) -> Sequence[Array]:
            ratio = columns[config.atr_column] / columns["close"]
            if legacy:
                return (_whole_frame_regime(ratio * 100),)
            return (trailing_regime(ratio, columns[TIMESTAMP], config.window, config.least_rows),)

        reach = {} if legacy else {"window": config.window, "min_rows": config.least_rows}
        definition = {
            "generator": "regime",
            "inputs": [config.atr_column, "close"],
            "dialect": dialect,
            **reach,
        }
        return (
            Step(
                outputs=("vol_regime",),
                inputs=(config.atr_column, "close", TIMESTAMP),
                definitions=(definition,),
                kernel=kernel,
                lookback_rows=config.window + MAX_ROWS_A_DAY,
                by_segment=False,
                stays_finite=True,
            ),
        )


def _whole_frame_regime(atr_pct: Array) -> Array:
    """Classify against the quantiles of all rows, later ones included; unknown rows are medium."""
    known = atr_pct[~np.isnan(atr_pct)]
    if not len(known):
        return np.ones(len(atr_pct))
    low, high = np.quantile(known, (LOW_QUANTILE, HIGH_QUANTILE))
    regime = (atr_pct >= low).astype(np.float64) + (atr_pct >= high)
    regime[np.isnan(atr_pct)] = 1.0
    return regime  # type: ignore[no-any-return]


def trailing_regime(ratio: Array, open_time_ns: npt.NDArray[np.int64], window: int, least: int) -> Array:
    """Classify each row against quantiles of the `window` rows before its UTC day; NaN is unknown.

    `ratio` is written over and returned: a second array of that size costs more than the classification.
    `open_time_ns` must be the full grid: rows one freq apart. Rows of a day share its thresholds, which are
    read from every SAMPLE_ROWS-th row, counted back from the start of the day.
    """
    rows = len(ratio)
    if rows < 2:  # noqa: PLR2004 - a single row has neither freq nor past
        return np.full(rows, np.nan)
    freq_ns = int(open_time_ns[1] - open_time_ns[0])
    per_day = max(1, DAY_NS // freq_ns)
    head = min(rows, -int(open_time_ns[0]) % DAY_NS // freq_ns)
    low, high = _thresholds(ratio, np.arange(head, rows, per_day), per_day, window, least)
    whole_days = (rows - head) // per_day
    stop = head + whole_days * per_day
    ratio[:head] = np.nan
    _classify(ratio[head:stop].reshape(-1, per_day), low[:whole_days, None], high[:whole_days, None])
    if stop < rows:
        _classify(ratio[stop:].reshape(1, -1), low[whole_days:, None], high[whole_days:, None])
    return ratio


def _classify(table: Array, low: Array, high: Array) -> None:
    """Put 0, 1 or 2 in the place of each value of `table` (one day a row), NaN where unknown."""
    unknown = np.isnan(table)
    table[...] = (table >= low).view(np.int8) + (table >= high).view(np.int8)
    table[np.isnan(low[:, 0])] = np.nan
    if unknown.any():
        table[unknown] = np.nan


def _thresholds(
    ratio: Array, starts: npt.NDArray[np.int64], per_day: int, window: int, least: int
) -> tuple[Array, Array]:
    """Return the low and the high threshold of the days that start at `starts`, NaN where unknown."""
    if not len(starts):
        return np.empty(0), np.empty(0)
    step = math.gcd(SAMPLE_ROWS, per_day)
    count = max(1, window // step)
    before = int(starts[0]) - 1
    padded = np.concatenate([np.full(count, np.nan), ratio[before % step :: step]]).astype(np.float32)
    samples = sliding_window_view(padded, count)[before // step + 1 :: per_day // step][: len(starts)]
    samples = np.sort(samples, axis=1)  # NaN last; float32 sorts twice as fast
    day = np.arange(len(starts))
    first = before // step + 1 + day * (per_day // step)
    observed = np.concatenate([[0], np.cumsum(~np.isnan(padded))])
    known = observed[first + count] - observed[first]
    thresholds = []
    for quantile in (LOW_QUANTILE, HIGH_QUANTILE):
        place = np.minimum((quantile * known).astype(np.int64), np.maximum(known - 1, 0))
        value = samples[day, place].astype(np.float64) * (1.0 - TIE_MARGIN)
        thresholds.append(np.where(known * step >= min(least, count * step), value, np.nan))
    return thresholds[0], thresholds[1]
