"""Fills become positions first in, first out; whatever the history, the sums are those of the fills."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from fill_making import START, fill, histories, spot
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.executed import ExecutedTrade, Fill, FillSource, PositionSide, Side, match_fills

D = Decimal


def short(trade: ExecutedTrade) -> tuple[object, ...]:
    return trade.trade_id, trade.side, trade.status, trade.quantity, trade.price, trade.exit_price, trade.pnl


def test_a_round_trip_earns_its_difference_less_both_fees():
    found = match_fills(
        [
            fill(1, "buy", "0.5", 60_000, fee=D("12"), stop_loss=D(59_000)),
            fill(2, "sell", "0.5", 60_100, fee=D(3)),
        ]
    )
    [trade] = found.trades
    assert (trade.gross_pnl, trade.fees, trade.pnl) == (D(50), D(15), D(35))
    assert (trade.time, trade.exit_time) == (START + timedelta(minutes=1), START + timedelta(minutes=2))
    assert (trade.price, trade.exit_price, trade.stop_loss) == (D(60_000), D(60_100), D(59_000))
    assert trade.return_pct == D("0.116666666666666667")
    assert found.unmatched == ()


def test_the_oldest_lot_is_closed_first_and_may_be_closed_in_parts():
    found = match_fills(
        [
            fill(1, "buy", 1, 100, fee=D(1)),
            fill(2, "buy", 1, 200),
            fill(3, "sell", "1.5", 300, fee=D(3)),
            fill(4, "sell", "0.25", 400),
        ]
    )
    assert [short(trade) for trade in found.trades] == [
        ("1", "BUY", "CLOSED", D(1), D(100), D(300), D(197)),  # 200 less its fee of 1 and two thirds of 3
        ("2", "BUY", "CLOSED", D("0.75"), D(200), D("333.333333333333333333"), D(99)),
        ("2/rest", "BUY", "OPEN", D("0.25"), D(200), None, None),
    ]


def test_a_net_position_turns_around():
    found = match_fills([fill(1, "sell", 1, 100), fill(2, "buy", 3, 90, fee=D(3)), fill(3, "sell", 2, 95)])
    assert [short(trade) for trade in found.trades] == [
        ("1", "SELL", "CLOSED", D(1), D(100), D(90), D(9)),
        ("2", "BUY", "CLOSED", D(2), D(90), D(95), D(8)),
    ]


def test_fills_of_one_order_are_one_position():
    found = match_fills(
        [
            fill(1, "buy", 1, 100, order_id="7", fee=D(1)),
            fill(2, "buy", 3, 104, order_id="7", fee=D(3)),
            fill(3, "sell", 2, 110, order_id="8"),
            fill(4, "sell", 2, 120, order_id="9"),
        ]
    )
    [trade] = found.trades
    assert short(trade) == ("1", "BUY", "CLOSED", D(4), D(103), D(115), D(44))


def test_long_and_short_of_a_hedging_account_do_not_meet():
    long, short_side = PositionSide.LONG, PositionSide.SHORT
    found = match_fills(
        [
            fill(1, "buy", 1, 100, position_side=long),
            fill(2, "sell", 1, 110, position_side=short_side),
            fill(3, "buy", 1, 105, position_side=short_side),
            fill(4, "sell", 1, 120, position_side=long),
        ]
    )
    assert [trade.pnl for trade in found.trades] == [D(20), D(5)]


@pytest.mark.parametrize("fixed", [{"source": FillSource.BINANCE_SPOT}, {"position_side": PositionSide.LONG}])
def test_selling_what_was_never_bought_is_told(fixed):
    """Coins that were brought in make no short position: the rest of the sale belongs to no trade."""
    found = match_fills([fill(1, "buy", 1, 100, **fixed), fill(2, "sell", "2.5", 110, **fixed)])
    assert [short(trade)[2:4] for trade in found.trades] == [("CLOSED", D(1))]
    [left] = found.unmatched
    assert (left.fill.trade_id, left.quantity) == ("2", D("1.5"))
    assert "the history begins later" in left.reason


def test_a_spot_fee_in_base_makes_the_lot_smaller():
    """Of 1 BTC bought, 0.999 arrived and can be sold; all the money paid is in the trade."""
    found = match_fills(
        [
            spot(1, "buy", 1, 100, fee=D("0.001"), fee_asset="BTC"),
            spot(2, "sell", "0.999", 110, fee=D("0.1"), fee_asset="USDT"),
        ]
    )
    [trade] = found.trades
    assert (trade.status, trade.quantity, trade.fees) == ("CLOSED", D("0.999"), D("0.2"))
    assert trade.pnl == D("0.999") * 110 - D("0.1") - 100


def test_fees_in_a_third_asset_are_kept_apart_unless_their_worth_is_known():
    fills = [
        spot(1, "buy", 2, 100, fee=D("0.002"), fee_asset="BNB"),
        spot(2, "sell", 1, 110, fee=D("0.001"), fee_asset="BNB"),
    ]
    found = match_fills(fills)
    closed, rest = found.trades
    assert (closed.pnl, closed.fees, closed.other_fees) == (D(10), D(0), (("BNB", D("0.002")),))
    assert (rest.fees, rest.other_fees) == (D(0), (("BNB", D("0.001")),))
    assert found.other_fees == {"BNB": D("0.003")}

    asked = []

    def rate(asset, quote, time):
        asked.append((asset, quote, time))
        return D(500) if asset == "BNB" else None

    converted = match_fills(fills, rate=rate)
    assert [(trade.fees, trade.other_fees) for trade in converted.trades] == [(D(1), ()), (D("0.5"), ())]
    assert converted.trades[0].pnl == D(9)
    assert asked == [("BNB", "USDT", fills[0].time), ("BNB", "USDT", fills[1].time)]


def test_lots_of_mt5_need_their_size_and_pay_negative_commissions():
    source = {"source": FillSource.MT5, "symbol": "EURUSD", "fee_asset": "USD", "position_id": "5"}
    fills = [fill(1, "buy", "0.1", "1.1", fee=D("-0.7"), **source), fill(2, "sell", "0.1", "1.2", **source)]
    nothing = match_fills(fills)
    assert nothing.trades == ()
    assert {left.reason for left in nothing.unmatched} == {
        "its quantity is in lots: give the contract size of the symbol"
    }
    [trade] = match_fills(fills, contract_sizes={"EURUSD": D(100_000)}).trades
    assert (trade.quantity, trade.gross_pnl, trade.fees, trade.pnl) == (
        D(10_000),
        D(1000),
        D("0.7"),
        D("999.3"),
    )
    other = replace(fills[1], position_id="6")
    assert len(match_fills([fills[0], other], contract_sizes={"EURUSD": D(100_000)}).trades) == 2


def test_within_one_second_an_export_without_numbers_buys_before_it_sells():
    buy, sell = spot(1, "buy", 1, 100, trade_id="row-b"), spot(1, "sell", 1, 110, trade_id="row-a")
    [trade] = match_fills([sell, buy]).trades
    assert (trade.status, trade.pnl) == ("CLOSED", D(10))


def test_within_one_moment_an_exchange_counts():
    """Trade 9 comes before trade 10, although its text does not."""
    fills = [
        replace(fill(1, "sell", 1, 110), trade_id="10"),
        replace(fill(1, "buy", 1, 100), trade_id="9"),
    ]
    [trade] = match_fills(fills).trades
    assert (trade.trade_id, trade.side) == ("9", "BUY")


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_in_which_fills_were_imported_is_of_no_account(history, shuffle):
    mixed = list(history)
    shuffle.shuffle(mixed)
    assert match_fills(mixed) == match_fills(history)


def signed(side: str, quantity: Decimal) -> Decimal:
    return quantity if side.upper() == "BUY" else -quantity


@given(histories())
def test_no_money_and_no_coin_is_lost(history: list[Fill]):
    """Cash in and out, coins and fees of all positions are exactly those of the fills."""
    found = match_fills(history)
    closed = [trade for trade in found.trades if trade.status == "CLOSED"]
    rest = [trade for trade in found.trades if trade.status == "OPEN"]
    assert found.unmatched == ()
    assert sum(signed(t.side, t.quantity) for t in rest) == sum(signed(f.side, f.quantity) for f in history)
    cash = -sum(signed(f.side, f.quantity) * f.price for f in history)
    assert sum(t.gross_pnl for t in closed) == cash + sum(signed(t.side, t.quantity) * t.price for t in rest)
    assert sum(t.fees for t in found.trades) == sum(f.fee for f in history)
    assert all(t.pnl == t.gross_pnl - t.fees for t in closed)
    assert len({(t.account, t.symbol, t.trade_id) for t in found.trades}) == len(found.trades)


@given(histories(account="main", fee=Decimal(0)))
def test_it_is_first_in_first_out(history: list[Fill]):
    """Eighth by eighth, through a queue of single pieces: the same profit for every position."""
    queue: deque[tuple[Fill, Decimal]] = deque()
    expected: dict[str, Decimal] = {}
    for one in history:
        for _ in range(int(one.quantity * 8)):
            if queue and queue[0][0].side is not one.side:
                opened, price = queue.popleft()
                earned = (one.price - price if opened.side is Side.BUY else price - one.price) / 8
                expected[opened.trade_id] = expected.get(opened.trade_id, Decimal(0)) + earned
            else:
                queue.append((one, one.price))
    found = {t.trade_id: t.gross_pnl for t in match_fills(history).trades if t.status == "CLOSED"}
    assert found == expected


@given(histories(source=FillSource.BINANCE_SPOT, account="main"))
def test_spot_holds_what_was_bought_and_not_yet_sold(history: list[Fill]):
    found = match_fills(history)
    assert {trade.side for trade in found.trades} <= {"BUY"}
    left = sum(piece.quantity for piece in found.unmatched)
    rest = sum(trade.quantity for trade in found.trades if trade.status == "OPEN")
    assert rest - left == sum(signed(f.side, f.quantity) for f in history)


@given(histories(), st.integers(0, 30))
def test_later_fills_leave_what_was_closed(history: list[Fill], cut: int):
    """What was closed once keeps its entry, and never becomes smaller."""
    earlier = {(t.account, t.trade_id): t for t in match_fills(history[:cut]).trades if t.status == "CLOSED"}
    later = {(t.account, t.trade_id): t for t in match_fills(history).trades}
    for key, trade in earlier.items():
        assert later[key].status == "CLOSED"
        assert later[key].quantity >= trade.quantity
        assert (later[key].time, later[key].price) == (trade.time, trade.price)
