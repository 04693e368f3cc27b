"""Numbers that every way must come to alike, taken from what it computed.

They are not measured; `report` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def of_features(frame: pd.DataFrame) -> Mapping[str, float]:
    """Return the mean size of every feature that all ways define alike."""
    names = [name for name in frame.columns if name not in ("timestamp", "vol_regime")]
    return {str(name): float(frame[name].abs().mean()) for name in names}


def of_labels(frame: pd.DataFrame) -> Mapping[str, float]:
    """Return how often each label holds."""
    names = [name for name in frame.columns if name[:5] in ("high_", "low_0") and "tie" not in name]
    return {str(name): float(frame[name].sum()) for name in names}


def of_signals(frame: pd.DataFrame) -> Mapping[str, float]:
    """Return how many signals there are of each kind."""
    return {name: float(frame[name].sum()) for name in ("buy_signal_aggressive", "sell_signal_aggressive")}
