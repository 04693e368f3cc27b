"""The columns of frames: whether they are those expected, and frames put together from those of others.

What the columns mean belongs to whoever puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def shape_breaches(frame: pd.DataFrame, dtypes: Mapping[str, str]) -> list[str]:
    """Say how a frame differs from `dtypes`, which names its columns in order; nothing where it does not."""
    found, wanted = tuple(frame.columns), tuple(dtypes)
    if found != wanted:
        missing = [name for name in wanted if name not in found]
        extra = [name for name in found if name not in wanted]
        order = "" if missing or extra else "; the order differs"
        return [f"columns: missing {missing}, not expected {extra}{order}; expected {list(wanted)}"]
    return [
        f"{name}: found dtype {found_dtype}, expected {dtype}"
        for (name, dtype), found_dtype in zip(dtypes.items(), frame.dtypes, strict=True)
        if found_dtype != dtype
    ]


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
