"""The strategy of the benchmark's own: one model, rules that buy and sell, and the feature that is a gate.

What the feature does belongs to `alert_latency_gate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIANT = "latency"

STRATEGY: Mapping[str, Any] = {
    "label_horizon": 4,
    "feature_sets": [
        {"generator": "latency_gate", "config": {}},
        {
            "generator": "talib",
            "config": {"columns": ["close"], "functions": ["SMA"], "windows": [3, 12]},
        },
    ],
    "label_sets": [
        {
            "generator": "highlow2",
            "config": {
                "columns": ["close", "high", "low"],
                "function": "high",
                "thresholds": [0.4],
                "tolerance": 0.05,
                "horizon": 4,
                "names": ["latency_high"],
            },
        }
    ],
    "train_features": ["close_SMA_3", "close_SMA_12"],
    "labels": ["latency_high"],
    "algorithms": [{"name": "logreg", "algo": "logreg", "params": {"is_scale": True}}],
    "walk_forward": {"folds": 2, "window_rows": 400, "min_train_rows": 1000},
    "paper_trading": {"direction": "long"},
    "signal_sets": [
        {
            "generator": "threshold_rule",
            "config": {
                "columns": "latency_high_logreg",
                "names": ["buy_latency", "sell_latency"],
                "parameters": {"buy_signal_threshold": 0.6, "sell_signal_threshold": 0.3},
            },
        }
    ],
}
