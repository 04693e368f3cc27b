"""The `itblib` generator: short rolling aggregates set against a long one, in percent.

The functions of windows are in `windows`; which rows a gap makes unknown is decided by the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from itb_assets.domain.features import windows as w
from itb_assets.domain.features.steps import Array, Columns, Step
from itb_assets.domain.features.talib_generator import Window, WindowList
from itb_assets.domain.generator_config import GeneratorConfig, read_config
from itb_assets.domain.specs import Dialect, GeneratorSpec

Series = Callable[[Columns], Array]


def _column(name: str) -> Series:
    return lambda columns: columns[name]


def _span(columns: Columns) -> Array:
    return columns["high"] - columns["low"]  # type: ignore[no-any-return]


def _taker_share(columns: Columns) -> Array:
    return columns["tb_base_av"] / columns["volume"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Aggregate:
    """One family of features: a series, what is done to its windows, and whether against the base window."""

    stem: str
    inputs: tuple[str, ...]
    series: Series
    function: w.BlockFunction
    against_base: bool
    weight: str | None = None


AGGREGATES: dict[str, Aggregate] = {
    "close_WMA": Aggregate("close", ("close", "volume"), _column("close"), w.mean, True, "volume"),  # noqa: FBT003 - a table
    "close_STD": Aggregate("close_std", ("close",), _column("close"), w.std, True),  # noqa: FBT003 - a table
    "volume_SMA": Aggregate("volume", ("volume",), _column("volume"), w.mean, True),  # noqa: FBT003 - a table
    "span_SMA": Aggregate("span", ("high", "low"), _span, w.mean, True),  # noqa: FBT003 - a table
    "trades_SMA": Aggregate("trades", ("trades",), _column("trades"), w.mean, True),  # noqa: FBT003 - a table
    "tb_base_SMA": Aggregate("tb_base", ("tb_base_av", "volume"), _taker_share, w.mean, True),  # noqa: FBT003 - a table
    "close_AREA": Aggregate("close_area", ("close",), _column("close"), w.area, False),  # noqa: FBT003 - a table
    "close_SLOPE": Aggregate("close_trend", ("close",), _column("close"), w.slope, False),  # noqa: FBT003 - a table
    "volume_SLOPE": Aggregate("volume_trend", ("volume",), _column("volume"), w.slope, False),  # noqa: FBT003 - a table
}
"""The families by their names in `functions`, in the order in which they come out."""

DIFFERENCED = ("close", "volume", "trades")
"""Columns that `use_differences` replaces by their change in percent, for every family."""


def _none_is_empty(value: object) -> object:
    return [] if value is None else value


class LibConfig(GeneratorConfig):
    """Config of `itblib`; no `functions` means all of them."""

    use_differences: bool = True
    base_window: Window | None = None
    windows: WindowList
    functions: Annotated[list[str], BeforeValidator(_none_is_empty)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _functions_have_what_they_need(self) -> LibConfig:
        unknown = [name for name in self.functions if name not in AGGREGATES]
        if unknown:
            raise ValueError(f"functions {unknown} are unknown; there are {', '.join(AGGREGATES)}")
        if any(AGGREGATES[name].against_base for name in self.chosen):
            if self.base_window is None:
                raise ValueError("base_window is missing: the rows that the windows are set against")
            if self.base_window in self.windows:
                raise ValueError(f"base_window {self.base_window} is among the windows: it is their base")
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """The families in the order in which they come out."""
        return tuple(name for name in AGGREGATES if not self.functions or name in self.functions)


class LibGenerator:
    """Registered as `itblib`."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return one step per family, so that its windows share one base."""
        config = read_config(spec, LibConfig)
        return [_step(config, name, dialect) for name in config.chosen]


def change_pct(column: Array) -> Array:
    """Change from the row before in percent of it; NaN in the first row."""
    change = np.full(len(column), np.nan)
    np.subtract(column[1:], column[:-1], out=change[1:])
    change[1:] = 100 * change[1:] / column[:-1]
    return change


def _step(config: LibConfig, name: str, dialect: Dialect) -> Step:
    family = AGGREGATES[name]
    legacy = dialect == "legacy"
    differenced = [column for column in family.inputs if config.use_differences and column in DIFFERENCED]
    base_window = config.base_window if family.against_base else None

    def kernel(columns: Columns) -> Sequence[Array]:
        known = {**columns, **{column: change_pct(columns[column]) for column in differenced}}
        if not legacy and differenced:  # the first row has no change, so it is in no full window
            known = {column: values[1:] for column, values in known.items()}
        outputs = [_aggregate(family, known, rows, partial=legacy) for rows in config.windows]
        if base_window:
            outputs = _against(outputs, _aggregate(family, known, base_window, partial=legacy))
        missing = len(columns[family.inputs[0]]) - len(outputs[0])
        return [np.pad(output, (missing, 0), constant_values=np.nan) for output in outputs]

    reach = max(*config.windows, base_window or 1) - 1 + bool(differenced)
    return Step(
        outputs=tuple(f"{family.stem}_{rows}" for rows in config.windows),
        inputs=family.inputs,
        definitions=tuple(
            {
                "generator": "itblib",
                "function": name,
                "window": rows,
                "base_window": base_window,
                "differences": bool(differenced),
                "inputs": list(family.inputs),
                "dialect": dialect,
            }
            for rows in config.windows
        ),
        kernel=kernel,
        lookback_rows=reach,
        by_segment=not legacy,
    )


def _aggregate(family: Aggregate, columns: Columns, rows: int, *, partial: bool) -> Array:
    """Aggregate over `rows`, undefined values (a share of no volume) left out down to half a window."""
    least = max(1, rows // 2)
    series = family.series(columns)
    if family.weight is None:
        return w.roll(series, rows, family.function, min_rows=least, partial=partial)
    weight = columns[family.weight]
    products = w.roll(series * weight, rows, family.function, min_rows=least, partial=partial)
    return products / w.roll(weight, rows, family.function, min_rows=least, partial=partial)


def _against(outputs: Iterable[Array], base: Array) -> list[Array]:
    return [100.0 * (output - base) / base for output in outputs]
