"""Evaluates everything that is watched of one model, and of its features and scores, at one look.

The measures belong to `win_rate`, `calibration` and `population`; what is stored of a look to `evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from itb_assets.domain.drift.calibration import CalibrationSummary, evaluate_calibration
from itb_assets.domain.drift.evaluation import DriftEvaluation, Verdict, insufficient
from itb_assets.domain.drift.population import (
    MIN_WINDOWS,
    ReferenceBins,
    chance_of,
    holm,
    psi,
    psi_of_windows,
)
from itb_assets.domain.drift.rows import Forecasts, require_sample
from itb_assets.domain.drift.win_rate import WinRateState, evaluate_win_rate
from itb_assets.errors import DataContractError

MIN_ROWS = 500
"""Known values on both sides: with fewer, PSI passes 0.1 by chance."""

PSI_WARNING = 0.1
PSI_ERROR = 0.25
FAMILY_ALPHA = 0.05
"""Chance that any feature of the family alarms at one look without drift, after Holm's adjustment."""

UNKNOWN_RISE = 0.05
DRIFTED_WARNING = 0.25
DRIFTED_ERROR = 0.5


@dataclass(frozen=True)
class _Moved:
    """One column at one look: PSI of its known values, and the chance of one as large without drift."""

    column: str
    value: float | None
    n: int
    missing: str
    chance: float | None = None


def evaluate_model(
    state: WinRateState,
    *,
    forecasts: Mapping[str, Forecasts] | None = None,
    calibration: Mapping[str, CalibrationSummary] | None = None,
) -> tuple[DriftEvaluation, ...]:
    """Evaluate the win rate of the watched trades, and the calibration of each score that has a reference.

    `forecasts` are live rows by score, `calibration` their out-of-sample references. A reference without
    live rows is insufficient data; live rows without a reference raise DataContractError.
    """
    forecasts, calibration = forecasts or {}, calibration or {}
    if unknown := sorted(set(forecasts) - set(calibration)):
        raise DataContractError(
            f"scores without a reference: {', '.join(unknown)}; "
            f"expected of {', '.join(sorted(calibration)) or 'none'}"
        )
    nothing = Forecasts(np.empty(0), np.empty(0, dtype=np.bool_), np.empty(0, dtype=object))
    evaluations = list(evaluate_win_rate(state))
    for score, reference in calibration.items():
        evaluations += evaluate_calibration(score, forecasts.get(score, nothing), reference)
    return tuple(evaluations)


def evaluate_features(
    live: pd.DataFrame,
    references: Mapping[str, ReferenceBins],
    *,
    history: pd.DataFrame | None = None,
    summary: str = "drifted_features",
) -> tuple[DriftEvaluation, ...]:
    """Evaluate `psi:{column}` and `unknown:{column}` of each reference, then the share that drifted.

    `live` are the newest rows, `history` the rows that the references were frozen from. With a history, a
    PSI alarms only when windows of that history of the same length differ less (Holm over all columns, 5 %);
    a history of fewer than five such windows is insufficient data. Without one, rows count as independent,
    which candles never are. A column `sample` is checked: live rows against an out-of-sample history.

    Raises DataContractError for a missing column, for inf, and for other samples.
    """
    for frame, sample, what in ((live, "live", "the rows"), (history, "out_of_sample", "the history")):
        _check_frame(frame, references, sample, what)
    moved = [_moved(column, bins, live, history) for column, bins in references.items()]
    judged = [one for one in moved if not one.missing]
    adjusted = _adjusted(judged)
    psis = {one.column: _psi_evaluation(one, adjusted.get(one.column)) for one in moved}
    evaluations: list[DriftEvaluation] = []
    for column, bins in references.items():
        evaluations += [psis[column], _unknown_evaluation(column, bins, live)]
    return (*evaluations, _share_evaluation(summary, psis, [one.column for one in judged]))


def _check_frame(
    frame: pd.DataFrame | None, references: Mapping[str, ReferenceBins], sample: str, what: str
) -> None:
    if frame is None:
        return
    if missing := [column for column in references if column not in frame.columns]:
        raise DataContractError(
            f"{what} have no column {', '.join(missing)}: expected every column of the bins"
        )
    if "sample" in frame.columns:
        require_sample(frame["sample"], "live" if sample == "live" else "out_of_sample", what=what)


def _moved(column: str, bins: ReferenceBins, live: pd.DataFrame, history: pd.DataFrame | None) -> _Moved:
    values = live[column].to_numpy(np.float64)
    n = int((~np.isnan(values)).sum())
    value = psi(bins, values)
    shown = None if np.isnan(value) else value
    if n < MIN_ROWS or bins.n < MIN_ROWS:
        why = f"{n:,} known values against {bins.n:,} of the reference, needs {MIN_ROWS} of both"
        return _Moved(column, shown, n, why)
    if history is None:
        return _Moved(column, shown, n, "")
    windows = len(history) // len(values)
    null = psi_of_windows(bins, history[column].to_numpy(np.float64), len(values))
    chance = chance_of(value, null, windows=windows)
    if chance is None:
        why = (
            f"the history of {len(history):,} rows has {windows} windows of {len(values):,}, "
            f"needs {MIN_WINDOWS}, half known: pass fewer live rows or more history"
        )
        return _Moved(column, shown, n, why)
    return _Moved(column, shown, n, "", chance)


def _adjusted(judged: list[_Moved]) -> dict[str, float]:
    tested = [(one.column, one.chance) for one in judged if one.chance is not None]
    chances = holm([chance for _, chance in tested])
    return {column: float(chance) for (column, _), chance in zip(tested, chances, strict=True)}


def _psi_evaluation(one: _Moved, chance: float | None) -> DriftEvaluation:
    metric = f"psi:{one.column}"
    if one.missing or one.value is None:
        return insufficient(metric, one.n, one.missing, value=one.value, threshold=PSI_WARNING)
    verdict: Verdict = "ok"
    unusual = chance is None or chance <= FAMILY_ALPHA
    if unusual and one.value >= PSI_WARNING:
        verdict = "error" if one.value >= PSI_ERROR else "warning"
    detail = (
        "no history to compare with: rows taken as independent"
        if chance is None
        else f"adjusted chance of windows of its history to differ as much: {chance:.3g} "
        f"(alarm up to {FAMILY_ALPHA:g})"
    )
    threshold = PSI_ERROR if verdict == "error" else PSI_WARNING
    return DriftEvaluation(metric, one.value, one.n, threshold, verdict, detail)


def _unknown_evaluation(column: str, bins: ReferenceBins, live: pd.DataFrame) -> DriftEvaluation:
    """Return the share of NaN beside the reference's own and 5 points more."""
    metric, n = f"unknown:{column}", len(live)
    threshold = min(bins.unknown_share + UNKNOWN_RISE, 1.0)
    share = float(live[column].isna().mean()) if n else None
    if share is None or n < MIN_ROWS:
        return insufficient(metric, n, f"{n:,} rows, needs {MIN_ROWS}", value=share, threshold=threshold)
    detail = f"{share:.1%} of rows unknown, {bins.unknown_share:.1%} in the reference"
    return DriftEvaluation(metric, share, n, threshold, "warning" if share > threshold else "ok", detail)


def _share_evaluation(
    summary: str, psis: Mapping[str, DriftEvaluation], judged: list[str]
) -> DriftEvaluation:
    if not judged:
        why = f"none of {len(psis)} columns could be judged"
        return insufficient(summary, 0, why, threshold=DRIFTED_WARNING)
    drifted = [column for column in judged if psis[column].alarms]
    share = len(drifted) / len(judged)
    verdict: Verdict = "error" if share >= DRIFTED_ERROR else "warning" if share >= DRIFTED_WARNING else "ok"
    threshold = DRIFTED_ERROR if verdict == "error" else DRIFTED_WARNING
    detail = f"of {len(judged)} columns judged: {', '.join(drifted) or 'none'}"
    return DriftEvaluation(summary, share, len(judged), threshold, verdict, detail)
