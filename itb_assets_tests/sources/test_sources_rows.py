"""The exchange's rows as canonical klines: values bit for bit, times in either unit, bad rows refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.demo.api import _rows
from itb_assets.demo.market import DEMO_SYMBOLS, demo_klines
from itb_assets.demo.zips import csv_of
from itb_assets.domain.klines import empty_klines
from itb_assets.domain.markets import DAY_MS, HOUR_MS, Market
from itb_assets.errors import DataContractError
from itb_assets.sources.rows import parse_csv_rows, parse_json_rows

MARKET = Market(DEMO_SYMBOLS[1], "1h")
FIRST_DAY = 18_262


@given(st.integers(FIRST_DAY, FIRST_DAY + 3000), st.integers(1, 60))
def test_csv_and_json_read_back_bit_for_bit(day, hours):
    """Times of either unit, prices and volumes of eight decimals: what goes out comes back the same."""
    truth = demo_klines(MARKET, day * DAY_MS, day * DAY_MS + hours * HOUR_MS)
    pd.testing.assert_frame_equal(parse_csv_rows(csv_of(pl.from_pandas(truth)), MARKET, origin="x"), truth)
    rows = json.loads(json.dumps(_rows(truth)))
    pd.testing.assert_frame_equal(parse_json_rows(rows, MARKET, origin="x"), truth)


@given(st.lists(st.integers(1, 10**16 - 1), min_size=4, max_size=4))
def test_prices_parse_exactly(units):
    """Every decimal of eight places becomes the double nearest to it."""
    low, *middle, high = sorted(units)
    text = [f"{value // 10**8}.{value % 10**8:08d}" for value in (middle[0], high, low, middle[1])]
    line = f"1730419200000,{','.join(text)},1.5,1730422799999,2.5,3,0.5,0.25,0\n"
    frame = parse_csv_rows(line.encode(), MARKET, origin="x")
    assert frame[["open", "high", "low", "close"]].iloc[0].tolist() == [float(value) for value in text]


def test_nothing_is_no_klines():
    for frame in (parse_csv_rows(b" \n", MARKET, origin="x"), parse_json_rows([], MARKET, origin="x")):
        pd.testing.assert_frame_equal(frame, empty_klines())


@pytest.mark.parametrize("rows", [{"code": 1}, [[1, 2]], [["x"] * 12], [[None] * 12], "text"])
def test_json_that_is_no_klines_is_refused_with_its_origin(rows):
    with pytest.raises(DataContractError, match="the origin"):
        parse_json_rows(rows, MARKET, origin="the origin")


@pytest.mark.parametrize("place", range(12))
def test_an_empty_field_is_refused_wherever_it_is(place):
    fields = ["1730419200000", "1", "1", "1", "1", "1", "1730422799999", "1", "1", "1", "1", "0"]
    fields[place] = ""
    with pytest.raises(DataContractError, match="the origin"):
        parse_csv_rows((",".join(fields) + "\n").encode(), MARKET, origin="the origin")


@pytest.mark.parametrize("value", ["NaN", "inf", "-inf", "-1"])
def test_a_price_that_is_none_is_refused(value):
    line = f"1730419200000,1,1,1,{value},1,1730422799999,1,1,1,1,0\n"
    with pytest.raises(DataContractError, match="close"):
        parse_csv_rows(line.encode(), MARKET, origin="x")


def test_a_time_off_the_grid_or_out_of_this_century_is_refused():
    for time, said in ((1730419200001, "grid"), (-5, "no time"), (10**18, "no time")):
        line = f"{time},1,1,1,1,1,{time + 1000},1,1,1,1,0\n"
        with pytest.raises(DataContractError, match=said):
            parse_csv_rows(line.encode(), MARKET, origin="x")


def test_values_stay_as_they_are_when_the_frame_is_changed():
    frame = parse_csv_rows(b"1730419200000,1,1,1,1,1,1730422799999,1,1,1,1,0\n", MARKET, origin="x")
    frame.loc[0, "close"] = 2.0
    assert np.isclose(frame["close"].iloc[0], 2.0)
