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
`trade_watch`  the watch over a variant's trades, going on with those that ended since
`looks`        all measures of a variant at one time, and the frame that keeps them
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
    insufficient,
    worst_verdict,
)
from itb_assets.domain.drift.looks import (
    LOOK_COLUMNS,
    LOOK_DTYPES,
    Look,
    empty_looks,
    history_of,
    looks_frame,
    read_looks,
)
from itb_assets.domain.drift.population import ReferenceBins, freeze_bins, psi
from itb_assets.domain.drift.proportions import trades_needed, wilson_upper
from itb_assets.domain.drift.rows import Forecasts, Outcomes
from itb_assets.domain.drift.sequential import CusumRun, SequentialState, SprtRun, cusum, sprt
from itb_assets.domain.drift.trade_watch import TradeWatch, begin_watch, go_on
from itb_assets.domain.drift.win_rate import WinRateReference, WinRateState, evaluate_win_rate, watch

__all__ = [
    "DRIFT_COLUMNS",
    "DRIFT_DTYPES",
    "LOOK_COLUMNS",
    "LOOK_DTYPES",
    "CalibrationSummary",
    "CusumRun",
    "DriftEvaluation",
    "Forecasts",
    "Look",
    "Outcomes",
    "ReferenceBins",
    "SequentialState",
    "SprtRun",
    "TradeWatch",
    "WinRateReference",
    "WinRateState",
    "begin_watch",
    "cusum",
    "drift_frame",
    "empty_looks",
    "evaluate_calibration",
    "evaluate_features",
    "evaluate_model",
    "evaluate_win_rate",
    "freeze_bins",
    "go_on",
    "history_of",
    "insufficient",
    "looks_frame",
    "psi",
    "read_looks",
    "sprt",
    "summarise_calibration",
    "trades_needed",
    "watch",
    "wilson_upper",
    "worst_verdict",
]
