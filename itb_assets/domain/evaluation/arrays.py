"""What an array must be before it is measured.

The measures belong to the modules beside this one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from itb_assets.errors import DataContractError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


def finite_floats(values: npt.ArrayLike, what: str) -> Floats:
    """Return `values` as one row of float64; DataContractError naming `what` where any is NaN or inf."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataContractError(f"{what} have shape {array.shape}: expected one number a row")
    if unknown := len(array) - int(np.isfinite(array).sum()):
        raise DataContractError(
            f"{unknown} of {len(array)} {what} are NaN or inf: drop those rows first, or find their cause"
        )
    return array


def require_same_length(**arrays: npt.ArrayLike) -> None:
    """Raise DataContractError unless all arrays have as many rows."""
    lengths = {name: len(np.asarray(array)) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise DataContractError(f"{told}: expected one of each a row")
