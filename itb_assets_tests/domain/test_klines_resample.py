"""Resampling: whole bars only, exact decimal sums, and no difference by which freqs one goes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kline_making import make_klines, recorded_klines, without

from itb_assets.demo.market import demo_klines
from itb_assets.domain.klines import NS_PER_MS, check_klines, empty_klines, resample_klines
from itb_assets.domain.markets import Market
from itb_assets.errors import InvalidMarket

FIVE = Market("BTCUSDT", "5m")


def test_an_hour_is_first_max_min_last_and_sums() -> None:
    klines = make_klines(FIVE, 24)
    hour = resample_klines(klines, FIVE, "1h")
    check_klines(hour, Market("BTCUSDT", "1h"))
    second = klines.iloc[12:]
    row = hour.iloc[1]
    assert row["timestamp"] == klines["timestamp"][12]
    assert (row["open"], row["close"]) == (second["open"].iloc[0], second["close"].iloc[-1])
    assert (row["high"], row["low"]) == (second["high"].max(), second["low"].min())
    assert row["close_time"] == second["close_time"].iloc[-1]
    assert row["trades"] == second["trades"].sum()
    for name in ("volume", "quote_av", "tb_base_av", "tb_quote_av"):
        assert row[name] == float(sum(Decimal(str(value)) for value in second[name]))


def test_a_sum_that_binary_rounding_would_spoil_is_exact() -> None:
    klines = make_klines(FIVE, 12).assign(volume=[0.1] * 10 + [0.0] * 2)
    assert resample_klines(klines, FIVE, "1h")["volume"].tolist() == [1.0]
    assert np.cumsum([0.1] * 10)[-1] != 1.0


def test_bars_that_lack_a_kline_are_left_out() -> None:
    klines = make_klines(FIVE, 48)
    hours = resample_klines(without(klines, 13, 40), FIVE, "1h")
    pd.testing.assert_frame_equal(
        hours, resample_klines(klines, FIVE, "1h").iloc[[0, 2]].reset_index(drop=True)
    )


def test_an_unfinished_first_and_last_bar_are_left_out() -> None:
    klines = make_klines(FIVE, 36).iloc[5:29].reset_index(drop=True)
    assert resample_klines(klines, FIVE, "1h")["timestamp"].tolist() == [
        pd.Timestamp("2023-11-15 01:00", tz="UTC")
    ]


def test_too_few_klines_give_no_bars() -> None:
    for rows in (empty_klines(), make_klines(FIVE, 11)):
        pd.testing.assert_frame_equal(resample_klines(rows, FIVE, "1h"), empty_klines())


def test_the_same_freq_gives_the_same_klines() -> None:
    klines = make_klines(FIVE, 30)
    pd.testing.assert_frame_equal(resample_klines(klines, FIVE, "5m"), klines)


@pytest.mark.parametrize(("freq", "message"), [("1m", "multiple of 5m"), ("7m", "not valid")])
def test_a_freq_that_is_no_multiple_is_refused(freq: str, message: str) -> None:
    with pytest.raises(InvalidMarket, match=message):
        resample_klines(make_klines(FIVE, 30), FIVE, freq)
    with pytest.raises(InvalidMarket, match="multiple of 3m"):
        resample_klines(empty_klines(), Market("BTCUSDT", "3m"), "5m")


@settings(max_examples=40)
@given(
    gone=st.sets(st.integers(0, 599), max_size=40),
    seed=st.integers(0, 99),
    way=st.sampled_from(["15m", "30m", "2h"]),
)
def test_two_steps_equal_one(gone: set[int], seed: int, way: str) -> None:
    klines = without(make_klines(FIVE, 600, seed=seed), *gone)
    halfway = resample_klines(klines, FIVE, way)
    pd.testing.assert_frame_equal(
        resample_klines(halfway, Market("BTCUSDT", way), "4h"),
        resample_klines(klines, FIVE, "4h"),
        check_exact=True,
    )


@pytest.mark.data
def test_two_steps_equal_one_on_recorded_klines() -> None:
    klines = recorded_klines("5m", ["2024-08"])
    hours = resample_klines(klines, FIVE, "1h")
    check_klines(hours, Market("BTCUSDT", "1h"))
    assert len(hours) == 31 * 24
    halfway = resample_klines(klines, FIVE, "15m")
    pd.testing.assert_frame_equal(
        resample_klines(halfway, Market("BTCUSDT", "15m"), "1h"), hours, check_exact=True
    )


def test_hours_made_of_five_minutes_equal_the_exchanges_own_hours() -> None:
    """Every value of every hour is the double that the published decimals parse to."""
    start, end = (pd.Timestamp(day, tz="UTC") for day in ("2026-05-01", "2026-07-01"))
    spans = (start.value // NS_PER_MS, end.value // NS_PER_MS)
    five, hour = (demo_klines(Market("DEMOWOLFUSDT", freq), *spans) for freq in ("5m", "1h"))
    made = resample_klines(five, Market("DEMOWOLFUSDT", "5m"), "1h")
    own = hour[hour["timestamp"].isin(made["timestamp"])].reset_index(drop=True)
    assert len(made) > 1_400
    pd.testing.assert_frame_equal(made, own, check_exact=True)
