"""What is watched for drift: won and lost trades, and scores with the label that came true.

Each carries its sample, so that a model's own training rows, and mixtures, never reach a measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.samples import MeasurableSample, require_one_sample
from itb_assets.errors import DataContractError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Won (True) and lost closed trades in the order in which they ended, with the sample of each."""

    won: Bools
    sample: Texts

    def __post_init__(self) -> None:
        """Raise DataContractError for lengths that differ and for samples that must not be measured."""
        if len(self.won) != len(self.sample):
            raise DataContractError(
                f"{len(self.won)} outcomes and {len(self.sample)} samples: expected one of each a trade"
            )
        require_one_sample(self.sample)

    def __len__(self) -> int:
        """Return the number of trades."""
        return len(self.won)

    @classmethod
    def of(cls, trades: pd.DataFrame) -> Outcomes:
        """Take the CLOSED rows of a trades frame by exit time; a trade is won when `pnl`, after fees, is > 0.

        Raises DataContractError when a closed trade has no `pnl` or no `exit_time_ms`.
        """
        closed = trades.loc[trades["status"] == "CLOSED"]
        unknown = closed["pnl"].isna() | closed["exit_time_ms"].isna()
        if unknown.any():
            raise DataContractError(
                f"{int(unknown.sum())} closed trades have no pnl or exit_time_ms, the first "
                f"{closed.loc[unknown, 'trade_id'].iloc[0]}: expected both in every closed trade"
            )
        closed = closed.sort_values(["exit_time_ms", "trade_id"], kind="stable")
        return cls(closed["pnl"].to_numpy(np.float64) > 0, closed["sample"].to_numpy(object))

    def after(self, trades: int) -> Outcomes:
        """Return what came after so many trades: what a state that has seen those has not seen."""
        return Outcomes(self.won[trades:], self.sample[trades:])


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Rows in order of time: a probability, whether it came true, and the sample."""

    score: Floats
    label: Bools
    sample: Texts

    def __post_init__(self) -> None:
        """Raise DataContractError for torn rows, scores outside 0 to 1, and forbidden samples."""
        lengths = (len(self.score), len(self.label), len(self.sample))
        if len(set(lengths)) != 1:
            raise DataContractError(
                f"{lengths[0]} scores, {lengths[1]} labels and {lengths[2]} samples: "
                "expected one of each a row"
            )
        if wrong := int((~((self.score >= 0) & (self.score <= 1))).sum()):
            raise DataContractError(f"{wrong} scores are NaN or outside 0 to 1: expected probabilities")
        require_one_sample(self.sample)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.score)

    @classmethod
    def of(cls, frame: pd.DataFrame, score: str, label: str) -> Forecasts:
        """Take the rows of a frame with `sample` whose score and label are both known."""
        rows = frame.loc[frame[score].notna() & frame[label].notna()]
        return cls(
            rows[score].to_numpy(np.float64), rows[label].to_numpy(np.bool_), rows["sample"].to_numpy(object)
        )


def require_sample(samples: Texts | pd.Series, expected: MeasurableSample, *, what: str) -> None:
    """Raise DataContractError unless all rows are of the expected sample; no rows at all are of any."""
    if len(samples) and (found := require_one_sample(samples)) != expected:
        raise DataContractError(f"{what} are {found}: expected {expected} rows alone")
