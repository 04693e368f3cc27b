"""The `itbstats` generator: rolling statistics of one column.

The statistics themselves are in `windows`; a window that is not full belongs to the `legacy` dialect alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field

from itb_assets.domain.features import windows as w
from itb_assets.domain.features.relative import RelativeParameters
from itb_assets.domain.features.steps import Array, Columns, Step
from itb_assets.domain.features.talib_generator import NameList, WindowList, as_list, interpolate
from itb_assets.domain.generator_config import GeneratorConfig, Name, read_config
from itb_assets.domain.specs import Dialect, GeneratorSpec
from itb_assets.errors import ConfigError

FUNCTIONS: dict[str, w.BlockFunction] = {
    "pandas_skew": w.pandas_skew,
    "pandas_kurtosis": w.pandas_kurtosis,
    "lsbm": w.longest_below_mean,
    "fmax": w.first_maximum,
    "mean": w.mean,
    "std": w.std,
    "area": w.area,
    "slope": w.slope,
}
"""Statistics without parameters, by their legacy names."""

WITH_BIAS = ("scipy_skew", "scipy_kurtosis")
"""Statistics that `parameters.bias` changes."""


class StatsParameters(RelativeParameters):
    """`parameters` of `itbstats`: those of `talib` and scipy's `bias`."""

    bias: bool = False


class StatsConfig(GeneratorConfig):
    """Config of `itbstats`: one column, any of its functions (in any case), windows in rows."""

    columns: (
        Annotated[list[Name], BeforeValidator(as_list), Field(min_length=1, max_length=1)] | dict[str, Name]
    )
    functions: NameList
    windows: WindowList
    parameters: StatsParameters = StatsParameters()

    @property
    def column(self) -> str:
        """The one column."""
        return next(iter(self.columns.values() if isinstance(self.columns, dict) else self.columns))


class StatsGenerator:
    """Registered as `itbstats`."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return one step per function, holding all of its windows."""
        config = read_config(spec, StatsConfig)
        known = (*FUNCTIONS, *WITH_BIAS)
        unknown = [name for name in config.functions if name.lower() not in known]
        if unknown:
            raise ConfigError(
                f"itbstats: {name} is not one of its functions: {', '.join(known)}" for name in unknown
            )
        return [_step(config, name, dialect) for name in config.functions]


def block_function(name: str, *, bias: bool = False) -> w.BlockFunction:
    """Return the statistic of that legacy name, in any case."""
    if name.lower() == "scipy_skew":
        return partial(w.skew, bias=bias)
    if name.lower() == "scipy_kurtosis":
        return partial(w.pearson_kurtosis, bias_flag=bias)
    return FUNCTIONS[name.lower()]


def _step(config: StatsConfig, name: str, dialect: Dialect) -> Step:
    column, parameters = config.column, config.parameters
    function = block_function(name, bias=parameters.bias)
    legacy = dialect == "legacy"

    def kernel(columns: Columns) -> Sequence[Array]:
        values = interpolate(columns[column]) if legacy else columns[column]
        outputs = [
            w.roll(values, rows, function, min_rows=max(1, rows // 2), partial=legacy)
            for rows in config.windows
        ]
        return parameters.apply(outputs, dialect)

    bias = {"bias": parameters.bias} if name.lower() in WITH_BIAS else {}
    definitions = [
        {
            "generator": "itbstats",
            "function": name.lower(),
            "inputs": [column],
            "window": rows,
            "dialect": dialect,
            **bias,
        }
        for rows in config.windows
    ]
    return Step(
        outputs=tuple(f"{column}_{name}_{rows}" for rows in config.windows),
        inputs=(column,),
        definitions=tuple(parameters.describe(definitions, dialect)),
        kernel=kernel,
        lookback_rows=max(config.windows) - 1,
        by_segment=not legacy,
    )
