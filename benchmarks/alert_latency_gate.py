"""A feature of the benchmark's own, at which a step waits until it is told what to do: go on, raise, cheat.

It is registered as anybody's feature is, and so the project's own assets and checks run it. When it is told
what belongs to `alert_latency_causes`; markets for which no gate was shut are let through.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np

from itb_assets.domain.features.steps import Array, Columns, Step
from itb_assets.domain.specs import Dialect, GeneratorSpec
from itb_assets.orchestration.partitions import market_of

FOLDER = "ALERT_LATENCY_GATES"
"""Names the folder in which gates are shut and opened: an environment variable."""

Order = Literal["pass", "raise", "cheat"]
_LOOK_S = 0.01
_LONGEST_S = 120.0


class Gates:
    """The gates of all markets, for who opens them and who waits at them."""

    def __init__(self, folder: Path) -> None:
        """Know the folder, which is there."""
        self._folder = folder

    def shut(self, symbol: str) -> None:
        """Have the steps of a market wait."""
        self._path(symbol, "shut").touch()

    def open(self, symbol: str, order: Order) -> None:
        """Tell those that wait, and those that come later, what to do."""
        self._write(symbol, "order", order)

    def arrived(self, symbol: str) -> int | None:
        """Return the process that waits, or waited."""
        found = self._read(symbol, "arrived")
        return None if found is None else int(found)

    def raised_at(self, symbol: str) -> float | None:
        """Return when a step raised, as its own process saw it."""
        found = self._read(symbol, "raised")
        return None if found is None else float(found)

    def wait(self, symbol: str) -> Order:
        """Return what to do, once that is known."""
        if not self._path(symbol, "shut").exists():
            return "pass"
        if self._read(symbol, "arrived") is None:
            self._write(symbol, "arrived", os.getpid())
        deadline = time.monotonic() + _LONGEST_S
        while (order := self._read(symbol, "order")) is None:
            if time.monotonic() > deadline:
                return "pass"
            time.sleep(_LOOK_S)
        return order

    def raising(self, symbol: str) -> None:
        """Keep the time, just before an error is raised."""
        self._write(symbol, "raised", time.time())

    def _path(self, symbol: str, what: str) -> Path:
        return self._folder / f"{symbol}.{what}"

    def _write(self, symbol: str, what: str, value: object) -> None:
        temporary = self._path(symbol, f"{what}.{os.getpid()}")
        temporary.write_text(json.dumps(value), "utf-8")
        temporary.replace(self._path(symbol, what))

    def _read(self, symbol: str, what: str) -> Any:  # noqa: ANN401 - whatever was written
        try:
            return json.loads(self._path(symbol, what).read_text("utf-8"))
        except FileNotFoundError:
            return None


class Gate:
    """The feature: the close, or the next one where it is told to cheat."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return the one step."""
        del spec, dialect

        def kernel(columns: Columns) -> Sequence[Array]:
            close: Array = columns["close"]
            return (np.append(close[1:], np.nan),) if _order() == "cheat" else (close.copy(),)

        return (Step(("latency_gate",), ("close",), ({"gate": 1},), kernel, lookback_rows=0),)


def _order() -> Order:
    folder = os.environ.get(FOLDER)
    symbol = _symbol()
    if not folder or symbol is None:
        return "pass"
    gates = Gates(Path(folder))
    order = gates.wait(symbol)
    if order == "raise":
        gates.raising(symbol)
        raise RuntimeError(f"the benchmark's error at {symbol}")
    return order


def _symbol() -> str | None:
    """Return the symbol of the run whose step this is, None outside of one."""
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
    return market_of(context.partition_key).symbol if context.has_partition_key else None
