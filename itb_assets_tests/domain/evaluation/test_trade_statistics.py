"""Closed trades measured: by hand, honest about few of them, and of one sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.evaluation.intervals import wilson
from itb_assets.domain.evaluation.trade_statistics import kelly, profit_factor, sqn, trade_statistics
from itb_assets.errors import DataContractError

amounts = st.lists(st.integers(-10_000, 10_000).map(lambda cents: cents / 100), max_size=40)


def statistics_of(pnl, sample="out_of_sample", **options):
    n = len(pnl)
    return trade_statistics(
        pnl,
        return_pct=np.array(pnl) / 10,
        fees=np.full(n, 0.8),
        traded_notional=np.full(n, 2000.0),
        sample=np.array([sample] * n if isinstance(sample, str) else sample, dtype=object),
        **options,
    )


def test_trades_by_hand():
    """Won 30 and 10, lost 20 and 5, one came out even."""
    told = statistics_of([30.0, -20.0, 10.0, 0.0, -5.0], capital=4000.0, exposure=0.25)
    assert (told.trades, told.wins, told.losses) == (5, 2, 2)
    assert told.win_rate == 0.4
    assert (told.wilson_low, told.wilson_high) == wilson(2, 5)
    assert told.profit_factor == 40 / 25
    assert (told.expectancy, told.expectancy_pct) == (3.0, pytest.approx(0.3))
    assert (told.total_pnl, told.total_fees) == (15.0, 4.0)
    assert (told.best_pnl, told.worst_pnl, told.best_pct, told.worst_pct) == (30.0, -20.0, 3.0, -2.0)
    assert told.sqn == pytest.approx(np.sqrt(5) * 3 / np.std([30, -20, 10, 0, -5], ddof=1))
    assert told.kelly == pytest.approx(0.4 - 0.6 / (20 / 12.5))
    assert (told.turnover, told.exposure) == (2.5, 0.25)
    assert told.sample == "out_of_sample"


def test_a_trade_of_nothing_is_not_won():
    told = statistics_of([0.0, 0.0, 1.0])
    assert (told.wins, told.losses, told.win_rate) == (1, 0, pytest.approx(1 / 3))


def test_no_trades_tell_nothing():
    told = statistics_of([]).as_dict()
    known = {name: value for name, value in told.items() if value is not None}
    assert known == {
        "sample": "out_of_sample",
        "trades": 0,
        "wins": 0,
        "losses": 0,
        "total_pnl": 0.0,
        "total_fees": 0.0,
    }


def test_what_few_trades_cannot_tell_is_none():
    assert profit_factor([1.0, 2.0]) is None
    assert profit_factor([-1.0]) == 0.0
    assert sqn([1.0]) is None
    assert sqn([2.0, 2.0, 2.0]) is None
    assert kelly([1.0, 2.0]) is None
    assert kelly([-1.0, 0.0]) is None
    assert statistics_of([1.0]).turnover is None


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (["out_of_sample", "live"], "samples are mixed"),
        (["in_sample", "in_sample"], "2 of 2 rows are in_sample"),
        (["live", "in_sample"], "1 of 2 rows are in_sample"),
    ],
)
def test_trades_of_training_rows_and_mixtures_are_refused(sample, told):
    with pytest.raises(DataContractError, match=told):
        statistics_of([1.0, 2.0], sample)


def test_live_trades_are_measured_alone():
    assert statistics_of([1.0, -1.0], "live").sample == "live"


def test_open_trades_torn_arrays_and_no_capital_are_refused():
    with pytest.raises(DataContractError, match="1 of 2 pnl of closed trades are NaN"):
        statistics_of([1.0, np.nan])
    with pytest.raises(
        DataContractError, match=r"2 of pnl, 2 of return_pct, .* 1 of sample: expected one of"
    ):
        statistics_of([1.0, 2.0], ["live"])
    with pytest.raises(DataContractError, match="capital 0: expected an amount above 0"):
        statistics_of([1.0], capital=0)


@given(amounts)
def test_the_numbers_hang_together(pnl):
    told = statistics_of(pnl)
    assert told.total_pnl == pytest.approx(sum(pnl), abs=1e-6)
    if pnl:
        assert told.expectancy * told.trades == pytest.approx(told.total_pnl, abs=1e-6)
        assert told.wilson_low <= told.win_rate <= told.wilson_high
        assert told.worst_pnl <= told.expectancy + 1e-9
        assert told.expectancy <= told.best_pnl + 1e-9
    if told.profit_factor is not None:
        assert (told.profit_factor > 1 + 1e-9) <= (told.total_pnl > 0)
    if told.kelly is not None:
        assert told.kelly <= told.win_rate


@given(amounts, st.randoms(use_true_random=False))
def test_the_order_of_trades_does_not_matter(pnl, random):
    shuffled = list(pnl)
    random.shuffle(shuffled)
    ours, theirs = statistics_of(pnl).as_dict(), statistics_of(shuffled).as_dict()
    for name, value in ours.items():
        assert theirs[name] == (pytest.approx(value) if isinstance(value, float) else value)
