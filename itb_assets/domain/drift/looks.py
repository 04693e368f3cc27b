"""One look for drift at a variant of a market, all measures at one time, and the frame that keeps looks.

A frame of looks has one row a look, since times in stored frames are unique: the measures of a look are JSON
in it. What is measured belongs to `evaluate`, when it is time for a look to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from itb_assets.domain.drift.evaluation import (
    DriftEvaluation,
    Verdict,
    drift_frame,
    severity,
    worst_verdict,
)
from itb_assets.domain.drift.trade_watch import TradeWatch
from itb_assets.errors import DataContractError

LOOK_DTYPES: Mapping[str, str] = {
    "timestamp": "datetime64[ns, UTC]",  # close of the newest kline that was looked at
    "verdict": "object",  # the gravest of the evaluations
    "alarms": "int64",
    "evaluations": "object",  # JSON
    "models": "object",  # digest of the models whose scores were looked at
    "watch": "object",  # JSON: the state of the watch over the trades
}
LOOK_COLUMNS: tuple[str, ...] = tuple(LOOK_DTYPES)


@dataclass(frozen=True)
class Look:
    """Everything that was measured of a variant at one time, and where the watch over its trades stood."""

    at: pd.Timestamp
    evaluations: tuple[DriftEvaluation, ...]
    models: str
    watch: TradeWatch

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict."""
        return worst_verdict(self.evaluations)

    @property
    def alarms(self) -> tuple[DriftEvaluation, ...]:
        """What somebody should look at."""
        return tuple(one for one in self.evaluations if one.alarms)

    @property
    def ranked(self) -> tuple[DriftEvaluation, ...]:
        """The gravest evaluations first, those that could not be made last."""
        return tuple(sorted(self.evaluations, key=lambda one: -severity(one.verdict)))

    def of(self, metric: str) -> DriftEvaluation | None:
        """Return the evaluation of a metric, or None."""
        return next((one for one in self.evaluations if one.metric == metric), None)


def looks_frame(*looks: Look) -> pd.DataFrame:
    """Return one row a look, with LOOK_COLUMNS."""
    frame = pd.DataFrame(
        [
            {
                "timestamp": look.at,
                "verdict": look.verdict,
                "alarms": len(look.alarms),
                "evaluations": _json([asdict(one) for one in look.evaluations]),
                "models": look.models,
                "watch": _json(look.watch.as_dict()),
            }
            for look in looks
        ],
        columns=list(LOOK_COLUMNS),
    )
    return frame.astype(dict(LOOK_DTYPES))


def empty_looks() -> pd.DataFrame:
    """Return looks of no rows, with every column and dtype."""
    return looks_frame()


def read_looks(frame: pd.DataFrame) -> tuple[Look, ...]:
    """Read what `looks_frame` gave, oldest first; raise DataContractError for anything else."""
    try:
        return tuple(_look(row) for row in frame[list(LOOK_COLUMNS)].itertuples(index=False))
    except (KeyError, TypeError, ValueError) as error:
        raise DataContractError(
            f"stored looks for drift cannot be read ({error!r}): delete the file, the next run looks again"
        ) from error


def history_of(looks: tuple[Look, ...], *, model: str) -> pd.DataFrame:
    """Return every evaluation of every look as a row, as `drift_frame` does for one look."""
    frames = [drift_frame(look.evaluations, model=model, evaluated_at=look.at) for look in looks]
    return pd.concat(frames, ignore_index=True) if frames else _no_history(model)


def _no_history(model: str) -> pd.DataFrame:
    return drift_frame((), model=model, evaluated_at=pd.Timestamp(0, tz="UTC"))


def _look(row: Any) -> Look:  # noqa: ANN401 - a named tuple of LOOK_COLUMNS
    return Look(
        at=row.timestamp,
        evaluations=tuple(DriftEvaluation(**one) for one in _listed(row.evaluations)),
        models=row.models,
        watch=TradeWatch.from_dict(json.loads(row.watch)),
    )


def _listed(text: str) -> list[Any]:
    found = json.loads(text)
    if not isinstance(found, list):
        raise TypeError(f"{type(found).__name__}, expected a list")
    return found


def _json(value: object) -> str:
    """Write a value as one line of JSON; NaN is refused, unknown is null."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
