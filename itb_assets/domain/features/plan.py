"""From generator specs to a plan that computes a features frame, its names, its reach and its fingerprint.

What each generator computes belongs to its own module; where a frame comes from and goes to, to the callers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.features.precision import KEPT_BITS, round_in_place
from itb_assets.domain.features.registry import registered_generators, resolve
from itb_assets.domain.features.segments import Segments, run_step, value_inputs
from itb_assets.domain.features.steps import TIMESTAMP, Array, FeatureGenerator, Step
from itb_assets.domain.generator_config import input_name, output_name
from itb_assets.domain.specs import Dialect, GeneratorSpec
from itb_assets.errors import ConfigError, DataContractError

DATA_COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_av",
    "trades",
    "tb_base_av",
    "tb_quote_av",
    "ignore",
)
"""Value columns of the data frame that features may read."""


@dataclass(frozen=True)
class _PlacedStep:
    """A step with the frame's names of its inputs (by the config's) and of its outputs."""

    step: Step
    columns: Mapping[str, str]
    names: tuple[str, ...]


@dataclass(frozen=True)
class FeaturePlan:
    """Everything one strategy's `feature_sets` compute, in order.

    `lookback_rows`: computed on the last lookback_rows + k rows, the last k equal the whole history's to
    within `domain.lookahead.TAIL_TOLERANCE`; None where some feature needs all history, as the whole of
    the `legacy` dialect does.
    `definitions`: feature name to the canonical text of all its values depend on.
    """

    names: tuple[str, ...]
    lookback_rows: int | None
    definitions: Mapping[str, str]
    dialect: Dialect
    _steps: tuple[_PlacedStep, ...] = field(repr=False)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the data frame that `compute` reads, besides `timestamp`."""
        wanted = (name for placed in self._steps for name in placed.columns.values())
        return tuple(name for name in dict.fromkeys(wanted) if name not in {*self.names, TIMESTAMP})

    @cached_property
    def digest(self) -> str:
        """sha256 over the definitions in order: changes when any value could."""
        text = json.dumps(list(self.definitions.items()), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def joined(self, other: FeaturePlan) -> FeaturePlan:
        """Return a plan of everything both compute, a step they share once; its names are this plan's first.

        Raises ConfigError naming the features that the two define differently.
        """
        shared = [name for name in other.names if name in self.definitions]
        differing = [name for name in shared if self.definitions[name] != other.definitions[name]]
        if differing:
            raise ConfigError([f"feature {name} is defined in two ways: rename one" for name in differing])
        lookbacks = (self.lookback_rows, other.lookback_rows)
        fresh = [step for step in other._steps if not set(step.names) <= set(self.names)]
        return FeaturePlan(
            names=(*self.names, *(name for name in other.names if name not in self.definitions)),
            lookback_rows=None if None in lookbacks else max(rows for rows in lookbacks if rows is not None),
            definitions={**self.definitions, **other.definitions},
            dialect=self.dialect,
            _steps=(*self._steps, *fresh),
        )

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Return `timestamp` and one float64 column a feature, one row a row of `data`; NaN is unknown.

        In the causal dialect values are rounded as `precision` says; features made from others are not made
        from rounded ones.

        `data` is on the full grid with missing klines as NaN rows; it is not changed. Raises
        DataContractError naming missing columns or a broken grid.
        """
        _check_data(data, self.inputs)
        frame: dict[str, Any] = {TIMESTAMP: data[TIMESTAMP].array}
        values: dict[str, Any] = {name: _float_column(data[name]) for name in self.inputs}
        values[TIMESTAMP] = _open_time_ns(data)
        segments = Segments(values, len(data))
        with np.errstate(all="ignore"):
            for placed in self._steps:
                columns = {name: values[column] for name, column in placed.columns.items()}
                watched = (placed.columns[name] for name in value_inputs(placed.step))
                stretches = segments.of(watched) if placed.step.by_segment else ()
                outputs = run_step(placed.step, columns, stretches, len(data))
                values.update(zip(placed.names, outputs, strict=True))
        frame |= {name: values[name] for name in self.names}
        if self.dialect == "causal":
            for name in self.names:
                round_in_place(frame[name])
        return pd.DataFrame(frame, index=pd.RangeIndex(len(data)), copy=False)


def output_names(
    spec: GeneratorSpec, *, generators: Mapping[str, FeatureGenerator] | None = None
) -> tuple[str, ...]:
    """Return the features that `spec` generates, in order; raise ConfigError naming every mistake in it."""
    known = registered_generators() if generators is None else generators
    steps = resolve(spec.generator, known).steps(spec, "causal")
    return tuple(output_name(spec, name) for step in steps for name in step.outputs)


def compile_features(
    specs: Sequence[GeneratorSpec],
    *,
    dialect: str = "causal",
    generators: Mapping[str, FeatureGenerator] | None = None,
    data_columns: Sequence[str] = DATA_COLUMNS,
) -> FeaturePlan:
    """Return the plan of these generators in sequence: later ones may read features of earlier ones.

    `generators` stand in for the registered ones, `data_columns` for the columns of klines. Raises
    ConfigError listing bad configs, unknown inputs and names that come twice.
    """
    checked = _dialect(dialect)
    known = registered_generators() if generators is None else generators
    compiler = _Compiler(checked, set(data_columns))
    for spec in specs:
        try:
            steps = resolve(spec.generator, known).steps(spec, checked)
        except ConfigError as error:
            compiler.problems += error.problems
            continue
        for step in steps:
            compiler.place(spec, step)
    return compiler.plan()


def _dialect(name: str) -> Dialect:
    if name == "causal":
        return "causal"
    if name == "legacy":
        return "legacy"
    raise ConfigError([f"dialect {name!r} is not known: expected causal or legacy"])


class _Compiler:
    """Collects steps, what they reach back to and what they are, and every problem on the way."""

    def __init__(self, dialect: Dialect, data_columns: set[str]) -> None:
        self.problems: list[str] = []
        self._dialect = dialect
        self._data_columns = data_columns | {TIMESTAMP}
        self._steps: list[_PlacedStep] = []
        self._lookbacks: dict[str, int | None] = {}
        self._definitions: dict[str, str] = {}

    def place(self, spec: GeneratorSpec, step: Step) -> None:
        """Add a step under the names that the prefixes of its spec give it."""
        columns = {name: TIMESTAMP if name == TIMESTAMP else input_name(spec, name) for name in step.inputs}
        names = tuple(output_name(spec, name) for name in step.outputs)
        self._check(spec, tuple(columns.values()), names)
        lookback = self._lookback(step, tuple(columns.values()))
        for name, definition in zip(names, step.definitions, strict=True):
            self._definitions.setdefault(name, self._canonical(columns, definition))
            self._lookbacks[name] = lookback
        self._steps.append(_PlacedStep(step, columns, names))

    def plan(self) -> FeaturePlan:
        """Return the plan, or raise ConfigError with all problems."""
        if self.problems:
            raise ConfigError(self.problems)
        reach = [] if self._dialect == "causal" else [None]
        lookbacks = [*self._lookbacks.values(), *reach]
        return FeaturePlan(
            names=tuple(self._lookbacks),
            lookback_rows=None if None in lookbacks else max((rows for rows in lookbacks if rows), default=0),
            definitions=dict(self._definitions),
            dialect=self._dialect,
            _steps=tuple(self._steps),
        )

    def _check(self, spec: GeneratorSpec, columns: Sequence[str], names: Sequence[str]) -> None:
        for column in columns:
            if column not in self._data_columns and column not in self._lookbacks:
                self.problems.append(
                    f"{spec.generator}: input column {column} is neither in the data nor a feature generated "
                    f"before it; the data has {', '.join(sorted(self._data_columns - {TIMESTAMP}))}"
                )
        seen: set[str] = set()
        for name in names:
            if name in self._lookbacks or name in seen:
                self.problems.append(
                    f"{spec.generator}: feature {name} is generated twice; remove one or name it"
                )
            elif name in self._data_columns:
                self.problems.append(
                    f"{spec.generator}: feature {name} has the name of a data column; name it"
                )
            seen.add(name)

    def _lookback(self, step: Step, columns: Sequence[str]) -> int | None:
        reach = [self._lookbacks.get(column, 0) for column in columns]
        if step.lookback_rows is None or None in reach:
            return None
        return step.lookback_rows + max((rows for rows in reach if rows), default=0)

    def _canonical(self, columns: Mapping[str, str], definition: Mapping[str, Any]) -> str:
        """Write a definition with the frame's names, and with those of the features it is made from."""
        made_from = {
            column: self._definitions[column] for column in columns.values() if column in self._definitions
        }
        renamed = {name: column for name, column in columns.items() if name != column}
        full = {**definition, "dialect": self._dialect}
        full |= {"bits": KEPT_BITS} if self._dialect == "causal" else {}
        full |= {"columns": renamed} if renamed else {}
        full |= {"made_from": made_from} if made_from else {}
        return json.dumps(full, sort_keys=True, separators=(",", ":"), default=str)


def _check_data(data: pd.DataFrame, inputs: Sequence[str]) -> None:
    missing = [name for name in (TIMESTAMP, *inputs) if name not in data.columns]
    if missing:
        raise DataContractError(
            f"data lacks the columns {', '.join(missing)} that the features read; "
            f"it has {', '.join(map(str, data.columns))}"
        )
    times = data[TIMESTAMP]
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        raise DataContractError(f"data's timestamp is {times.dtype}, expected datetime64[ns, UTC]")
    if (
        len(times) > 1
        and times.iloc[0] + (times.iloc[1] - times.iloc[0]) * (len(times) - 1) != times.iloc[-1]
    ):
        raise DataContractError(
            f"data from {times.iloc[0]} to {times.iloc[-1]} has {len(times)} rows, which is not every kline "
            "of the grid: put it on the grid first, missing klines as rows of NaN"
        )


def _float_column(column: pd.Series) -> Array:
    return np.ascontiguousarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _open_time_ns(data: pd.DataFrame) -> npt.NDArray[np.int64]:
    times = pd.DatetimeIndex(data[TIMESTAMP], copy=False)
    if times.unit != "ns":  # converting copies even what is ns already
        times = times.as_unit("ns")
    return times.asi8  # type: ignore[attr-defined, no-any-return]
