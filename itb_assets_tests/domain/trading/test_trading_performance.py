"""What positions earned, by day, by hour and kline by kline, and of one model's scores alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from trading_making import GAP, MARKET, START, make_data, make_signals, random_market, rule, time_of

from itb_assets.domain.trading.backtest import backtest_scores
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.performance import (
    bar_returns,
    by_hour,
    daily_performance,
    equity_curve,
    exposure,
    traded_notional,
)
from itb_assets.domain.trading.trades import check_trades, empty_trades
from itb_assets.errors import ConfigError, DataContractError

FLAT = (100.0, 100.5, 99.5, 100.0)
RULES = [
    rule(fee_pct=0.04),
    rule(fee_pct=0.1, slippage_pct=0.05, time_limit_rows=12),
    rule(max_positions=3, exit_on_opposite=True, fee_pct=0.04),
]


def made(varied, rows=700, seed=5):
    data, signals = random_market(rows, seed=seed)
    return simulate(signals, data, varied, MARKET).trades, data


@pytest.mark.parametrize("varied", RULES)
def test_days_hold_what_a_plain_grouping_gives(varied):
    trades, _ = made(varied)
    closed = trades[trades["status"] == "CLOSED"]
    grouped = closed.groupby(closed["timestamp"].dt.floor("D"))["pnl"]
    found = daily_performance(trades, MARKET, model_name="aggressive")
    assert list(found.columns) == [
        *("day", "symbol", "freq", "model_name", "total_trades", "win_rate"),
        *("total_pnl", "avg_pnl", "max_win", "max_loss"),
    ]
    assert found["day"].tolist() == sorted(grouped.groups)
    assert len(found) > 2
    assert found["total_trades"].tolist() == grouped.size().tolist()
    np.testing.assert_allclose(found["total_pnl"], grouped.sum())
    np.testing.assert_allclose(found["avg_pnl"], grouped.mean())
    np.testing.assert_allclose(found["win_rate"], grouped.apply(lambda pnl: (pnl > 0).mean()))
    assert found["max_win"].tolist() == grouped.max().tolist()
    assert found["max_loss"].tolist() == grouped.min().tolist()
    assert set(found["symbol"] + found["freq"] + found["model_name"]) == {"BTCUSDT5maggressive"}


def test_the_day_is_that_of_the_entry():
    late = 23  # 23:55, entered at midnight
    trades = simulate(make_signals({late: "buy"}), make_data(*[FLAT] * 40), rule(), MARKET).trades
    assert daily_performance(trades, MARKET, model_name="m")["day"].tolist() == [
        START.floor("D") + pd.Timedelta("1D")
    ]


@pytest.mark.parametrize("varied", RULES)
def test_hours_hold_what_a_plain_grouping_gives(varied):
    trades, _ = made(varied)
    closed = trades[trades["status"] == "CLOSED"]
    grouped = closed.groupby(closed["timestamp"].dt.hour)["pnl"]
    found = by_hour(trades).set_index("hour")
    assert found.index.tolist() == list(range(24))
    assert found["trades"].loc[list(grouped.groups)].tolist() == grouped.size().tolist()
    assert found["trades"].sum() == len(closed)
    assert found["wins"].sum() == (closed["pnl"] > 0).sum()
    assert found["total_pnl"].sum() == pytest.approx(closed["pnl"].sum())


def test_an_hour_without_trades_has_no_win_rate():
    trades = simulate(make_signals({0: "buy"}), make_data(*[FLAT] * 9), rule(), MARKET).trades
    found = by_hour(trades)
    assert found["trades"].tolist() == [1 if hour == 22 else 0 for hour in range(24)]
    assert found["win_rate"].notna().sum() == 1


def plain_equity(trades, data, capital):
    """Value the account one kline after the other."""
    worth, last = [], np.nan
    for kline in data.itertuples():
        last = last if np.isnan(kline.close) else kline.close
        value = capital
        for trade in trades.itertuples():
            if trade.timestamp > kline.timestamp:
                continue
            if trade.exit_time_ms <= kline.timestamp.timestamp() * 1000:
                value += trade.pnl
                continue
            sign = 1 if trade.side == "BUY" else -1
            entry_fee = trade.fees
            if trade.status == "CLOSED":
                entry_fee -= trade.fees * trade.exit_price / (trade.entry_price + trade.exit_price)
            value += sign * trade.quantity * (last - trade.entry_price) - entry_fee
        worth.append(value)
    return worth


@pytest.mark.parametrize("varied", RULES)
def test_equity_is_what_a_plain_valuation_gives(varied):
    trades, data = made(varied, rows=250)
    curve = equity_curve(trades, data, MARKET, capital=1000.0)
    worth = plain_equity(trades, data, 1000.0)
    np.testing.assert_allclose(curve["equity"], worth)
    peak = np.maximum.accumulate([1000.0, *worth])[1:]
    np.testing.assert_allclose(curve["drawdown"], np.array(worth) / peak - 1)
    pd.testing.assert_series_equal(curve["timestamp"], data["timestamp"])


def test_equity_of_one_position_by_hand():
    klines = [FLAT, (100.0, 101.5, 99.5, 101.0), GAP, (101.0, 101.0, 100.2, 100.5), FLAT]
    data = make_data(*klines)
    trades = simulate(make_signals({0: "buy"}), data, rule(fee_pct=0.1, time_limit_rows=3), MARKET).trades
    curve = equity_curve(trades, data, MARKET, capital=500.0)
    np.testing.assert_allclose(curve["equity"], [500.0, 509.0, 509.0, 504.0, 498.0])
    np.testing.assert_allclose(curve["drawdown"], [0.0, 0.0, 0.0, 504 / 509 - 1, 498 / 509 - 1])
    np.testing.assert_allclose(bar_returns(curve, capital=500.0), [0.0, 0.018, 0.0, -0.01, -0.012])
    assert exposure(trades, data, MARKET) == 3 / 5
    assert traded_notional(trades).tolist() == [2000.0]


def test_a_position_is_held_in_the_kline_it_ends_within():
    data = make_data(FLAT, (100.0, 100.0, 98.0, 99.0), FLAT, FLAT)
    trades = simulate(make_signals({0: "buy"}), data, rule(), MARKET).trades
    assert exposure(trades, data, MARKET) == 1 / 4


def test_an_account_that_is_lost_still_has_returns():
    fall = [(100.0 - 5 * row, 100.5 - 5 * row, 94.0 - 5 * row, 95.0 - 5 * row) for row in range(8)]
    data = make_data(*fall)
    trades = simulate(make_signals({0: "buy", 2: "buy", 4: "buy"}), data, rule(), MARKET).trades
    curve = equity_curve(trades, data, MARKET, capital=10.0)
    assert curve["equity"].iloc[-1] < 0
    returns = bar_returns(curve, capital=10.0)
    assert np.isfinite(returns).all()
    assert 10 * (1 + returns.sum()) == pytest.approx(curve["equity"].iloc[-1])


def test_no_trades_leave_the_capital_alone():
    data = make_data(*[FLAT] * 3)
    assert equity_curve(empty_trades(), data, MARKET, capital=7.0)["equity"].tolist() == [7.0] * 3
    assert daily_performance(empty_trades(), MARKET, model_name="m").empty
    assert by_hour(empty_trades())["trades"].sum() == 0
    assert exposure(empty_trades(), data, MARKET) == 0.0
    assert exposure(empty_trades(), make_data(), MARKET) is None


@pytest.mark.parametrize("sample", ["in_sample", "live"])
def test_mixed_and_trained_samples_are_refused_everywhere(sample):
    trades, data = made(RULES[0])
    trades.loc[0, "sample"] = sample
    for compute in (
        lambda: daily_performance(trades, MARKET, model_name="m"),
        lambda: by_hour(trades),
        lambda: equity_curve(trades, data, MARKET, capital=1.0),
    ):
        with pytest.raises(DataContractError, match=r"in_sample|mixed"):
            compute()


def test_data_that_do_not_hold_the_trades_are_refused():
    trades, data = made(RULES[0])
    with pytest.raises(DataContractError, match="trades are at times that the data have no row for"):
        equity_curve(trades, data.tail(10), MARKET, capital=1.0)
    ended = trades[trades["status"] == "CLOSED"].head(1)
    until = data[data["timestamp"] <= ended["timestamp"].iloc[0]]
    slow = ended.assign(exit_time_ms=ended["exit_time_ms"] + MARKET.freq_ms * 5)
    with pytest.raises(DataContractError, match="1 trades end after the last kline"):
        equity_curve(slow, until, MARKET, capital=1.0)
    with pytest.raises(DataContractError, match="capital 0"):
        equity_curve(trades, data, MARKET, capital=0)


LONG = rule(direction="long", sell=None)


def made_scores(values, folds=None, **more) -> pd.DataFrame:
    times = pd.DatetimeIndex([time_of(row) for row in range(len(values))]).as_unit("ns")
    frame = pd.DataFrame({"timestamp": times, "score": np.array(values, dtype=np.float64)})
    return frame.assign(fold=folds if folds is not None else 0, **more)


def entries(thresholds, *, scores=None, varied=LONG) -> list[int]:
    scores = made_scores([0.9, 0.5, np.nan, 0.7, 0.2], [0, 0, 1, 1, 2]) if scores is None else scores
    crash = (100.0, 100.0, 90.0, 91.0)  # every position ends in its first kline
    trades = backtest_scores(scores, thresholds, make_data(*[crash] * 7), varied, MARKET).trades
    check_trades(trades)
    assert set(trades["side"]) <= {"BUY" if varied.trades_long else "SELL"}
    return [int((time - time_of(1)) / MARKET.freq_delta) for time in trades["timestamp"]]


def test_positions_are_entered_where_a_score_reaches_its_threshold():
    assert entries(0.5) == [0, 1, 3]
    assert entries({0: 0.6, 1: 0.7, 2: 0.1}) == [0, 3, 4]
    assert entries({0: None, 1: 0.8, 2: 0.1}) == [4]
    assert entries({0: 0.5}) == [0, 1]
    assert entries(np.array([np.nan, 0.5, 0.0, 0.9, 0.2])) == [1, 4]
    assert entries(0.5, varied=rule(direction="short")) == [0, 1, 3]


def test_scores_without_a_sample_are_out_of_sample_and_others_keep_theirs():
    data = make_data(*[FLAT] * 4)
    for more, expected in (({}, "out_of_sample"), ({"sample": "live"}, "live")):
        trades = backtest_scores(made_scores([1.0], **more), 0.5, data, LONG, MARKET).trades
        assert trades["sample"].tolist() == [expected]


@pytest.mark.parametrize(
    ("scores", "thresholds", "message"),
    [
        (made_scores([1.0, 1.0], sample="in_sample"), 0.5, "in_sample"),
        (made_scores([1.0, 1.0], sample=["live", "out_of_sample"]), 0.5, "mixed"),
        (made_scores([1.0, 1.0]), np.array([0.5]), r"\(1,\) thresholds for 2 scores"),
        (made_scores([1.0, 1.0]).drop(columns="fold"), {0: 0.5}, r"lack the columns \['fold'\]"),
    ],
)
def test_scores_that_cannot_be_measured_are_refused(scores, thresholds, message):
    with pytest.raises(DataContractError, match=message):
        entries(thresholds, scores=scores)


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        (rule(), "set direction to long or short"),
        (rule(direction="long", exit_on_opposite=True), "leave exit_on_opposite out"),
        (rule(direction="short", sell="sell_signal"), "opens positions by 'sell_signal', expected 'sell'"),
    ],
)
def test_rules_for_other_signals_are_refused(varied, message):
    with pytest.raises(ConfigError, match=message):
        entries(0.5, varied=varied)
