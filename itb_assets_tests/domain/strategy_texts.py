"""A small lawful strategy as values, as text with whatever a test changes in it, and loaded.

Other texts belong to the tests that need them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from itb_assets.domain.strategy import Strategy, load_strategy
from itb_assets.errors import ConfigError

LAWFUL: Mapping[str, Any] = {
    "label_horizon": 4,
    "feature_sets": [
        {"generator": "talib", "config": {"columns": ["close"], "functions": ["SMA"], "windows": [3, 6]}},
        {"generator": "talib", "config": {"columns": ["close"], "functions": ["RSI"], "windows": [14]}},
    ],
    "label_sets": [
        {
            "generator": "highlow2",
            "config": {
                "columns": ["close", "high", "low"],
                "function": function,
                "thresholds": [0.4],
                "tolerance": 0.05,
                "horizon": 4,
                "names": [f"{function}_040_4"],
            },
        }
        for function in ("high", "low")
    ],
    "train_features": ["close_SMA_3", "close_SMA_6", "close_RSI_14"],
    "labels": ["high_040_4", "low_040_4"],
    "algorithms": [{"name": "lgbm", "algo": "lgbm"}],
    "signal_sets": [
        {
            "generator": "combine",
            "config": {
                "columns": ["high_040_4_lgbm", "low_040_4_lgbm"],
                "names": "score",
                "combine": "difference",
            },
        },
        {
            "generator": "threshold_rule",
            "config": {
                "columns": "score",
                "names": ["buy", "sell"],
                "parameters": {"buy_signal_threshold": 0.01, "sell_signal_threshold": -0.01},
            },
        },
    ],
}


def lawful() -> dict[str, Any]:
    """Return a copy of the lawful strategy to change at will."""
    return copy.deepcopy(dict(LAWFUL))


def text(**changes: object) -> str:
    """Write the lawful strategy with these top-level keys set instead."""
    return json.dumps(lawful() | changes, indent=2)


def load(source: str) -> Strategy:
    """Load a strategy of this text."""
    return load_strategy(source, origin="mine.jsonc", variant="mine")


def problems_of(source: str) -> list[str]:
    """Return what is wrong with a strategy of this text."""
    with pytest.raises(ConfigError) as caught:
        load(source)
    assert caught.value.origin == "mine.jsonc"
    return list(caught.value.problems)
