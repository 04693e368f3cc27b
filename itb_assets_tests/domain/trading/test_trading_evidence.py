"""What a model's scores would have earned: thresholds of earlier folds, positions by the rule, luck told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from trading_making import MARKET, random_market

from itb_assets.domain.trading.backtest import backtest_scores
from itb_assets.domain.trading.model_evidence import auc_luck, trading_evidence
from itb_assets.domain.trading.rule import TradingRule
from itb_assets.domain.trading.trades import is_closed
from itb_assets.errors import ConfigError

ROWS, FOLDS, HORIZON, PURGE = 4000, 4, 6, 7
RULE = TradingRule(
    direction="long",
    buy="buy",
    sell="sell",
    score="score",
    take_profit_pct=0.6,
    stop_loss_pct=0.6,
    time_limit_rows=HORIZON,
    fee_pct=0.04,
)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Return prices on a full grid with some gaps."""
    frame, _ = random_market(ROWS + 50, seed=5)
    return frame


def scores_of(data: pd.DataFrame, *, knows: float, seed: int = 1) -> pd.DataFrame:
    """Return walk-forward scores; `knows` is the share of the next rows' move that they see."""
    rng = np.random.default_rng(seed)
    close = data["close"].ffill()
    ahead = (close.shift(-HORIZON) / close - 1).to_numpy()[:ROWS]
    outcome = ahead > 0.003
    noise = rng.normal(0, np.nanstd(ahead), ROWS)
    score = 1 / (1 + np.exp(-200 * (knows * ahead + (1 - knows) * noise)))
    frame = pd.DataFrame(
        {
            "timestamp": data["timestamp"].iloc[:ROWS].array,
            "score": score,
            "fold": np.repeat(np.arange(FOLDS), ROWS // FOLDS),
            "outcome": pd.array(outcome, dtype="boolean"),
        }
    )
    return frame[data["close"].notna().to_numpy()[:ROWS]].reset_index(drop=True)


def measured(scores: pd.DataFrame, data: pd.DataFrame, **changes: Any) -> tuple[dict, dict]:
    options: dict[str, Any] = {"purge_rows": PURGE, "n_trials": 4} | changes
    return trading_evidence(scores, data, options.pop("rule", RULE), MARKET, **options)


def test_scores_that_see_what_comes_earn_and_are_not_luck(data):
    trading, luck = measured(scores_of(data, knows=0.8), data)
    assert trading["trades"] > 100
    assert trading["expectancy_pct"] > 0.1
    assert trading["wilson_low"] < trading["win_rate"] < trading["wilson_high"]
    assert trading["sharpe"] > 3
    assert luck["trading"]["p_value"] < 0.01
    assert luck["deflated_sharpe"]["probability"] > 0.95
    assert luck["deflated_sharpe"]["n_trials"] == 4
    scores = scores_of(data, knows=0.8)
    assert auc_luck(scores, MARKET, purge_rows=PURGE)["p_value"] < 0.01


def test_scores_of_noise_lose_the_fees_and_may_be_luck(data):
    trading, luck = measured(scores_of(data, knows=0.0), data)
    assert trading["expectancy_pct"] < 0.05
    assert trading["total_fees"] == pytest.approx(0.0004 * 1000 * 2 * trading["trades"], rel=0.01)
    assert luck["trading"]["p_value"] > 0.05
    assert luck["deflated_sharpe"]["probability"] < 0.9
    assert auc_luck(scores_of(data, knows=0.0), MARKET, purge_rows=PURGE)["p_value"] > 0.01


def test_a_threshold_knows_nothing_of_its_own_fold_or_of_later_ones(data):
    """Scores of a fold, and the prices under it, leave the thresholds up to it as they are."""
    scores = scores_of(data, knows=0.5)
    before = measured(scores, data)[0]["thresholds"]
    start = scores["timestamp"][scores["fold"] == 2].iloc[0]
    other = scores.assign(score=scores["score"].where(scores["fold"] < 2, 1 - scores["score"]))
    factor = np.where(data["timestamp"] >= start, 1.5, 1.0)
    crash = data.assign(**{name: data[name] * factor for name in ("open", "high", "low", "close")})
    after = measured(other, crash)[0]["thresholds"]
    assert before[0] is None
    assert before[1] is not None
    assert after[:3] == before[:3]
    assert after[3] != before[3]


def test_gains_known_only_inside_a_fold_do_not_choose_its_threshold(data):
    """Prices of the last rows before a fold, where positions are still held, are purged."""
    scores = scores_of(data, knows=0.5)
    start = scores["timestamp"][scores["fold"] == 1].iloc[0]
    held = data["timestamp"] >= start
    crash = data.assign(**{name: data[name].where(~held, data[name] * 0.5) for name in ("low", "close")})
    assert measured(scores, crash)[0]["thresholds"][1] == measured(scores, data)[0]["thresholds"][1]


def test_the_figures_are_those_of_the_backtest_at_these_thresholds(data):
    scores = scores_of(data, knows=0.4)
    trading, _ = measured(scores, data)
    limits = {fold: one["value"] for fold, one in enumerate(trading["thresholds"]) if one}
    trades = backtest_scores(scores, limits, data, RULE, MARKET).trades
    closed = trades[is_closed(trades)]
    assert trading["trades"] == len(closed) > 50
    assert trading["total_pnl"] == pytest.approx(closed["pnl"].sum())
    assert trading["expectancy_pct"] == pytest.approx(closed["return_pct"].mean())
    first = scores["timestamp"][scores["fold"] == 1].iloc[0]
    assert closed["timestamp"].iloc[0] > first
    assert pd.Timestamp(trading["from"]) == first + MARKET.freq_delta
    assert trading["signals"] == len(trades) + trading["signals_busy"] + trading["signals_without_kline"]


def test_short_positions_follow_a_label_downwards(data):
    short = TradingRule(**{**vars(RULE), "direction": "short"})
    down = scores_of(data, knows=0.8)
    down = down.assign(score=1 - down["score"])
    trading, luck = measured(down, data, rule=short)
    assert trading["expectancy_pct"] > 0.1
    assert luck["trading"]["p_value"] < 0.01


def test_the_answer_is_plain_json_of_one_sample_and_the_same_every_time(data):
    scores = scores_of(data, knows=0.3)
    answers = [json.dumps(measured(scores, data, seed=3), allow_nan=False) for _ in range(2)]
    assert answers[0] == answers[1]
    trading, _ = json.loads(answers[0])
    assert trading["sample"] == "out_of_sample"
    assert trading["rule"]["fee_pct"] == 0.04
    assert trading["rule"]["slippage_pct"] == 0.0


def test_dearer_trades_earn_less(data):
    scores = scores_of(data, knows=0.6)
    earned = [
        measured(scores, data, rule=TradingRule(**{**vars(RULE), "fee_pct": fee, "slippage_pct": slip}))[0]
        for fee, slip in ((0.0, 0.0), (0.1, 0.0), (0.1, 0.05))
    ]
    means = [item["expectancy_pct"] for item in earned]
    assert means[0] > means[1] > means[2]
    assert earned[0]["slippage"] == 0.0 < earned[2]["slippage"]


def test_too_few_earlier_rows_give_no_threshold_and_no_trade(data):
    scores = scores_of(data, knows=0.8).iloc[:80]
    scores = scores.assign(fold=np.repeat([0, 1], 40))
    trading, luck = measured(scores, data)
    assert trading["trades"] == 0
    assert trading["reason"] == "too few earlier rows to choose a threshold on"
    assert luck == {"trading": None, "deflated_sharpe": None}
    assert auc_luck(scores.iloc[:3], MARKET, purge_rows=PURGE) is None


def test_a_rule_of_both_sides_is_refused(data):
    with pytest.raises(ConfigError, match="one side"):
        measured(scores_of(data, knows=0.5), data, rule=TradingRule(**{**vars(RULE), "direction": "both"}))
