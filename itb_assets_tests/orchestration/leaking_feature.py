"""A feature that no strategy may have: it knows the close of the next kline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from itb_assets.domain.features.steps import Array, Columns, Step
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
