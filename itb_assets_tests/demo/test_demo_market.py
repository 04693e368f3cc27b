"""Invented markets: the same whoever asks, exact across freqs, and like a market where it matters."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from itb_assets.demo.market import COINS, DEMO_SYMBOLS, InventedVenue, demo_klines
from itb_assets.demo.path import GENESIS_MS, is_outage_day
from itb_assets.domain.klines import check_klines
from itb_assets.domain.markets import DAY_MS, FREQ_MS, HOUR_MS, MINUTE_MS, Market
from itb_assets.errors import UnknownSymbol
from itb_assets.sources.rows import clip

START_MS = 20_100 * DAY_MS  # 2025-01-12
HALF_YEAR = (START_MS, START_MS + 180 * DAY_MS)


@pytest.mark.parametrize("freq", FREQ_MS)
def test_every_freq_is_the_exact_aggregate_of_its_minutes(freq):
    """Bars are made of the minutes there are, to the last digit, outage included."""
    day = next(day for day in range(20_100, 20_300) if is_outage_day(day))
    window = ((day - 1) * DAY_MS, (day + 2) * DAY_MS)
    minutes = demo_klines(Market(DEMO_SYMBOLS[0], "1m"), *window)
    bars = demo_klines(Market(DEMO_SYMBOLS[0], freq), *window)
    groups = minutes.groupby(minutes["timestamp"].dt.floor(f"{FREQ_MS[freq] // MINUTE_MS}min"))
    expected = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", "trades": "sum"})
    assert bars["timestamp"].tolist() == expected.index.tolist()
    for name in expected:
        np.testing.assert_array_equal(bars[name], expected[name])
    for name in ("volume", "quote_av", "tb_base_av", "tb_quote_av"):
        np.testing.assert_allclose(bars[name], groups[name].sum(), rtol=1e-12)
        assert [float(f"{value:.8f}") for value in bars[name]] == bars[name].tolist()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(DEMO_SYMBOLS),
    st.sampled_from(["1m", "5m", "1h", "1d"]),
    st.integers(0, 90),
    st.integers(1, 3),
)
def test_a_part_equals_the_same_part_of_the_whole(symbol, freq, first, days):
    """In whatever order and piece it is asked for, a kline is the same."""
    market = Market(symbol, freq)
    start, end = START_MS + first * DAY_MS, START_MS + (first + days) * DAY_MS
    part = demo_klines(market, start, end)
    whole = demo_klines(market, start - 7 * DAY_MS, end + 5 * DAY_MS)
    pd.testing.assert_frame_equal(part, clip(whole, start, end))


def test_another_process_sees_the_same_klines():
    code = (
        "from itb_assets.demo.market import demo_klines; from itb_assets.domain.markets import Market\n"
        f"frame = demo_klines(Market('{DEMO_SYMBOLS[3]}', '5m'), {START_MS}, {START_MS + DAY_MS})\n"
        "print(frame.to_csv())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    here = demo_klines(Market(DEMO_SYMBOLS[3], "5m"), START_MS, START_MS + DAY_MS)
    assert said.stdout.strip() == here.to_csv().strip()


@pytest.mark.parametrize("symbol", DEMO_SYMBOLS)
def test_every_market_keeps_the_contract_and_looks_like_one(symbol):
    """Fat tails, clusters of volatility, volume that goes with it, taker volume within volume."""
    market = Market(symbol, "5m")
    frame = demo_klines(market, *HALF_YEAR)
    check_klines(frame, market)
    returns = np.log(frame["close"]).diff().dropna()
    size = returns.abs()
    assert returns.kurt() > 3
    assert size.autocorr(12) > 0.15
    assert np.corrcoef(size, frame["volume"].iloc[1:])[0, 1] > 0.3
    assert 0.01 < returns.std() * 288**0.5 < 0.09
    assert (frame["tb_base_av"] <= frame["volume"]).all()
    assert (frame["quote_av"] <= frame["volume"] * frame["high"] * (1 + 1e-9)).all()
    assert (frame["quote_av"] >= frame["volume"] * frame["low"] * (1 - 1e-9) - 1).all()
    daily = frame.assign(size=frame["close"].pct_change().abs()).resample("D", on="timestamp")["size"].mean()
    assert daily.quantile(0.9) > 1.5 * daily.quantile(0.1)


@pytest.mark.parametrize("coin", COINS, ids=lambda coin: coin.symbol)
def test_prices_keep_their_ticks(coin):
    frame = demo_klines(Market(coin.symbol, "1h"), START_MS, START_MS + 30 * DAY_MS)
    for name in ("open", "high", "low", "close"):
        assert frame[name].tolist() == [round(value, coin.price_decimals) for value in frame[name]]


@pytest.mark.parametrize("symbol", DEMO_SYMBOLS[:2])
def test_there_is_something_to_learn_but_not_much(symbol):
    """Taker imbalance tells a little of the direction, past volatility tells whether a move comes."""
    frame = demo_klines(Market(symbol, "5m"), *HALF_YEAR)
    imbalance = (frame["tb_base_av"] / frame["volume"]).fillna(0.5).rolling(4).mean()
    ahead = frame["close"].shift(-4) / frame["close"] - 1
    known = imbalance.notna() & ahead.notna() & (ahead != 0)
    assert 0.53 < roc_auc_score(ahead[known] > 0, imbalance[known]) < 0.65
    moves = frame["close"].pct_change().abs().rolling(12).mean()
    reached = frame["high"][::-1].rolling(4).max()[::-1].shift(-1) / frame["close"] - 1 > 0.004
    known = moves.notna()
    assert 0.6 < roc_auc_score(reached[known], moves[known]) < 0.95


def test_half_a_year_of_5m_takes_well_under_a_second():
    demo_klines(Market(DEMO_SYMBOLS[4], "5m"), START_MS, START_MS + DAY_MS)
    began = time.process_time()
    assert len(demo_klines(Market(DEMO_SYMBOLS[4], "5m"), *HALF_YEAR)) > 51_000
    assert time.process_time() - began < 1


def test_one_outage_in_every_120_days_after_a_bar_without_volume():
    window = (HALF_YEAR[0], HALF_YEAR[0] + 120 * DAY_MS)
    hours = demo_klines(Market(DEMO_SYMBOLS[1], "1h"), *window)
    gaps = hours["timestamp"].diff()[1:] > pd.Timedelta("1h")
    assert gaps.sum() == 1
    last = hours.loc[gaps.idxmax() - 1]
    assert last["volume"] == last["trades"] == 0
    assert hours["volume"].eq(0).sum() == 1
    open_ms = last["timestamp"].value // 1_000_000
    assert open_ms < last["close_time"] < open_ms + HOUR_MS - 1


def test_the_candle_under_way_is_not_what_it_will_be():
    """What is served before the close must differ, or keeping it by mistake would go unseen."""
    market, now = Market(DEMO_SYMBOLS[0], "1h"), START_MS + 10 * HOUR_MS + 25 * MINUTE_MS + 7
    seen = InventedVenue().klines(market, START_MS, now + DAY_MS, now_ms=now)
    later = demo_klines(market, START_MS, START_MS + 11 * HOUR_MS)
    assert len(seen) == len(later) == 11
    pd.testing.assert_frame_equal(seen.head(10), later.head(10))
    assert 0 < seen["volume"].iloc[-1] < later["volume"].iloc[-1]
    assert seen["close_time"].iloc[-1] == later["close_time"].iloc[-1] > now


def test_a_minute_seen_under_way_leaves_the_cached_path_alone():
    market, now = Market(DEMO_SYMBOLS[2], "1m"), START_MS + 30 * MINUTE_MS + 5
    before = demo_klines(market, START_MS, START_MS + HOUR_MS)
    assert InventedVenue().klines(market, START_MS, now, now_ms=now)["volume"].iloc[-1] == 0
    pd.testing.assert_frame_equal(demo_klines(market, START_MS, START_MS + HOUR_MS), before)


def test_nothing_is_older_than_its_listing():
    assert not len(demo_klines(Market(DEMO_SYMBOLS[0], "1d"), 0, GENESIS_MS))
    young = demo_klines(Market(DEMO_SYMBOLS[5], "1d"), 0, COINS[5].listed_ms + DAY_MS)
    assert len(young) == 1


def test_names_nobody_mistakes_for_real_ones():
    assert len(DEMO_SYMBOLS) >= 6
    assert all(symbol.startswith("DEMO") for symbol in DEMO_SYMBOLS)
    with pytest.raises(UnknownSymbol, match="BTCUSDT is not one of the demo's"):
        demo_klines(Market("BTCUSDT", "1h"), *HALF_YEAR)
