"""The luck test of signals: what it shifts, what it compares, and that it knows skill from luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from trading_making import MARKET, make_signals, random_market, rule

from itb_assets.domain.trading.luck import luck_of_signals
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.trades import is_closed
from itb_assets.errors import DataContractError

ROWS = 1500


def knowing(data: pd.DataFrame, every: int = 9) -> pd.DataFrame:
    """Return signals that know the close three rows on: no strategy, but skill."""
    ahead = data["close"].shift(-4) - data["open"].shift(-1)
    sides = np.where(ahead > 0, "buy", "sell")
    return make_signals({row: sides[row] for row in range(0, len(data) - 5, every)})


def mean_pnl(signals: pd.DataFrame, data: pd.DataFrame, own) -> float:
    trades = simulate(signals, data, own, MARKET).trades
    return float(trades.loc[is_closed(trades), "pnl"].mean())


@pytest.mark.parametrize(
    "changes",
    [{}, {"direction": "long"}, {"direction": "short"}, {"max_positions": 3}, {"fee_pct": 0.1}],
    ids=str,
)
def test_what_is_observed_and_each_shift_is_what_the_simulation_gives(changes):
    """The shortcut that follows every row once gives what one simulation a shift gives."""
    data, signals = random_market(ROWS, seed=5, gaps=0.01)
    own = rule(**changes)
    found = luck_of_signals(signals, data, own, MARKET, shifts=7, seed=2)
    assert found is not None
    assert found.observed == pytest.approx(mean_pnl(signals, data, own))
    possible = np.arange(288, ROWS - 288 + 1)
    drawn = np.random.default_rng(2).choice(possible, size=7, replace=False)
    null = []
    for shift in drawn:
        flags = {side: np.roll(_told(signals, data, side), shift) for side in ("buy", "sell")}
        null.append(mean_pnl(signals.assign(**flags), data, own))
    assert found.null_mean == pytest.approx(np.mean(null))


def _told(signals: pd.DataFrame, data: pd.DataFrame, side: str) -> np.ndarray:
    """Return the signals of one side that can be followed at all: of a kline that is there, and not both."""
    return (signals[side] & ~(signals["buy"] & signals["sell"]) & data["close"].notna()).to_numpy()


def test_skill_is_told_from_luck():
    data, signals = random_market(ROWS, seed=8, gaps=0)
    skilled = luck_of_signals(knowing(data), data, rule(), MARKET, shifts=200)
    lucky = luck_of_signals(signals, data, rule(), MARKET, shifts=200)
    assert skilled is not None
    assert lucky is not None
    assert skilled.p_value == pytest.approx(1 / 201)
    assert lucky.p_value > 0.01


def test_the_same_seed_gives_the_same_answer():
    data, signals = random_market(ROWS, seed=9)
    one, other = (luck_of_signals(signals, data, rule(), MARKET, shifts=50, seed=4) for _ in range(2))
    assert one == other


def test_an_opposite_signal_ends_nothing_in_the_comparison():
    data, signals = random_market(ROWS, seed=10)
    with_exits = luck_of_signals(signals, data, rule(exit_on_opposite=True), MARKET, shifts=9)
    without = luck_of_signals(signals, data, rule(), MARKET, shifts=9)
    assert with_exits == without


def test_too_little_is_no_answer():
    data, signals = random_market(ROWS, seed=11)
    silent = signals.assign(buy=False, sell=False)
    assert luck_of_signals(silent, data, rule(), MARKET) is None
    assert luck_of_signals(signals.head(0), data, rule(), MARKET) is None
    assert luck_of_signals(signals.head(2), data.head(3), rule(), MARKET) is None


def test_rows_trained_on_and_mixtures_are_refused():
    data, signals = random_market(ROWS, seed=12)
    for sample in ("in_sample", "live"):
        mixed = signals.copy()
        mixed.loc[5, "sample"] = sample
        with pytest.raises(DataContractError, match="cannot be measured"):
            luck_of_signals(mixed, data, rule(), MARKET)
