"""What is written down of a trained model beside its metrics: trades, luck, and references for drift.

Every figure is of rows the models scoring them never saw. Measuring belongs to the domain, keeping to the
IO manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.markets import DAY_MS, Market
from itb_assets.domain.trading.resolve import resolve_label_rule
from itb_assets.errors import ConfigError
from itb_assets.orchestration.platform import ModelName, Platform

if TYPE_CHECKING:
    from itb_assets.domain.training import TrainedModel

PRICES = ("open", "high", "low", "close")
BLOCK_HORIZONS = 5
"""Blocks of rows that calibration is summarised over are as many label horizons long, or a day."""


def evidence(
    platform: Platform, market: Market, name: ModelName, trained: TrainedModel, frame: pd.DataFrame
) -> dict[str, Any]:
    """Return the metrics of a model as they are stored; `frame` holds at least `timestamp` and PRICES."""
    from itb_assets.domain.trading.model_evidence import (  # noqa: PLC0415 - SciPy loads slowly
        auc_luck,
        trading_evidence,
    )

    metrics = trained.metrics_json()
    metrics["overall"] |= _win_rate_interval(metrics["overall"])
    strategy = platform.strategy(name.variant)
    trials = models_tried(platform, market, name, trained)
    auc = auc_luck(trained.scores, market, purge_rows=trained.purge_rows)
    about = {"sample": "out_of_sample", "models_tried": trials, "auc": auc}
    try:
        rule = resolve_label_rule(
            strategy.trading, label=name.label, definition=platform.labels.definitions[name.label]
        )
    except ConfigError as error:
        trading = {"sample": "out_of_sample", "trades": 0, "reason": "; ".join(error.problems)}
        return metrics | {"trading": trading, "luck": about | {"trading": None, "deflated_sharpe": None}}
    trading, luck = trading_evidence(
        trained.scores,
        frame,
        rule,
        market,
        purge_rows=trained.purge_rows,
        n_trials=trials,
        seed=platform.settings.seed,
    )
    return metrics | {"trading": trading, "luck": about | luck}


def models_tried(platform: Platform, market: Market, name: ModelName, trained: TrainedModel) -> int:
    """Count what the model was chosen among: its strategy's models, its search, its earlier definitions."""
    strategy, digest = platform.strategy(name.variant), platform.training_digest(name)
    earlier = {
        version.metadata["training_digest"]
        for version in platform.registry.versions(name.at(market))
        if "training_digest" in version.metadata
    }
    searched = max(len(trained.leaderboard or ()) - 1, 0)
    return len(strategy.labels) * len(strategy.algorithms) + searched + len(earlier - {digest})


def drift_reference(trained: TrainedModel, frame: pd.DataFrame, market: Market) -> dict[str, Any]:
    """Return what live rows are compared with later, as plain data.

    `features` are bins of each feature in the rows from `from` to before `until`, those of the final fit;
    `score` bins of the walk-forward scores, `calibration` how these fitted what came true.
    """
    from itb_assets.domain.drift import (  # noqa: PLC0415 - SciPy loads slowly
        Forecasts,
        freeze_bins,
        summarise_calibration,
    )

    low, high = (int(frame["timestamp"].searchsorted(t)) for t in (trained.train_start, trained.train_end))
    rows = frame.iloc[low:high]
    scores = trained.scores.assign(sample="out_of_sample")
    block_rows = max(DAY_MS // market.freq_ms, BLOCK_HORIZONS * trained.purge_rows)
    summary = summarise_calibration(Forecasts.of(scores, "score", "outcome"), block_rows=block_rows)
    return {
        "from": trained.train_start.isoformat(),
        "until": trained.train_end.isoformat(),
        "features": {
            name: freeze_bins(rows[name].to_numpy(np.float64)).as_dict() for name in trained.features
        },
        "score": freeze_bins(trained.scores["score"].to_numpy(np.float64)).as_dict(),
        "calibration": summary.as_dict(),
    }


def _win_rate_interval(overall: dict[str, Any]) -> dict[str, Any]:
    """Return Wilson's 95 % interval of the share of signals that came true, None without a signal."""
    signals, precision = overall["signals"], overall["precision"]
    low, high = wilson(round(precision * signals), signals) if signals else (None, None)
    return {"wilson_low": low, "wilson_high": high}
