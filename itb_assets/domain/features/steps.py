"""What a feature generator hands over: steps, each a pure kernel over numpy columns with its needs stated.

How steps are put in order, cut at gaps and laid into a frame belongs to `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from itb_assets.domain.specs import Dialect, GeneratorSpec

Array: TypeAlias = npt.NDArray[np.float64]
"""One column: float64, one value a row, NaN where unknown."""

Columns: TypeAlias = Mapping[str, Any]
"""Input columns by the name the config gives them; `timestamp`, where asked for, is int64 UTC nanoseconds."""

Kernel: TypeAlias = Callable[[Columns], Sequence[Array]]
"""Inputs in, one array of the same length per output out; it must not change its inputs."""

TIMESTAMP = "timestamp"
"""The column that says when each row opens; any step may name it among its inputs."""


@dataclass(frozen=True)
class Step:
    """One computation that yields one or more features.

    `inputs` and `outputs` are the names the config uses: prefixes are put on by the plan.
    `definitions` holds, per output, all that its values depend on, as plain JSON values: two variants may
    share a feature name only where these agree.
    `lookback_rows` is how many earlier rows one row's value needs; None means all of them.
    With `by_segment` the kernel is called once per unbroken stretch of known input rows, so that no window
    reaches across a gap; without it the kernel sees whole columns and deals with NaN itself.
    `warmup_rows` at the start of every stretch are set to NaN whatever the kernel returned.
    `stays_finite` promises that finite input never gives an infinity, which saves looking for one.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    definitions: tuple[Mapping[str, Any], ...]
    kernel: Kernel
    lookback_rows: int | None
    warmup_rows: int = 0
    by_segment: bool = True
    stays_finite: bool = False


@runtime_checkable
class FeatureGenerator(Protocol):
    """What a `generator` name of a strategy stands for; register one under `itb_assets.features`.

    An entry point of that group may name an instance or a class without arguments. Example:

        class CloseChange:
            def steps(self, spec, dialect):
                rows = spec.config["rows"]
                def kernel(columns):
                    close = columns["close"]
                    out = np.full(len(close), np.nan)
                    out[rows:] = close[rows:] / close[:-rows] - 1.0
                    return (out,)
                return (Step((f"change_{rows}",), ("close",), ({"change": rows},), kernel, rows),)
    """

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return the steps of this config in order; raise ConfigError naming every mistake in it."""
        ...
