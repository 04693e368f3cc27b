"""Two strategies quick enough for a test, each sharing part of its entries with the other.

What runs them belongs to `pipeline_making`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from itb_assets.domain.strategy import Strategy, load_strategy


def _crossing(function: str, thresholds: list[float], names: list[str], horizon: int) -> dict[str, Any]:
    config = {
        "columns": ["close", "high", "low"],
        "function": function,
        "thresholds": thresholds,
        "tolerance": 0.2,
        "horizon": horizon,
        "names": names,
    }
    return {"generator": "highlow2", "config": config}


def _top(name: str, horizon: int) -> dict[str, Any]:
    """Return a label that looks back as far as it looks ahead; no model is trained on it."""
    config = {"columns": "close", "function": "top", "level": 0.005, "tolerances": [0.3], "names": [name]}
    return {"generator": "topbot2", "config": config | {"horizon": horizon}}


def _averages(windows: list[int]) -> dict[str, Any]:
    return {"generator": "talib", "config": {"columns": ["close"], "functions": ["SMA"], "windows": windows}}


def _signals(variant: str, up: str, down: str, limits: tuple[float, float]) -> list[dict[str, Any]]:
    """Return rules whose limits lie where the invented markets' scores do, so that both sides are traded."""
    score = f"score_{variant}"
    parameters = dict(zip(("buy_signal_threshold", "sell_signal_threshold"), limits, strict=True))
    return [
        {"generator": "combine", "config": {"columns": [up, down], "names": score, "combine": "difference"}},
        {"generator": "smoothen", "config": {"columns": score, "names": f"smooth_{variant}", "window": 12}},
        {
            "generator": "threshold_rule",
            "config": {
                "columns": f"smooth_{variant}",
                "names": [f"buy_{variant}", f"sell_{variant}"],
                "parameters": parameters,
            },
        },
    ]


_WALK_FORWARD = {"folds": 2, "window_rows": 100, "min_train_rows": 300}
_BRISK: Mapping[str, Any] = {
    "label_horizon": 4,
    "feature_sets": [
        _averages([3, 6]),
        {"generator": "talib", "config": {"columns": ["close"], "functions": ["RSI"], "windows": [14]}},
        {"generator": "spread", "config": {"windows": [3, 6]}},
    ],
    "label_sets": [
        _crossing("high", [0.2, 0.3], ["high_020_4", "high_030_4"], 4),
        _crossing("low", [0.2], ["low_020_4"], 4),
    ],
    "train_features": ["close_SMA_3", "close_SMA_6", "close_RSI_14", "spread_pct_3", "spread_pct_6"],
    "labels": ["high_020_4", "low_020_4"],
    "algorithms": [{"name": "lgbm", "algo": "lgbm", "train": {"n_estimators": 10, "num_leaves": 5}}],
    "walk_forward": _WALK_FORWARD,
    "signal_sets": _signals("brisk", "high_020_4_lgbm", "low_020_4_lgbm", (0.01, -0.02)),
}
_STEADY: Mapping[str, Any] = {
    "label_horizon": 4,
    "feature_sets": [_averages([3, 12])],
    "label_sets": [
        _crossing("high", [0.2, 0.4], ["high_020_4", "high_040_4"], 4),
        _crossing("low", [0.2], ["low_020_12"], 12),
        _top("top_005", 20),
    ],
    "train_features": ["close_SMA_12", "close_SMA_3"],
    "labels": ["high_020_4", "low_020_12"],
    "algorithms": [{"name": "logreg", "algo": "logreg", "params": {"is_scale": True}}],
    "walk_forward": _WALK_FORWARD,
    "signal_sets": _signals("steady", "high_020_4_logreg", "low_020_12_logreg", (-0.038, -0.045)),
    "paper_trading": {"time_limit_rows": 12, "max_positions": 2, "slippage_pct": 0.01},
}


def strategy(variant: str, base: Mapping[str, Any] = _BRISK, **changes: object) -> Strategy:
    """Return a quick strategy with these top-level keys set instead."""
    text = json.dumps(copy.deepcopy(dict(base)) | changes, indent=1)
    return load_strategy(text, origin=f"{variant}.jsonc", variant=variant)


def brisk(**changes: object) -> Strategy:
    """Return two LightGBM models of ten small trees."""
    return strategy("brisk", _BRISK, **changes)


def steady(**changes: object) -> Strategy:
    """Return two linear models, one of which looks further ahead; it shares part of each entry with brisk."""
    return strategy("steady", _STEADY, **changes)
