"""Drift: whether a model's live trades, probabilities and features still are what it was judged by.

Alerts, storage and schedules belong elsewhere; so does any remedy. `docs/drift.md` says what is compared
with what.

`evaluation`   one look at one measure, its verdict, and the frame that keeps looks
`rows`         won and lost trades, scores with labels, each with its sample
`evidence`     log-likelihood ratios, trade by trade, for one history or many
`sequential`   CUSUM and SPRT with a state to go on from
`proportions`  Wilson's bound, trades needed, evidence averaged over an uncertain reference
`win_rate`     the one alarm on the win rate
`calibration`  Brier score and gap against those out of sample
`population`   frozen bins, PSI, and what chance gives
`evaluate`     everything of a model, and of its features, at one look
"""

from __future__ import annotations

from itb_assets.domain.drift.calibration import (
    CalibrationSummary,
    evaluate_calibration,
    summarise_calibration,
)
from itb_assets.domain.drift.evaluate import evaluate_features, evaluate_model
from itb_assets.domain.drift.evaluation import (
    DRIFT_COLUMNS,
    DRIFT_DTYPES,
    DriftEvaluation,
    drift_frame,
    worst_verdict,
)
from itb_assets.domain.drift.population import ReferenceBins, freeze_bins, psi
from itb_assets.domain.drift.proportions import trades_needed, wilson_upper
from itb_assets.domain.drift.rows import Forecasts, Outcomes
from itb_assets.domain.drift.sequential import CusumRun, SequentialState, SprtRun, cusum, sprt
from itb_assets.domain.drift.win_rate import WinRateReference, WinRateState, evaluate_win_rate, watch

__all__ = [
    "DRIFT_COLUMNS",
    "DRIFT_DTYPES",
    "CalibrationSummary",
    "CusumRun",
    "DriftEvaluation",
    "Forecasts",
    "Outcomes",
    "ReferenceBins",
    "SequentialState",
    "SprtRun",
    "WinRateReference",
    "WinRateState",
    "cusum",
    "drift_frame",
    "evaluate_calibration",
    "evaluate_features",
    "evaluate_model",
    "evaluate_win_rate",
    "freeze_bins",
    "psi",
    "sprt",
    "summarise_calibration",
    "trades_needed",
    "watch",
    "wilson_upper",
    "worst_verdict",
]
