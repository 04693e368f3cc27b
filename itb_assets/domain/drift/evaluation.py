"""What one look at one measure of drift says, and the frame in which looks are kept.

How a measure is computed belongs to the other modules of this room; who is told belongs to the alerts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from itb_assets.errors import DataContractError

Verdict = Literal["ok", "warning", "error", "insufficient data"]

Direction = Literal["above", "below"]
"""On which side of its threshold a value is bad."""

DRIFT_COLUMNS = ("timestamp", "model", "metric", "value", "n", "threshold", "verdict", "detail")
DRIFT_DTYPES = {
    "timestamp": "datetime64[ns, UTC]",
    "model": "object",
    "metric": "object",
    "value": "float64",
    "n": "int64",
    "threshold": "float64",
    "verdict": "object",
    "detail": "object",
}

_RANK: dict[Verdict, int] = {"insufficient data": 0, "ok": 1, "warning": 2, "error": 3}


@dataclass(frozen=True)
class DriftEvaluation:
    """One measure at one look: its value over `n` trades or rows, beside its threshold, and the verdict.

    `value` and `threshold` are None where the data cannot tell. A verdict may rest on more than the
    threshold (`detail` says on what): so a value beyond its threshold can be "ok", never the reverse.
    """

    metric: str
    value: float | None
    n: int
    threshold: float | None
    verdict: Verdict
    detail: str
    direction: Direction = "above"

    @property
    def alarms(self) -> bool:
        """Return whether somebody should look."""
        return self.verdict in {"warning", "error"}


def insufficient(
    metric: str,
    n: int,
    why: str,
    *,
    value: float | None = None,
    threshold: float | None = None,
    direction: Direction = "above",
) -> DriftEvaluation:
    """Return the evaluation of a measure that cannot be judged yet."""
    return DriftEvaluation(metric, value, n, threshold, "insufficient data", why, direction)


def severity(verdict: Verdict) -> int:
    """Rank a verdict: the graver, the higher; one that could not be made is lowest."""
    return _RANK[verdict]


def worst_verdict(evaluations: Iterable[DriftEvaluation]) -> Verdict:
    """Return the gravest verdict; "insufficient data" when nothing could be judged."""
    return max((one.verdict for one in evaluations), key=_RANK.__getitem__, default="insufficient data")


def drift_frame(
    evaluations: Sequence[DriftEvaluation], *, model: str, evaluated_at: pd.Timestamp
) -> pd.DataFrame:
    """Return one row an evaluation, with DRIFT_COLUMNS; None becomes NaN.

    `timestamp` is the time of the look, the same in every row; a metric occurs once a look, or
    DataContractError is raised, as for a time without a zone.
    """
    if evaluated_at.tzinfo is None:
        raise DataContractError(f"the look at {evaluated_at} has no time zone: pass a UTC time")
    twice = sorted(name for name, times in Counter(one.metric for one in evaluations).items() if times > 1)
    if twice:
        raise DataContractError(f"evaluated twice at one look: {', '.join(twice)}; expected each metric once")
    rows = len(evaluations)
    frame = pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex([evaluated_at] * rows, tz="UTC"),
            "model": pd.Series([model] * rows, dtype=object),
            "metric": pd.Series([one.metric for one in evaluations], dtype=object),
            "value": [_number(one.value) for one in evaluations],
            "n": np.asarray([one.n for one in evaluations], dtype=np.int64),
            "threshold": [_number(one.threshold) for one in evaluations],
            "verdict": pd.Series([one.verdict for one in evaluations], dtype=object),
            "detail": pd.Series([one.detail for one in evaluations], dtype=object),
        },
        columns=list(DRIFT_COLUMNS),
    )
    return frame.astype(DRIFT_DTYPES)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
