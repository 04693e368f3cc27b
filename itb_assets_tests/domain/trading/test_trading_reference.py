"""The fast simulation equals a plain one, kline by kline, and goes on from where it stopped."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_simulator import reference_trades
from trading_making import MARKET, make_data, make_signals, random_market, rule, time_of

from itb_assets.domain.trading import exits
from itb_assets.domain.trading.paper import resume_time, simulate
from itb_assets.domain.trading.trades import check_trades
from itb_assets.errors import DataContractError

PRICES = st.integers(97, 104).map(float)


@st.composite
def klines(draw):
    """Few prices, so that targets and stops are touched exactly; one kline in six is missing."""
    if draw(st.integers(0, 5)) == 0:
        return None
    opened, close, *more = (draw(PRICES) for _ in range(4))
    return opened, max(opened, close, *more), min(opened, close, *more), close


SIDES = st.sampled_from(["buy", "sell", "both", "none", "absent", "buy", "sell"])
MARKETS = st.lists(st.tuples(klines(), SIDES), max_size=40)
RULES = st.builds(
    rule,
    direction=st.sampled_from(["long", "short", "both"]),
    take_profit_pct=st.sampled_from([1.0, 2.0, 3.0]),
    stop_loss_pct=st.sampled_from([0.5, 1.0, 2.0, 50.0]),
    time_limit_rows=st.sampled_from([1, 2, 3, 4, 7, 20, 100]),
    fee_pct=st.sampled_from([0.0, 0.04, 0.1]),
    slippage_pct=st.sampled_from([0.0, 0.01, 0.7]),
    max_positions=st.integers(1, 3),
    exit_on_opposite=st.booleans(),
)


def frames(market) -> tuple[pd.DataFrame, pd.DataFrame]:
    data = make_data(*(kline for kline, _ in market))
    signals = make_signals({row: side for row, (_, side) in enumerate(market) if side != "absent"})
    return data, signals


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@settings(max_examples=250)
@given(MARKETS, RULES)
def test_the_fast_simulation_equals_the_plain_one_to_the_bit(market, rule):
    data, signals = frames(market)
    result = simulate(signals, data, rule, MARKET)
    assert_same(result.trades, reference_trades(signals, data, rule))
    check_trades(result.trades)
    assert result.signals == len(result.trades) + result.busy + result.without_kline + result.waiting


@pytest.mark.parametrize("limit", [1, 5, 48])
@pytest.mark.parametrize("direction", ["long", "both"])
@pytest.mark.parametrize(("places", "opposite"), [(1, False), (1, True), (3, False), (3, True)])
def test_both_agree_across_the_blocks_the_search_works_in(limit, direction, places, opposite, monkeypatch):
    monkeypatch.setattr(exits, "_BLOCK_ROWS", 16)
    data, signals = random_market(1200, seed=limit)
    varied = rule(
        direction=direction,
        take_profit_pct=1.5,
        stop_loss_pct=0.8,
        time_limit_rows=limit,
        fee_pct=0.04,
        slippage_pct=0.02,
        max_positions=places,
        exit_on_opposite=opposite,
    )
    found = simulate(signals, data, varied, MARKET).trades
    assert len(found) > 20
    assert_same(found, reference_trades(signals, data, varied))


@settings(max_examples=120)
@given(MARKETS, RULES, st.data())
def test_going_on_gives_what_one_run_gives_and_ended_positions_stay(market, rule, draw):
    """Klines and signals arrive in pieces; each run goes on at the time the stored trades name."""
    data, signals = frames(market)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(market)), max_size=4)))
    stored, last_cut = None, None
    for cut in [*cuts, len(market)]:
        known = signals[signals["timestamp"] < time_of(cut)], data.iloc[:cut]
        added_from = last_cut if draw.draw(st.booleans()) else None
        fresh = step(known, rule, stored, added_from)
        if stored is not None:
            ended = stored[stored["status"] == "CLOSED"]
            kept = fresh[fresh["trade_id"].isin(ended["trade_id"])].reset_index(drop=True)
            assert_same(kept, ended.reset_index(drop=True))
        stored, last_cut = fresh, time_of(cut)
    assert_same(stored, simulate(signals, data, rule, MARKET).trades)


@settings(max_examples=120)
@given(MARKETS, MARKETS, RULES, st.booleans())
def test_going_on_after_a_change_gives_what_one_run_gives(market, other, rule, signals_lag):
    """Klines or signals that changed later on leave what ended before them as it was."""
    at = min(len(other), len(market)) // 2
    data, signals = frames(market)
    first = simulate(signals, data, rule, MARKET).trades
    if signals_lag:
        changed = [(kline, side) for (kline, _), (_, side) in zip(market, other, strict=False)]
    else:
        changed = other
    data, signals = frames([*market[:at], *changed[at:]])
    fresh = step((signals, data), rule, first, time_of(at))
    assert_same(fresh, simulate(signals, data, rule, MARKET).trades)


@settings(max_examples=120)
@given(MARKETS, RULES, st.integers(0, 40))
def test_going_on_at_any_time_minds_the_positions_held_then(market, rule, row):
    data, signals = frames(market)
    whole = simulate(signals, data, rule, MARKET).trades
    earlier = whole["timestamp"] < time_of(row)
    assume((whole["status"][earlier] == "CLOSED").all())
    fresh = simulate(signals, data, rule, MARKET, since=time_of(row), earlier=whole).trades
    assert_same(fresh, whole[~earlier].reset_index(drop=True))


def step(known, rule, stored, added_from):
    """Run once more as an update does: on what reaches back one kline before the time to go on at."""
    signals, data = known
    since = None if stored is None else resume_time(stored, changed_from=added_from)
    if since is None:
        return simulate(signals, data, rule, MARKET).trades
    reach = since - MARKET.freq_delta
    fresh = simulate(
        signals[signals["timestamp"] >= reach],
        data[data["timestamp"] >= reach],
        rule,
        MARKET,
        since=since,
        earlier=stored,
    ).trades
    assert (fresh["timestamp"] >= since).all()
    kept = stored[stored["timestamp"] < since]
    parts = [part for part in (kept, fresh) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else fresh


def test_it_goes_on_at_the_first_open_position_or_at_the_last_one():
    flat = (100.0, 100.5, 99.5, 100.0)
    data = make_data(*[flat] * 12)
    ended = simulate(make_signals({0: "buy", 5: "sell"}), data, rule(), MARKET).trades
    assert ended["status"].tolist() == ["CLOSED", "CLOSED"]
    assert resume_time(ended) == time_of(6)
    assert resume_time(ended, changed_from=time_of(11)) == time_of(11)
    assert resume_time(ended, changed_from=time_of(9)) == time_of(6)
    assert resume_time(ended, changed_from=time_of(2)) == time_of(1)
    held = simulate(
        make_signals({0: "buy", 9: "sell", 10: "buy"}), data, rule(max_positions=2), MARKET
    ).trades
    assert resume_time(held) == time_of(10)
    assert resume_time(held, changed_from=time_of(12)) == time_of(10)
    assert resume_time(ended.head(0)) is None
    assert resume_time(ended.head(0), changed_from=time_of(3)) == time_of(3)


def test_going_on_after_an_open_position_is_refused():
    flat = (100.0, 100.5, 99.5, 100.0)
    signals, data = make_signals({0: "buy"}), make_data(flat, flat, flat)
    held = simulate(signals, data, rule(), MARKET).trades
    with pytest.raises(DataContractError, match="1 earlier trades are open, the first entered at 2024-09-01"):
        simulate(signals, data, rule(), MARKET, since=time_of(2), earlier=held)


def test_a_place_left_within_the_kline_gone_on_at_is_not_free_yet():
    flat, stopped = (100.0, 100.5, 99.5, 100.0), (100.0, 100.0, 98.0, 99.0)
    signals, data = make_signals({0: "buy", 1: "buy", 2: "buy"}), make_data(flat, flat, stopped, flat)
    whole = simulate(signals, data, rule(), MARKET).trades
    assert whole["timestamp"].tolist() == [time_of(1), time_of(3)]
    fresh = simulate(signals, data, rule(), MARKET, since=time_of(2), earlier=whole.head(1)).trades
    assert_same(fresh, whole.tail(1).reset_index(drop=True))
