"""Features that no strategy may have: they know klines that come later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from itb_assets.domain.features.steps import Array, Columns, Step
from itb_assets.domain.labels import compile_labels
from itb_assets.domain.specs import Dialect, GeneratorSpec


class NextClose:
    """The close one kline later, declared as if it needed nothing but its own row."""

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return the one step."""
        del spec, dialect

        def kernel(columns: Columns) -> Sequence[Array]:
            close = columns["close"]
            return (np.append(close[1:], np.nan),)

        return (Step(("next_close",), ("close",), ({"next": "close"},), kernel, lookback_rows=0),)


class CrossesSoon:
    """A label, hidden under a little noise: whether the price rises soon, as one of the strategies asks."""

    label = GeneratorSpec(
        "highlow2",
        {
            "columns": ["close", "high", "low"],
            "function": "high",
            "thresholds": [0.2],
            "tolerance": 0.2,
            "horizon": 4,
            "names": ["soon"],
        },
    )

    def steps(self, spec: GeneratorSpec, dialect: Dialect) -> Sequence[Step]:
        """Return the one step."""
        del spec
        plan = compile_labels([self.label], dialect=dialect)

        def kernel(columns: Columns) -> Sequence[Array]:
            data = pd.DataFrame({name: columns[name] for name in ("close", "high", "low")})
            data.insert(0, "timestamp", pd.date_range("2024-01-01", periods=len(data), freq="5min", tz="UTC"))
            told = plan.compute(data)["soon"].to_numpy(np.float64, na_value=np.nan)
            return (told + 1e-3 * np.sin(np.arange(len(told))),)

        return (Step(("soon",), ("close", "high", "low"), ({"soon": 4},), kernel, lookback_rows=0),)
