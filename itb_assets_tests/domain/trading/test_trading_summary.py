"""What positions add up to over a period and by day: samples apart, closed positions only, costs counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from trading_making import MARKET, START, make_data, make_signals, random_market, rule, time_of

from itb_assets.domain.evaluation.returns import sharpe
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.performance import (
    DAILY_COLUMNS,
    daily_by_sample,
    daily_performance,
    totals_by_sample,
)
from itb_assets.domain.trading.summary import signal_period, summarise
from itb_assets.domain.trading.trades import empty_trades, is_closed
from itb_assets.errors import DataContractError

MIDNIGHT = 24
"""Row of the first kline of the second day."""


def random_trades(rows: int = 900, seed: int = 3, live_from: int | None = None) -> tuple[pd.DataFrame, ...]:
    data, signals = random_market(rows, seed=seed)
    if live_from is not None:
        signals["sample"] = np.where(np.arange(rows) < live_from, "out_of_sample", "live").astype(object)
    return data, signals, simulate(signals, data, rule(fee_pct=0.04, slippage_pct=0.01), MARKET).trades


def test_days_of_both_samples_stand_beside_each_other_and_are_those_of_each_alone():
    """Live begins in the middle of a day: its row has the time of its first closed trade."""
    _, _, trades = random_trades(live_from=MIDNIGHT + 288 + 100)
    days = daily_by_sample(trades, MARKET, model_name="quick")
    assert tuple(days) == DAILY_COLUMNS
    assert days["timestamp"].is_unique
    assert days["timestamp"].is_monotonic_increasing
    for sample in ("out_of_sample", "live"):
        own = days[days["sample"] == sample]
        alone = daily_performance(trades[trades["sample"] == sample], MARKET, model_name="quick")
        assert own["timestamp"].dt.floor("D").tolist() == alone["day"].tolist()
        numbers = ["total_trades", "win_rate", "total_pnl", "avg_pnl", "max_win", "max_loss"]
        assert own[numbers].to_numpy().tolist() == alone[numbers].to_numpy().tolist()
    odd = days[days["timestamp"] != days["timestamp"].dt.floor("D")]
    live = trades[(trades["sample"] == "live") & is_closed(trades)]
    assert odd[["timestamp", "sample"]].to_numpy().tolist() == [[live["timestamp"].iloc[0], "live"]]


def test_a_sample_that_comes_second_has_the_odd_time_whichever_it_is():
    """A model that was kept is live before the walk-forward windows of one trained later."""
    _, _, trades = random_trades(live_from=200)
    swapped = trades.assign(sample=trades["sample"].map({"live": "out_of_sample", "out_of_sample": "live"}))
    days = daily_by_sample(swapped, MARKET, model_name="quick")
    odd = days[days["timestamp"] != days["timestamp"].dt.floor("D")]
    assert odd["sample"].tolist() == ["out_of_sample"]
    assert days["timestamp"].is_unique


def test_no_trades_are_no_days():
    days = daily_by_sample(empty_trades(), MARKET, model_name="quick")
    assert (len(days), tuple(days)) == (0, DAILY_COLUMNS)
    assert str(days["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert str(days["total_trades"].dtype) == "int64"
    assert totals_by_sample(days) == ()


@pytest.mark.parametrize("sample", ["in_sample", "nonsense", None])
def test_days_of_trades_on_rows_trained_on_are_refused(sample):
    _, _, trades = random_trades(live_from=400)
    trades.loc[3, "sample"] = sample
    with pytest.raises(DataContractError, match="cannot be measured"):
        daily_by_sample(trades, MARKET, model_name="quick")


def test_totals_are_the_sums_of_the_days():
    _, _, trades = random_trades(live_from=500)
    found = {
        total.sample: total for total in totals_by_sample(daily_by_sample(trades, MARKET, model_name=""))
    }
    for sample, total in found.items():
        closed = trades[(trades["sample"] == sample) & is_closed(trades)]
        assert (total.trades, total.wins) == (len(closed), (closed["pnl"] > 0).sum())
        assert total.total_pnl == pytest.approx(closed["pnl"].sum())
        assert total.wilson_low < total.win_rate < total.wilson_high
    assert set(found) == {"out_of_sample", "live"}


def test_the_period_is_that_of_the_signals_not_of_the_trades():
    signals = pd.concat(
        [make_signals({2: "none", 9: "buy"}), make_signals({10: "none", 12: "none"}, sample="live")]
    )
    assert signal_period(signals, "out_of_sample", MARKET, until=time_of(99)) == (time_of(3), time_of(11))
    assert signal_period(signals, "live", MARKET, until=time_of(13)) == (time_of(11), time_of(13))
    assert signal_period(signals.head(1), "live", MARKET, until=time_of(13)) is None
    only = make_signals({12: "buy"}, sample="live")
    assert signal_period(only, "live", MARKET, until=time_of(13)) is None, "its next kline is not there yet"


def test_a_summary_is_that_of_the_closed_positions_in_the_period():
    data, _, trades = random_trades()
    costs = rule(fee_pct=0.04, slippage_pct=0.01)
    period = (time_of(100), time_of(700))
    found = summarise(trades, data, costs, MARKET, period=period)
    own = trades[trades["timestamp"].between(*period, inclusive="left") & is_closed(trades)]
    assert len(own) > 50
    assert found.closed["trade_id"].tolist() == own["trade_id"].tolist()
    assert found.statistics.trades == len(own)
    assert found.statistics.total_pnl == pytest.approx(own["pnl"].sum())
    assert found.gross_pnl - found.statistics.total_fees == pytest.approx(found.statistics.total_pnl)
    assert found.curve["equity"].iloc[-1] == pytest.approx(1000 + found.statistics.total_pnl)
    assert found.curve["timestamp"].iloc[0] == time_of(100)
    assert found.return_pct == pytest.approx(found.statistics.total_pnl / 10)
    assert found.sharpe == pytest.approx(sharpe(found.returns, 105_120))
    assert found.max_drawdown == pytest.approx(found.curve["drawdown"].min())
    assert found.average_win == pytest.approx(own.loc[own["pnl"] > 0, "pnl"].mean())
    assert found.average_loss == pytest.approx(own.loc[own["pnl"] < 0, "pnl"].mean())


def test_slippage_is_what_the_same_fills_would_have_been_better_by():
    data, signals, _ = random_trades()
    costs = rule(slippage_pct=0.1)
    trades = simulate(signals, data, costs, MARKET).trades
    found = summarise(trades, data, costs, MARKET, period=(START, time_of(900)))
    closed = found.closed
    signs = np.where(closed["side"] == "BUY", 1.0, -1.0)
    fair_entry = closed["entry_price"] / (1 + signs * 0.001)
    at_target = closed["exit_reason"] == "take_profit"
    fair_exit = closed["exit_price"].where(at_target, closed["exit_price"] / (1 - signs * 0.001))
    better = (
        signs
        * closed["quantity"]
        * ((fair_exit - closed["exit_price"]) + (closed["entry_price"] - fair_entry))
    )
    assert found.slippage == pytest.approx(better.sum())
    assert found.slippage > 0


def test_an_open_position_is_counted_and_no_more():
    data = make_data((100, 100, 100, 100), (100, 101, 99.5, 100.5), (100, 100, 100, 100))
    trades = simulate(make_signals({0: "buy"}), data, rule(), MARKET).trades
    found = summarise(trades, data, rule(), MARKET, period=(time_of(1), time_of(3)))
    assert (found.statistics.trades, found.open_trades) == (0, 1)
    assert found.curve["equity"].tolist() == [1000.0, 1000.0]
    assert (found.sharpe, found.average_win, found.average_loss) == (None, None, None)


def test_holding_begins_at_the_first_open_there_is():
    data = make_data(None, (100, 120, 90, 110), None, (110, 115, 105, 90))
    found = summarise(empty_trades(), data, rule(), MARKET, period=(START, time_of(4)))
    held = found.curve["buy_and_hold"]
    assert held[[1, 3]].tolist() == pytest.approx([1100.0, 900.0])
    assert held[[0, 2]].isna().all()


def test_samples_that_are_mixed_are_refused():
    data, _, trades = random_trades(live_from=400)
    with pytest.raises(DataContractError, match="mixed"):
        summarise(trades, data, rule(), MARKET, period=(START, time_of(900)))
    days = summarise(trades[trades["sample"] == "live"], data, rule(), MARKET, period=(START, time_of(900)))
    assert days.statistics.sample == "live"
