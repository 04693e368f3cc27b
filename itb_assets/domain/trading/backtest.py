"""What one model's scores alone would have earned: positions wherever a score reaches its threshold.

Choosing thresholds belongs to `evaluation`, scoring to `training`; several scores together are signals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from itb_assets.domain.markets import Market
from itb_assets.domain.samples import require_one_sample
from itb_assets.domain.trading.paper import PaperResult, simulate
from itb_assets.domain.trading.resolve import BUY, SCORE, SELL
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import Bools, Floats
from itb_assets.errors import ConfigError, DataContractError

Thresholds = float | Mapping[int, float | None] | npt.ArrayLike


def backtest_scores(
    scores: pd.DataFrame, thresholds: Thresholds, data: pd.DataFrame, rule: TradingRule, market: Market
) -> PaperResult:
    """Enter a position after every kline whose score reaches its threshold, and follow it by the rule.

    `scores` holds `timestamp`, `score`, and `fold` where `thresholds` are given by fold; `sample` says where
    the scores come from and is out_of_sample where there is no such column. Thresholds are one for all rows,
    one a fold or one a row; where one is absent, None or NaN nothing is entered, and neither where the score
    is NaN. They must have been chosen without the rows they are applied to: the caller answers for that.
    `rule` trades one side (see `resolve_label_rule`).

    Raises DataContractError for rows in sample or mixed, and for what `simulate` refuses; ConfigError for a
    rule that trades both sides, leaves at opposite signals or reads other columns.
    """
    _require_own_rule(rule)
    needed = ("timestamp", "score", *(("fold",) if isinstance(thresholds, Mapping) else ()))
    if absent := [name for name in needed if name not in scores]:
        raise DataContractError(f"scores lack the columns {absent}, found {list(map(str, scores.columns))}")
    samples = (
        scores["sample"] if "sample" in scores else pd.Series("out_of_sample", scores.index, dtype=object)
    )
    require_one_sample(samples)
    values = scores["score"].to_numpy(dtype=np.float64)
    reached: Bools = values >= _by_row(scores, thresholds)
    signals = pd.DataFrame(
        {
            "timestamp": scores["timestamp"].array,
            "sample": samples.array,
            SCORE: values,
            BUY: reached if rule.trades_long else np.zeros(len(scores), dtype=np.bool_),
            SELL: reached if rule.trades_short else np.zeros(len(scores), dtype=np.bool_),
        }
    )
    return simulate(signals, data, rule, market)


def _by_row(scores: pd.DataFrame, thresholds: Thresholds) -> Floats:
    """Return one threshold a row, NaN where none is known."""
    if isinstance(thresholds, Mapping):
        folds = scores["fold"].to_numpy()
        limits = np.full(len(scores), np.nan)
        for fold, threshold in thresholds.items():
            limits[folds == fold] = np.nan if threshold is None else threshold
        return limits
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.ndim and limits.shape != (len(scores),):
        raise DataContractError(
            f"{limits.shape} thresholds for {len(scores)} scores: expected one, one a fold or one a row"
        )
    return np.broadcast_to(limits, len(scores))


def _require_own_rule(rule: TradingRule) -> None:
    problems = []
    if rule.direction == "both":
        problems.append("the scores of one model say one side: set direction to long or short")
    if rule.exit_on_opposite:
        problems.append("the scores of one model give no opposite signal: leave exit_on_opposite out")
    opener, expected = (rule.buy, BUY) if rule.trades_long else (rule.sell, SELL)
    if opener != expected:
        problems.append(f"the rule opens positions by {opener!r}, expected {expected!r}")
    if problems:
        raise ConfigError(problems, origin="backtest")
