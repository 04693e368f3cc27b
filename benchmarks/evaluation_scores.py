"""What walk-forward scores are worth as scores, each label alone and both together.

What they would have earned belongs to `evaluation_trades`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from evaluation_cases import MARKET, Evaluated, recent_range

from itb_assets.domain.evaluation.luck import auc_test
from itb_assets.domain.evaluation.scores import rank, roc_auc
from itb_assets.domain.markets import DAY_MS
from itb_assets.domain.signals import compute_signals
from itb_assets.domain.trading.model_evidence import auc_luck
from itb_assets.domain.trading.resolve import label_facts, resolve_label_rule, resolve_rule
from itb_assets.domain.trading.rule import TradingRule

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY_ROWS = DAY_MS // MARKET.freq_ms
"""Luck tests shift by a day at least: volatility remembers for hours, and every day has its busy ones."""

BOTH = "both"


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores that are traded, in order of time, and what is known of their worth as scores.

    `frame` holds timestamp, fold, score, and the strategy's own buy and sell where `traded` is both.
    """

    traded: str
    frame: pd.DataFrame
    rows: int
    auc: float | None
    auc_p_value: float | None
    range_auc: float | None = None
    """What the recent range alone has on the same rows."""
    average_precision: float | None = None
    log_loss: float | None = None
    brier: float | None = None


def scored_ways(evaluated: Evaluated, data: pd.DataFrame) -> Iterator[Scored]:
    """Give each label's scores alone, then those of both."""
    yield from _labels(evaluated, recent_range(data))
    yield _both(evaluated)


def trading_rule(evaluated: Evaluated, traded: str, fee_pct: float) -> TradingRule:
    """Return the rule by which a label, or both, are traded, after a fee a side."""
    combination, definitions = evaluated.combination, evaluated.labels.definitions
    spec = replace(combination.strategy.trading, fee_pct=fee_pct)
    if traded != BOTH:
        return resolve_label_rule(spec, label=traded, definition=definitions[traded])
    rules = combination.strategy.signal_sets
    return resolve_rule(spec, signal_sets=rules, scores=combination.scores, definitions=definitions)


def _labels(evaluated: Evaluated, reach: pd.Series) -> Iterator[Scored]:
    for label, model in evaluated.models.items():
        metrics = model.metrics
        luck = auc_luck(model.scores, MARKET, purge_rows=model.purge_rows)
        known = model.scores.dropna(subset="outcome")
        untrained = reach.reindex(pd.DatetimeIndex(known["timestamp"])).to_numpy(np.float64)
        yield Scored(
            label,
            model.scores[["timestamp", "fold", "score"]],
            rows=metrics.rows,
            auc=metrics.auc,
            auc_p_value=None if luck is None else luck["p_value"],
            range_auc=roc_auc(rank(untrained, known["outcome"].to_numpy(bool))),
            average_precision=metrics.average_precision,
            log_loss=metrics.log_loss,
            brier=metrics.brier,
        )


def _both(evaluated: Evaluated) -> Scored:
    """Combine the labels' scores by the strategy's rules; its AUC is that of telling up from down.

    It is measured on the rows where just one of the two labels came true: the others have no side.
    """
    strategy = evaluated.combination.strategy
    rule = trading_rule(evaluated, BOTH, 0.0)
    frame = _side_by_side(evaluated)
    signals = compute_signals(frame, strategy.signal_sets)
    score = signals[rule.score].to_numpy(dtype=np.float64)
    sides = {label_facts(evaluated.labels.definitions[label]).side: label for label in strategy.labels}
    up, down = (frame[f"outcome {sides[side]}"] for side in ("long", "short"))
    known = (up.notna() & down.notna()).to_numpy()
    rose, fell = up.fillna(value=False).to_numpy(bool), down.fillna(value=False).to_numpy(bool)
    one_side = known & (rose != fell) & np.isfinite(score)
    test = _auc_test(score[one_side], rose[one_side])
    own = {"buy": signals[rule.buy].to_numpy(), "sell": signals[rule.sell].to_numpy()}
    return Scored(
        BOTH,
        frame[["timestamp", "fold"]].assign(score=score, **own),
        rows=int(one_side.sum()),
        auc=test[0],
        auc_p_value=test[1],
    )


def _side_by_side(evaluated: Evaluated) -> pd.DataFrame:
    frames = [
        model.scores.rename(columns={"score": model.score_name, "outcome": f"outcome {label}"})
        for label, model in evaluated.models.items()
    ]
    first, *others = frames
    for frame in others:
        first = first.merge(frame, on=["timestamp", "fold"], validate="1:1")
    return first


def _auc_test(score: Floats, label: Bools) -> tuple[float | None, float | None]:
    """Return the AUC and the chance of luck, each None where the rows are too few."""
    min_shift = min(DAY_ROWS, len(score) // 4)
    if not min_shift:
        return None, None
    found = auc_test(score, label, min_shift=min_shift)
    return found.observed, found.p_value
