"""The `talib` generator: any TA-Lib function over chosen columns and windows, named as the legacy bot does.

What a function takes and how far back it reaches is read from `talib_catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import talib
from pydantic import BeforeValidator, Field

from itb_assets.domain.features.relative import RelativeParameters
from itb_assets.domain.features.steps import Array, Columns, Step
from itb_assets.domain.features.talib_catalogue import DRIFT_ROWS, TalibFunction, describe, function_names
from itb_assets.domain.generator_config import GeneratorConfig, Name, read_config
from itb_assets.domain.specs import Dialect, GeneratorSpec
from itb_assets.errors import ConfigError


def as_list(value: object) -> object:
    """One value stands for a list of one, as in the legacy grammar."""
    return value if isinstance(value, list) else [value]


NameList = Annotated[list[Name], BeforeValidator(as_list), Field(min_length=1)]
Window = Annotated[int, Field(ge=1, le=100_000)]
WindowList = Annotated[list[Window], BeforeValidator(as_list), Field(min_length=1)]

FORK_SUFFIXES = {"BBANDS": ("upper", "middle", "lower")}
"""Where the legacy bot's suffixes differ from TA-Lib's own output names."""


class TalibConfig(GeneratorConfig):
    """Config of `talib`.

    `naming` says what a list under `names` means together with `windows`: in the fork of the legacy bot the
    name follows the columns and the function (`close_SMA_fast`), upstream it is the whole name (`fast`).
    `args` passes further TA-Lib parameters by name, such as `{"nbdevup": 2.5}`.
    """

    columns: Annotated[list[Name], Field(min_length=1)] | dict[str, Name] | Name
    functions: NameList
    windows: Annotated[list[Window | None], BeforeValidator(as_list), Field(min_length=1)] = [None]  # noqa: RUF012 - pydantic copies defaults
    names: list[Name] | Name | None = None
    naming: Literal["fork", "upstream"] = "fork"
    parameters: RelativeParameters = RelativeParameters()
    args: dict[str, int | float] = {}  # noqa: RUF012 - pydantic copies defaults

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in the order the config gives them."""
        if isinstance(self.columns, str):
            return (self.columns,)
        return tuple(self.columns.values() if isinstance(self.columns, dict) else self.columns)


@dataclass(frozen=True)
class Call:
    """One call of a TA-Lib function; with `passes_column` its one input is the result."""

    function: TalibFunction
    parameters: Mapping[str, float]
    warmup_rows: int
    passes_column: bool


class TalibGenerator:
    """Registered as `talib`."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return one step per function, holding all of its windows."""
        config = read_config(spec, TalibConfig)
        problems: list[str] = []
        steps: list[Step] = []
        if isinstance(config.names, list) and len(config.names) < len(config.windows):
            problems.append(
                f"talib: {len(config.names)} names for {len(config.windows)} windows: give one for each"
            )
        for name in config.functions if not problems else ():
            if name not in function_names():
                problems.append(f"talib: {name} is not a function of TA-Lib; see talib.get_functions()")
                continue
            function = describe(name)
            found = _input_problems(config, function) + _parameter_problems(config, function)
            problems += found
            if not found:
                steps.append(_step(config, function, dialect))
        if problems:
            raise ConfigError(problems)
        return steps


def _input_problems(config: TalibConfig, function: TalibFunction) -> list[str]:
    needed = ", ".join(function.inputs)
    if isinstance(config.columns, dict):
        matches = set(config.columns) == set(function.inputs)
    else:
        matches = len(config.column_names) == len(function.inputs)
    if matches:
        return []
    found = config.columns if isinstance(config.columns, dict) else list(config.column_names)
    return [f"talib: {function.name} takes the columns {needed} in this order, found {found}"]


def _parameter_problems(config: TalibConfig, function: TalibFunction) -> list[str]:
    known = ", ".join(function.parameters) or "none"
    problems = [
        f"talib: {function.name} has no parameter {key}; it has {known}"
        for key in config.args
        if key not in function.parameters
    ] + [
        f"talib: {function.name} takes a whole number as {key}, found {value}"
        for key, value in config.args.items()
        if isinstance(function.parameters.get(key), int) and not isinstance(value, int)
    ]
    if problems:
        return problems
    return [
        f"talib: TA-Lib refuses {function.name} with {_parameters(config, function, window)}"
        for window in config.windows
        if not _is_column(config, function, window, "causal")
        and function.warmup_rows(_parameters(config, function, window)) is None
    ]


def _parameters(config: TalibConfig, function: TalibFunction, window: int | None) -> dict[str, float]:
    timed = {"timeperiod": window} if window and function.takes_window else {}
    given = {key: type(function.parameters[key])(value) for key, value in config.args.items()}
    return {**given, **timed}


def _is_column(config: TalibConfig, function: TalibFunction, window: int | None, dialect: Dialect) -> bool:
    """Whether window 1 stands for the column itself.

    So it does for functions of one column that take a window; the legacy bot did the same to functions
    that take none (HT_DCPERIOD, LN), which only `legacy` repeats.
    """
    return (
        window == 1
        and len(config.column_names) == 1
        and len(function.outputs) == 1
        and (function.takes_window or dialect == "legacy")
    )


def _step(config: TalibConfig, function: TalibFunction, dialect: Dialect) -> Step:
    calls = [_call(config, function, window, dialect) for window in config.windows]
    arguments = _arguments(config, function, dialect)
    definitions = [
        _definition(call, arguments, output, dialect) for call in calls for output in function.outputs
    ]
    relative = config.parameters
    lookbacks = [0 if call.passes_column else function.lookback_rows(call.parameters) for call in calls]

    def kernel(columns: Columns) -> Sequence[Array]:
        inputs = [columns[column] for column in arguments]
        if dialect == "legacy":
            inputs = [interpolate(column) for column in inputs]
        outputs = [output for call in calls for output in _outputs(call, inputs, dialect)]
        return relative.apply(outputs, dialect)

    return Step(
        outputs=tuple(_names(config, function)),
        inputs=tuple(dict.fromkeys(arguments)),
        definitions=tuple(relative.describe(definitions, dialect)),
        kernel=kernel,
        lookback_rows=None if None in lookbacks else max(rows for rows in lookbacks if rows is not None),
        by_segment=dialect == "causal",
        stays_finite=function.stays_finite and not (relative.rel_base or relative.log),
    )


def _call(config: TalibConfig, function: TalibFunction, window: int | None, dialect: Dialect) -> Call:
    parameters = _parameters(config, function, window)
    return Call(
        function=function,
        parameters=parameters,
        warmup_rows=function.warmup_rows(parameters) or 0,
        passes_column=_is_column(config, function, window, dialect),
    )


def _arguments(config: TalibConfig, function: TalibFunction, dialect: Dialect) -> tuple[str, ...]:
    """Return the columns in the order of the function's inputs.

    A list is taken in its own order. In `causal` a list of the very names of the inputs is matched by
    name, so that ["close", "high", "low"] cannot pass a close for a high.
    """
    if isinstance(config.columns, dict):
        return tuple(config.columns[name] for name in function.inputs)
    if dialect == "causal" and set(config.column_names) == set(function.inputs):
        return function.inputs
    return config.column_names


def _names(config: TalibConfig, function: TalibFunction) -> list[str]:
    suffixes = FORK_SUFFIXES.get(function.name, function.outputs)
    several = len(function.outputs) > 1
    return [
        f"{base}_{suffix}" if several else base
        for position, window in enumerate(config.windows)
        for base in [_base_name(config, function.name, position, window, several=several)]
        for suffix in suffixes
    ]


def _base_name(
    config: TalibConfig, function: str, position: int, window: int | None, *, several: bool
) -> str:
    stem = f"{'_'.join(config.column_names)}_{function}"
    if config.names is None:
        return f"{stem}_{window}" if window else stem
    if isinstance(config.names, str):
        return f"{stem}_{config.names}_{window}" if window else config.names
    if window and not several and config.naming == "fork":
        return f"{stem}_{config.names[position]}"
    return config.names[position]


def _definition(call: Call, arguments: Sequence[str], output: str, dialect: Dialect) -> dict[str, Any]:
    if call.passes_column:
        return {"generator": "talib", "column": arguments[0], "dialect": dialect}
    return {
        "generator": "talib",
        "function": call.function.name,
        "inputs": list(arguments),
        "parameters": {**call.function.parameters, **call.parameters},
        "output": output,
        "dialect": dialect,
    }


def _outputs(call: Call, inputs: Sequence[Array], dialect: Dialect) -> list[Array]:
    if call.passes_column:
        return [inputs[0]]
    in_blocks = call.function.drifts and dialect == "causal"
    result = _call_in_blocks(call, inputs) if in_blocks else _call_talib(call, inputs)
    outputs = list(result) if isinstance(result, tuple) else [result]
    return [_as_float(call, output, dialect) for output in outputs]


def _call_talib(call: Call, inputs: Sequence[Array]) -> Any:  # noqa: ANN401 - one array or a tuple of them
    return getattr(talib, call.function.name)(*inputs, **call.parameters)


def _call_in_blocks(call: Call, inputs: Sequence[Array]) -> Array:
    """Call afresh for every DRIFT_ROWS rows, led in by the warm-up, so that rounding cannot grow."""
    parts = []
    for start in range(0, len(inputs[0]), DRIFT_ROWS):
        first = max(0, start - call.warmup_rows)
        part = _call_talib(call, [column[first : start + DRIFT_ROWS] for column in inputs])
        parts.append(part[start - first :])
    return np.concatenate(parts) if parts else np.empty(0)


def _as_float(call: Call, output: Any, dialect: Dialect) -> Array:  # noqa: ANN401 - TA-Lib gives int32 or float64
    """Return `output` as float64.

    TA-Lib's whole numbers read 0 during warm-up, and its row numbers count from the start of the array;
    `causal` makes the first NaN and the second the rows that have passed since.
    """
    if output.dtype == np.float64:
        return output  # type: ignore[no-any-return]
    if dialect == "causal" and call.function.gives_row_numbers:
        output = np.arange(len(output)) - output
    values = output.astype(np.float64)
    if dialect == "causal":
        values[: call.warmup_rows] = np.nan
    return values  # type: ignore[no-any-return]


def interpolate(column: Array) -> Array:
    """Fill NaN linearly between its neighbours, at the end with the last value: legacy looks ahead."""
    if not np.isnan(column).any():
        return column
    return np.ascontiguousarray(pd.Series(column).interpolate().to_numpy(dtype=np.float64))
