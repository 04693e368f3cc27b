"""Frames put together from the columns of others, without a copy of any.

What the columns mean belongs to whoever puts them together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def columns_of(*frames: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of all frames by name, a later one in the place of an earlier of the same name.

    `pandas.DataFrame(columns_of(...), copy=False)` shares their memory. Columns of plain numpy dtypes come as
    numpy arrays: through pandas' own wrapper each would be searched for unknown values once.
    """
    return {
        str(name): column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
        for frame in frames
        for name, column in frame.items()
    }
