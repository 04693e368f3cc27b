"""What TA-Lib says of its own functions: inputs, outputs, parameters, and how far back each one reaches.

Names of features and the legacy bot's habits belong to `talib_generator`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import talib
from talib import abstract

EMA, WILDER = "ema", "wilder"

RECURSIVE: dict[str, tuple[str, int]] = {
    "ADOSC": (EMA, 1),
    "ADX": (WILDER, 2),
    "ADXR": (WILDER, 2),
    "ATR": (WILDER, 1),
    "CMO": (WILDER, 1),
    "CVI": (EMA, 1),
    "DEMA": (EMA, 2),
    "DX": (WILDER, 1),
    "EFI": (EMA, 1),
    "EMA": (EMA, 1),
    "ERI": (EMA, 1),
    "HA": (EMA, 1),
    "KC": (WILDER, 1),
    "KDJ": (WILDER, 2),
    "MACD": (EMA, 2),
    "MACDFIX": (EMA, 2),
    "MASSI": (EMA, 2),
    "MINUS_DI": (WILDER, 1),
    "MINUS_DM": (WILDER, 1),
    "NATR": (WILDER, 1),
    "PLUS_DI": (WILDER, 1),
    "PLUS_DM": (WILDER, 1),
    "RMA": (WILDER, 1),
    "RSI": (WILDER, 1),
    "RVI": (WILDER, 1),
    "SMI": (EMA, 3),
    "STOCHRSI": (WILDER, 1),
    "T3": (EMA, 6),
    "TEMA": (EMA, 3),
    "TRIX": (EMA, 3),
    "TSI": (EMA, 2),
    "ZLEMA": (EMA, 1),
}
"""Functions that smooth recursively: which smoothing, and how many stand one behind the other."""

SETTLED_IN = 30
"""Time constants after which a recursion has forgotten its start: e**-30 is 1e-13."""

STAGE_EXTRA = 4
"""Time constants more per further stage, for the n**(stages - 1) that a cascade puts before the decay."""

KAMA_ROWS = math.ceil(SETTLED_IN / (2 / 31) ** 2)
"""KAMA's slowest smoothing is (2/31)**2 a row, in a market without direction."""

HILBERT_ROWS = 1500
"""HT_* and MAMA feed back through a measured period; on random walks 500 rows leave only rounding."""

FINITE_AVERAGES = {0, 2, 5}
"""matype codes whose reach is their window: SMA, WMA, TRIMA."""

ADAPTIVE_AVERAGES = {6, 7}
"""matype codes KAMA and MAMA."""

FIXED_PERIODS = {"MACDFIX": 26, "HA": 3}
"""Smoothing periods that are not parameters."""

STAYS_FINITE = {"ATR", "LINEARREG_ANGLE", "LINEARREG_SLOPE", "MOM", "RSI", "STDDEV", "TRANGE"}
"""Functions that neither divide unguarded nor grow without bound, beyond those TA-Lib marks."""

DRIFT_ROWS = 1 << 16
"""Rows after which TRIMA starts afresh: its running sum is off by 2e-9 of the price after 600,000 rows."""

PATH_DEPENDENT = "Output is path-dependent"
MAY_BE_INFINITE = "Output can be NaN or infinite"
SAME_SCALE = "Output scale same as input"


@dataclass(frozen=True)
class TalibFunction:
    """One TA-Lib function as its library describes it."""

    name: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float]
    outputs: tuple[str, ...]
    flags: frozenset[str]

    @property
    def takes_window(self) -> bool:
        """Whether `windows` of a config means anything to it."""
        return "timeperiod" in self.parameters

    @property
    def gives_row_numbers(self) -> bool:
        """Whether its outputs are positions in the array it was given (MAXINDEX and its kin)."""
        return self.name in {"MAXINDEX", "MININDEX", "MINMAXINDEX"}

    @property
    def stays_finite(self) -> bool:
        """Whether finite input never gives an infinity."""
        return MAY_BE_INFINITE not in self.flags and (SAME_SCALE in self.flags or self.name in STAYS_FINITE)

    @property
    def drifts(self) -> bool:
        """Whether its rounding grows with the rows since its start, beyond what comparisons can bear."""
        return self.name == "TRIMA"

    def warmup_rows(self, parameters: Mapping[str, float]) -> int | None:
        """Rows at the start without a value, or None when TA-Lib refuses these parameters."""
        function = abstract.Function(  # type: ignore[attr-defined]
            self.name
        )
        if parameters:
            function.parameters = dict(parameters)
        rows = int(function.lookback)
        return None if rows < 0 else rows

    def lookback_rows(self, parameters: Mapping[str, float]) -> int | None:
        """Earlier rows that one row's value needs; None where it depends on all history.

        Windowed functions need their warm-up alone. Recursive ones need as many more rows as it takes for
        their starting value to fade below rounding. Running totals and stop-and-reverse systems (OBV, AD,
        VWAP, SAR, SUPERTREND and others TA-Lib marks as path-dependent) never forget.
        """
        warmup = self.warmup_rows(parameters)
        if warmup is None or (PATH_DEPENDENT in self.flags and self.name not in RECURSIVE):
            return None
        return warmup + self._settling_rows({**self.parameters, **parameters})

    def _settling_rows(self, parameters: Mapping[str, float]) -> int:
        if self.name.startswith("HT_") or self.name == "MAMA":
            return HILBERT_ROWS
        if self.name == "KAMA":
            return KAMA_ROWS
        period = max(
            [value for key, value in parameters.items() if "period" in key],
            default=FIXED_PERIODS.get(self.name, 1),
        )
        period = max(period, FIXED_PERIODS.get(self.name, 1))
        averages = {int(value) for key, value in parameters.items() if "matype" in key} - FINITE_AVERAGES
        adaptive = KAMA_ROWS + HILBERT_ROWS if averages & ADAPTIVE_AVERAGES else 0
        kind, stages = RECURSIVE.get(self.name, (WILDER, 0))
        if averages:  # a caller's choice of average: assume the slowest, in the longest cascade
            kind, stages = WILDER, stages + 6
        if not stages:
            return 0
        time_constant = (period + 1) / 2 if kind == EMA else period
        return adaptive + math.ceil(time_constant * (SETTLED_IN + STAGE_EXTRA * (stages - 1)))


@lru_cache(maxsize=1)
def function_names() -> frozenset[str]:
    """Names of every function of the installed TA-Lib."""
    return frozenset(talib.get_functions())  # type: ignore[no-untyped-call]


@lru_cache(maxsize=512)
def describe(name: str) -> TalibFunction:
    """Return what TA-Lib says of `name`, which must be one of `function_names()`."""
    info = abstract.Function(  # type: ignore[attr-defined]
        name
    ).info
    parameters = dict(info["parameters"])
    arguments = inspect.signature(getattr(talib, name)).parameters
    return TalibFunction(
        name=name,
        inputs=tuple(argument for argument in arguments if argument not in parameters),
        parameters=parameters,
        outputs=tuple(info["output_names"]),
        flags=frozenset(info["function_flags"] or ()),
    )
