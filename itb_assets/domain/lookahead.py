"""Whether features read the future, and whether serving on the newest rows gives what the whole history gave.

Both are found by computing again on fewer rows and comparing. Which rows to try, and what a breach means for
a run, belongs to the callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from itb_assets.errors import DataContractError, LookAheadError

TAIL_TOLERANCE = 1e-9
"""Largest difference that counts as none, relative to the feature's largest known value in the rows at hand.

TA-Lib's running sums and recursions carry rounding from wherever they began, and the lookbacks leave less
than 1e-12 of a recursion's start. Measured on random walks, HT_SINE and LINEARREG_ANGLE reach 8e-10 and all
others stay below 1e-10, while a feature that reads one later row differs by 1e-4 and more.
"""


class Computes(Protocol):
    """The part of a FeaturePlan that these checks use."""

    @property
    def names(self) -> tuple[str, ...]:
        """Features in order."""
        ...

    @property
    def lookback_rows(self) -> int | None:
        """Earlier rows that one row needs, None for all."""
        ...

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Return `timestamp` and the features."""
        ...


@dataclass(frozen=True)
class FeatureDifference:
    """One feature whose values depend on which rows were there.

    `cut` is the open time of the first row left out, or None where the difference is between serving and
    batch. `largest` is the largest difference relative to the feature's scale, infinite where one side is
    NaN and the other is not.
    """

    feature: str
    first_time: pd.Timestamp
    rows: int
    largest: float
    cut: pd.Timestamp | None = None

    def __str__(self) -> str:
        """Say it in one line, for a check's message."""
        what = f"rows after {self.cut} change it" if self.cut is not None else "serving differs from batch"
        return (
            f"{self.feature}: {what}, first at {self.first_time}, in {self.rows} rows, by {self.largest:.3g}"
        )


def find_look_ahead(
    plan: Computes,
    data: pd.DataFrame,
    cuts: Iterable[pd.Timestamp],
    *,
    rows: int = 64,
    later_rows: int = 512,
    features: pd.DataFrame | None = None,
) -> list[FeatureDifference]:
    """Return the features whose last `rows` values before a cut depend on rows from the cut on.

    For each cut (an open time) the features are computed on `lookback_rows` + `rows` rows before it, once
    alone and once with `later_rows` more, so the cost does not grow with history unless the plan needs all
    of it. Pass the stored `features` of the whole history to compare with those instead of the second
    computation: they may hold what rows beyond `later_rows` did. Cuts outside the data are passed over.
    """
    times = pd.DatetimeIndex(data["timestamp"])
    found: list[FeatureDifference] = []
    for cut in cuts:
        stop = int(times.searchsorted(cut))
        if not 0 < stop < len(data):
            continue
        start = _window_start(plan, stop, rows)
        alone = plan.compute(data.iloc[start:stop].reset_index(drop=True))
        if features is None:
            with_later = data.iloc[start : stop + later_rows].reset_index(drop=True)
            known = plan.compute(with_later).iloc[: stop - start]
        else:
            known = _same_times(features, alone)
        found += compare_features(plan.names, known, alone, last_rows=rows, cut=cut)
    return found


def find_serve_differences(
    plan: Computes, data: pd.DataFrame, batch_tail: pd.DataFrame, rows: int
) -> list[FeatureDifference]:
    """Return the features whose last `rows` values, computed as serving does, differ from the batch's.

    Serving computes on the last `lookback_rows` + `rows` rows of `data`. `batch_tail` holds the features of
    those rows as computed from the whole history, `timestamp` included; it may hold more rows before them.
    """
    rows = min(rows, len(data), len(batch_tail))
    start = _window_start(plan, len(data), rows)
    served = plan.compute(data.iloc[start:].reset_index(drop=True)).tail(rows)
    return compare_features(plan.names, _same_times(batch_tail, served), served, last_rows=rows)


def compare_features(
    names: Sequence[str],
    expected: pd.DataFrame,
    found: pd.DataFrame,
    *,
    last_rows: int,
    cut: pd.Timestamp | None = None,
) -> list[FeatureDifference]:
    """Return the features whose `last_rows` values differ, or are NaN in one frame only.

    Both frames hold the same rows; those before the last ones tell the scale of each feature.
    """
    differences = []
    times = pd.DatetimeIndex(expected["timestamp"])[-last_rows:]
    for name in names:
        whole = expected[name].to_numpy(np.float64)
        scale = np.abs(whole[np.isfinite(whole)]).max(initial=0.0) or 1.0
        left, right = whole[-last_rows:], found[name].to_numpy(np.float64)[-last_rows:]
        difference = np.abs(left - right) / scale
        difference[np.isnan(left) & np.isnan(right)] = 0.0
        difference[np.isnan(difference)] = np.inf
        wrong = np.flatnonzero(difference > TAIL_TOLERANCE)
        if len(wrong):
            largest = float(difference.max())
            differences.append(FeatureDifference(name, times[wrong[0]], len(wrong), largest, cut))
    return differences


def require_no_differences(differences: Sequence[FeatureDifference]) -> None:
    """Raise LookAheadError listing all of them, if there are any."""
    if differences:
        listed = "\n".join(f"  - {difference}" for difference in differences)
        raise LookAheadError(f"{len(differences)} features depend on rows they must not know\n{listed}")


def _window_start(plan: Computes, stop: int, rows: int) -> int:
    return 0 if plan.lookback_rows is None else max(0, stop - rows - plan.lookback_rows)


def _same_times(features: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `features` at the times of `wanted`, in its order."""
    times = pd.DatetimeIndex(features["timestamp"])
    positions = times.get_indexer(pd.DatetimeIndex(wanted["timestamp"]))
    missing = int((positions < 0).sum())
    if missing:
        raise DataContractError(
            f"{missing} of {len(wanted)} rows to compare are not among the features given, which run from "
            f"{features['timestamp'].min()} to {features['timestamp'].max()}: compute the features again"
        )
    return features.iloc[positions]
