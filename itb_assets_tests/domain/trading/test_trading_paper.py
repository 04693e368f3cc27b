"""Paper trading fills as it says it does: cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from trading_making import GAP, MARKET, make_data, make_signals, rule, time_of

from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.trades import check_trades, empty_trades
from itb_assets.errors import DataContractError

FLAT = (100.0, 100.5, 99.5, 100.0)


def run(sides, klines, **changes):
    return simulate(make_signals(sides), make_data(*klines), rule(**changes), MARKET)


def only_trade(sides, klines, **changes) -> pd.Series:
    trades = run(sides, klines, **changes).trades
    check_trades(trades)
    assert len(trades) == 1
    return trades.iloc[0]


def row_of_exit(trade: pd.Series) -> int:
    since = pd.Timestamp(trade["exit_time_ms"], unit="ms", tz="UTC") - time_of(0)
    return since // MARKET.freq_delta


def test_a_signal_is_followed_at_the_open_of_the_next_kline():
    trade = only_trade({0: "buy"}, [FLAT, (101.0, 101.2, 100.9, 101.0)])
    assert trade["timestamp"] == time_of(1)
    assert trade["trade_id"] == "20240901T220500Z"
    assert trade["entry_price"] == 101.0
    assert (trade["side"], trade["status"], trade["exit_reason"]) == ("BUY", "OPEN", None)
    assert (trade["signal_strength"], trade["sample"]) == (0.0, "out_of_sample")


def test_a_kline_that_touches_stop_and_target_is_lost():
    trade = only_trade({0: "buy"}, [FLAT, (100.0, 103.0, 99.0, 102.0), FLAT])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop_loss", 99.0)
    assert row_of_exit(trade) == 1


def test_a_target_is_filled_at_its_price_even_where_the_kline_opens_beyond_it():
    trade = only_trade({0: "buy"}, [FLAT, FLAT, (105.0, 106.0, 104.0, 105.0)])
    assert (trade["exit_reason"], trade["exit_price"], trade["gross_pnl"]) == ("take_profit", 102.0, 20.0)


def test_a_target_that_is_only_touched_is_not_filled():
    trade = only_trade({0: "buy"}, [FLAT, (100.0, 102.0, 99.5, 102.0)])
    assert (trade["take_profit"], trade["status"]) == (102.0, "OPEN")


def test_a_stop_that_is_only_touched_is_filled():
    trade = only_trade({0: "sell"}, [FLAT, (100.0, 101.0, 99.5, 100.0)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop_loss", 101.0)


def test_an_open_beyond_the_stop_is_the_price_that_is_paid():
    trade = only_trade({0: "buy"}, [FLAT, FLAT, (97.0, 110.0, 96.0, 98.0)])
    assert (trade["exit_reason"], trade["exit_price"], trade["gross_pnl"]) == ("stop_loss", 97.0, -30.0)


def test_what_is_left_after_the_time_limit_leaves_at_the_next_open():
    late = (100.4, 120.0, 50.0, 100.0)
    trade = only_trade({0: "buy"}, [FLAT, FLAT, FLAT, FLAT, late])
    assert (trade["exit_reason"], trade["exit_price"], row_of_exit(trade)) == ("time_limit", 100.4, 4)


def test_within_the_time_limit_a_position_stays_open():
    assert only_trade({0: "buy"}, [FLAT, FLAT, FLAT, FLAT])["status"] == "OPEN"


def test_a_gap_at_the_time_limit_delays_the_exit_to_the_first_open_after_it():
    trade = only_trade({0: "buy"}, [FLAT, FLAT, FLAT, FLAT, GAP, GAP, (90.0, 91.0, 89.0, 90.0)])
    assert (trade["exit_reason"], trade["exit_price"], row_of_exit(trade)) == ("time_limit", 90.0, 6)


def test_a_gap_counts_towards_the_time_limit_and_is_left_at_the_stop():
    trade = only_trade({0: "buy"}, [FLAT, FLAT, GAP, (90.0, 91.0, 89.0, 90.0)])
    assert (trade["exit_reason"], trade["exit_price"], row_of_exit(trade)) == ("stop_loss", 90.0, 3)
    trade = only_trade({0: "buy"}, [FLAT, FLAT, GAP, GAP, (100.2, 100.3, 100.1, 100.2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("time_limit", 100.2)


def test_no_entry_where_the_next_kline_is_missing():
    result = run({0: "buy"}, [FLAT, GAP, FLAT])
    assert result.trades.empty
    assert (result.signals, result.without_kline, result.waiting) == (1, 1, 0)


def test_the_newest_signal_waits_for_its_kline():
    result = run({1: "buy"}, [FLAT, FLAT])
    pd.testing.assert_frame_equal(result.trades, empty_trades())
    assert (result.signals, result.without_kline, result.waiting) == (1, 0, 1)


def test_a_signal_of_a_missing_kline_is_none():
    assert run({1: "buy"}, [FLAT, GAP, FLAT, FLAT]).signals == 0


def test_buy_and_sell_at_once_are_neither():
    result = run({0: "both", 1: "buy"}, [FLAT] * 4)
    assert (result.contradicting, len(result.trades)) == (1, 1)
    assert result.trades["timestamp"].iloc[0] == time_of(2)


def test_fees_are_charged_on_what_changes_hands_on_both_sides():
    trade = only_trade({0: "buy"}, [FLAT, FLAT, (101.0, 103.0, 101.0, 103.0)], fee_pct=0.1, notional=500.0)
    assert trade["quantity"] == 5.0
    assert trade["fees"] == pytest.approx(0.5 + 0.51)
    assert trade["gross_pnl"] == pytest.approx(10.0)
    assert trade["pnl"] == pytest.approx(8.99)
    assert trade["return_pct"] == pytest.approx(1.798)


def test_an_open_position_has_paid_for_its_entry_alone():
    trade = only_trade({0: "buy"}, [FLAT, FLAT], fee_pct=0.1)
    assert trade["fees"] == 1.0
    assert trade[["exit_time_ms", "exit_price", "gross_pnl", "pnl", "return_pct"]].isna().all()


def test_the_short_side_mirrors_the_long_one():
    fall = [FLAT, FLAT, (99.0, 99.5, 97.0, 97.5)]
    trade = only_trade({0: "sell"}, fall, fee_pct=0.1)
    assert (trade["side"], trade["take_profit"], trade["stop_loss"]) == ("SELL", 98.0, 101.0)
    assert (trade["exit_reason"], trade["exit_price"]) == ("take_profit", 98.0)
    assert trade["pnl"] == pytest.approx(20.0 - 1.0 - 0.98)
    gapped = only_trade({0: "sell"}, [FLAT, FLAT, (104.0, 105.0, 97.0, 98.0)])
    assert (gapped["exit_reason"], gapped["exit_price"], gapped["gross_pnl"]) == ("stop_loss", 104.0, -40.0)


@pytest.mark.parametrize(
    ("last", "reason", "price"),
    [
        ((100.0, 100.0, 98.0, 99.0), "stop_loss", 100.1 * 0.99 * 0.999),
        ((100.0, 103.0, 100.0, 103.0), "take_profit", 100.1 * 1.02),
    ],
)
def test_slippage_counts_against_us_but_not_at_the_target(last, reason, price):
    trade = only_trade({0: "buy"}, [FLAT, last], slippage_pct=0.1)
    assert trade["entry_price"] == pytest.approx(100.1)
    assert (trade["exit_reason"], trade["exit_price"]) == (reason, pytest.approx(price))


def test_slippage_counts_against_us_at_market_exits():
    klines = [FLAT, FLAT, FLAT, FLAT, FLAT]
    by_time = only_trade({0: "sell"}, klines, slippage_pct=0.1)
    assert (by_time["entry_price"], by_time["exit_price"]) == (pytest.approx(99.9), pytest.approx(100.1))
    by_signal = only_trade(
        {0: "sell", 1: "buy"}, klines, slippage_pct=0.1, exit_on_opposite=True, direction="short"
    )
    assert by_signal["exit_reason"] == "opposite_signal"
    assert by_signal["exit_price"] == pytest.approx(100.1)


def test_signals_while_a_position_is_held_are_ignored():
    result = run({0: "buy", 1: "buy", 2: "sell"}, [FLAT] * 8)
    assert (len(result.trades), result.busy, result.signals) == (1, 2, 3)


def test_a_place_left_at_an_open_is_free_at_that_open():
    trades = run({0: "buy", 3: "sell"}, [FLAT] * 6).trades
    assert trades["timestamp"].tolist() == [time_of(1), time_of(4)]
    assert trades["exit_time_ms"].iloc[0] == time_of(4).timestamp() * 1000


def test_a_place_left_within_a_kline_is_free_from_the_next_open_on():
    stopped = (100.0, 100.0, 98.0, 99.0)
    assert len(run({0: "buy", 1: "buy"}, [FLAT, FLAT, stopped, FLAT]).trades) == 1
    assert len(run({0: "buy", 2: "buy"}, [FLAT, FLAT, stopped, FLAT]).trades) == 2


def test_several_positions_are_held_where_the_rule_allows():
    result = run({0: "buy", 1: "sell", 2: "buy"}, [FLAT] * 4, max_positions=2)
    assert result.trades["side"].tolist() == ["BUY", "SELL"]
    assert result.busy == 1


def test_an_opposite_signal_ends_a_position_and_opens_the_other_side():
    trades = run({0: "buy", 1: "sell"}, [FLAT] * 4, exit_on_opposite=True).trades
    assert trades["side"].tolist() == ["BUY", "SELL"]
    assert trades["exit_reason"].tolist() == ["opposite_signal", None]
    assert trades["timestamp"].iloc[1] == time_of(2)


def test_an_opposite_signal_as_late_as_the_time_limit_changes_nothing():
    trade = only_trade({0: "buy", 3: "sell"}, [FLAT] * 5, exit_on_opposite=True, direction="long")
    assert trade["exit_reason"] == "time_limit"


def test_an_opposite_signal_before_a_gap_leaves_after_it():
    klines = [FLAT, FLAT, GAP, GAP, GAP, (95.0, 96.0, 94.0, 95.0)]
    trade = only_trade({0: "buy", 1: "sell"}, klines, exit_on_opposite=True, direction="long")
    assert (trade["exit_reason"], trade["exit_price"], row_of_exit(trade)) == ("opposite_signal", 95.0, 5)


def test_one_direction_leaves_the_other_signals_alone():
    sides = {0: "buy", 5: "sell"}
    assert run(sides, [FLAT] * 8, direction="long").trades["side"].tolist() == ["BUY"]
    assert run(sides, [FLAT] * 8, direction="short").trades["side"].tolist() == ["SELL"]


def test_no_signals_and_no_klines_give_no_trades():
    for klines in ([], [FLAT] * 3):
        pd.testing.assert_frame_equal(run({}, klines).trades, empty_trades())


def test_inputs_are_not_changed():
    signals, data = make_signals({0: "buy", 1: "sell"}), make_data(FLAT, FLAT, GAP, FLAT)
    before = signals.copy(deep=True), data.copy(deep=True)
    simulate(signals, data, rule(exit_on_opposite=True), MARKET)
    pd.testing.assert_frame_equal(signals, before[0])
    pd.testing.assert_frame_equal(data, before[1])


def test_unknown_flags_are_no_signals_and_a_rule_without_score_gives_no_strength():
    signals = make_signals({0: "buy", 1: "buy"}).drop(columns="score")
    signals["buy"] = pd.array([None, True], dtype="boolean")
    trades = simulate(signals, make_data(*[FLAT] * 4), rule(score=None), MARKET).trades
    assert trades["timestamp"].tolist() == [time_of(2)]
    assert np.isnan(trades["signal_strength"].iloc[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.drop(columns=["buy", "score"]), r"lack the columns \['score', 'buy'\]|'buy', 'score'"),
        (lambda s: s.assign(buy=1.0), "the signal buy is float64, expected a boolean"),
        (lambda s: s.assign(sample="in_sample"), r"samples \['in_sample'\] cannot be traded"),
        (lambda s: s.assign(sample=None), r"samples \['None'\] cannot be traded"),
        (lambda s: s[::-1], "not strictly increasing"),
        (lambda s: pd.concat([s, s.tail(1)]), "not strictly increasing"),
        (lambda s: s.assign(timestamp=s["timestamp"] + pd.Timedelta("1s")), "no row for"),
        (lambda s: s.assign(timestamp=s["timestamp"] + pd.Timedelta("1D")), "no row for.*the grid from"),
    ],
)
def test_signals_that_break_their_contract_are_refused(spoil, message):
    signals = spoil(make_signals({0: "buy", 1: "none"}))
    with pytest.raises(DataContractError, match=message):
        simulate(signals, make_data(FLAT, FLAT, FLAT), rule(), MARKET)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.drop(index=1), "not on the full grid, first at 2024-09-01 22:10"),
        (lambda d: d.assign(timestamp=d["timestamp"] + pd.Timedelta("1min")), "not on the full grid"),
        (lambda d: d.drop(columns=["low"]), r"lack the columns \['low'\]"),
        (lambda d: d.assign(low=[1.0, np.nan, 1.0]), "1 klines have some prices and lack others"),
        (lambda d: d.head(0), "no kline at all"),
    ],
)
def test_data_that_break_their_contract_are_refused(spoil, message):
    with pytest.raises(DataContractError, match=message):
        simulate(make_signals({0: "buy"}), spoil(make_data(FLAT, FLAT, FLAT)), rule(), MARKET)


def test_a_sale_left_at_its_entry_price_earned_a_nothing_without_a_sign():
    """-0.0 would not come back from exact money in a database."""
    data = make_data(*[(100.0, 100.0, 100.0, 100.0)] * 4)
    rules = rule(fee_pct=0.0, slippage_pct=0.0, time_limit_rows=1)
    trades = simulate(make_signals({0: "sell"}), data, rules, MARKET).trades
    assert trades["gross_pnl"].tolist() == trades["pnl"].tolist() == [0.0]
    assert not np.signbit(trades[["gross_pnl", "pnl", "return_pct"]]).to_numpy().any()
