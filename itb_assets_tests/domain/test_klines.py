"""The kline contract, merging and the grid: every breach is named, nothing is filled in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kline_making import make_klines, recorded_klines, without

from itb_assets.domain.klines import (
    KLINE_COLUMNS,
    KLINE_DTYPES,
    VALUE_COLUMNS,
    check_klines,
    empty_klines,
    merge_klines,
    to_grid,
)
from itb_assets.domain.markets import Market
from itb_assets.errors import DataContractError

MARKET = Market("BTCUSDT", "5m")
STEP = pd.Timedelta(minutes=5)


def test_lawful_klines_pass() -> None:
    check_klines(make_klines(MARKET, 50), MARKET)
    check_klines(without(make_klines(MARKET, 50), 7), MARKET)


def test_no_rows_are_lawful() -> None:
    check_klines(empty_klines(), MARKET)
    assert {name: str(dtype) for name, dtype in empty_klines().dtypes.items()} == dict(KLINE_DTYPES)


def test_a_close_time_cut_short_by_an_outage_is_lawful() -> None:
    klines = make_klines(MARKET, 5)
    klines.loc[2, "close_time"] -= 200_000
    check_klines(klines, MARKET)


@pytest.mark.data
def test_recorded_klines_are_lawful_across_the_switch_to_microseconds() -> None:
    klines = recorded_klines("5m", ["2024-12", "2025-01"])
    check_klines(klines, MARKET)
    assert len(klines) == 62 * 288


def _set(column: str, value: object, row: int = 3) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(klines: pd.DataFrame) -> pd.DataFrame:
        klines.loc[row, column] = value
        return klines

    return change


def _close_time_at(row: int, offset_ms: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(klines: pd.DataFrame) -> pd.DataFrame:
        klines.loc[row, "close_time"] = int(klines["timestamp"][row].timestamp() * 1000) + offset_ms
        return klines

    return change


def _shifted(klines: pd.DataFrame) -> pd.DataFrame:
    moved = klines.assign(timestamp=klines["timestamp"] + pd.Timedelta(seconds=1))
    return moved.assign(close_time=klines["close_time"])


BREACHES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "NaN price": (_set("close", np.nan), "close: not a finite number, at 2023-11-15 00:15:00"),
    "infinite volume": (_set("volume", np.inf), "volume: not a finite number"),
    "negative infinity": (_set("tb_base_av", -np.inf), "tb_base_av: not a finite number"),
    "negative volume": (_set("volume", -1.0), "volume: negative"),
    "negative trades": (_set("trades", -1), "trades: negative"),
    "zero price": (_set("low", 0.0), "low: not above zero"),
    "high too low": (_set("high", 1.0), "high: below open, low or close"),
    "low too high": (_set("low", 1e9), "low: above open or close"),
    "unsorted": (lambda k: k.iloc[::-1].reset_index(drop=True), "not sorted"),
    "duplicate": (lambda k: pd.concat([k.iloc[:3], k.iloc[2:]], ignore_index=True), "timestamp: duplicate"),
    "off the grid": (_shifted, "not on the grid of 5m"),
    "closes before it opens": (_close_time_at(4, -1), "close_time: not after the open time"),
    "closes with the next": (_close_time_at(4, 300_000), "close_time: not after the open time"),
    "no time": (lambda k: k.assign(timestamp=k["timestamp"].where(k.index != 2)), "no time in rows [2]"),
    "dtype": (lambda k: k.astype({"trades": "float64"}), "trades: found dtype float64, expected int64"),
    "naive times": (
        lambda k: k.assign(timestamp=k["timestamp"].dt.tz_localize(None)),
        "timestamp: found dtype datetime64[ns], expected datetime64[ns, UTC]",
    ),
    "column missing": (lambda k: k.drop(columns="ignore"), "missing ['ignore']"),
    "column too many": (lambda k: k.assign(vwap=1.0), "not expected ['vwap']"),
    "columns in disorder": (lambda k: k[[*KLINE_COLUMNS[1:], "timestamp"]], "the order differs"),
    "index": (lambda k: k.iloc[1:], "index: expected 0, 1, 2"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_each_breach_is_named(name: str) -> None:
    change, expected = BREACHES[name]
    with pytest.raises(DataContractError, match="BTCUSDT 5m: klines break their contract") as caught:
        check_klines(change(make_klines(MARKET, 10)), MARKET)
    assert expected in str(caught.value)


def test_all_breaches_are_reported_together_with_the_first_times_of_each() -> None:
    klines = make_klines(MARKET, 10)
    klines.loc[1:6, "close"] = np.nan
    klines.loc[8, "trades"] = -5
    with pytest.raises(DataContractError) as caught:
        check_klines(klines, MARKET)
    text = str(caught.value)
    assert "close: not a finite number, at 2023-11-15 00:05:00+00:00" in text
    assert "and 3 more" in text
    assert "trades: negative, at 2023-11-15 00:40:00+00:00" in text


def test_a_tail_is_appended() -> None:
    klines = make_klines(MARKET, 20)
    merge = merge_klines(klines.iloc[:15], klines.iloc[15:].reset_index(drop=True))
    pd.testing.assert_frame_equal(merge.frame, klines)
    assert (merge.new_rows, merge.changed_rows, merge.changed_from) == (5, 0, klines["timestamp"][15])


def test_identical_rows_change_nothing_and_the_stored_klines_come_back() -> None:
    klines = make_klines(MARKET, 20)
    merge = merge_klines(klines, klines.iloc[8:].reset_index(drop=True).copy())
    assert merge.frame is klines
    assert (merge.new_rows, merge.changed_rows, merge.changed_from) == (0, 0, None)


def test_the_fresh_row_wins_and_only_altered_rows_count() -> None:
    stored = make_klines(MARKET, 20)
    fresh = stored.iloc[10:].reset_index(drop=True).copy()
    fresh.loc[4, "trades"] += 1
    merge = merge_klines(stored, fresh)
    assert (merge.new_rows, merge.changed_rows, merge.changed_from) == (0, 1, stored["timestamp"][14])
    assert merge.frame["trades"][14] == stored["trades"][14] + 1


def test_late_klines_fill_a_hole_and_say_from_when() -> None:
    klines = make_klines(MARKET, 20)
    merge = merge_klines(without(klines, 6, 7), klines.iloc[6:7].reset_index(drop=True))
    pd.testing.assert_frame_equal(merge.frame, without(klines, 7))
    assert (merge.new_rows, merge.changed_rows, merge.changed_from) == (1, 0, klines["timestamp"][6])


def test_rows_that_only_the_store_has_are_kept() -> None:
    klines = make_klines(MARKET, 20)
    merge = merge_klines(klines, without(klines, *range(5), 9, *range(15, 20)))
    assert merge.frame is klines


def test_merging_with_nothing() -> None:
    klines = make_klines(MARKET, 4)
    assert merge_klines(klines, empty_klines()).frame is klines
    assert merge_klines(empty_klines(), empty_klines()).changed_from is None
    first = merge_klines(empty_klines(), klines)
    pd.testing.assert_frame_equal(first.frame, klines)
    assert (first.new_rows, first.changed_from) == (4, klines["timestamp"][0])


def test_unsorted_klines_cannot_be_merged() -> None:
    klines = make_klines(MARKET, 6)
    with pytest.raises(DataContractError, match=r"fresh klines cannot be merged.*strictly increasing"):
        merge_klines(klines, klines.iloc[::-1].reset_index(drop=True))


@given(
    stored=st.sets(st.integers(0, 25)),
    fresh=st.sets(st.integers(0, 25)),
    altered=st.sets(st.integers(0, 25)),
)
def test_merging_equals_a_dictionary_update(stored: set[int], fresh: set[int], altered: set[int]) -> None:
    """For any overlap: the rows, both counts and the earliest change are those of a plain dict."""
    whole = make_klines(MARKET, 26)
    edited = whole.assign(volume=whole["volume"] + whole.index.isin(altered))
    merge = merge_klines(
        whole.iloc[sorted(stored)].reset_index(drop=True), edited.iloc[sorted(fresh)].reset_index(drop=True)
    )
    expected = {row: whole.iloc[row] for row in stored} | {row: edited.iloc[row] for row in fresh}
    wanted = pd.DataFrame([expected[row] for row in sorted(expected)], columns=KLINE_COLUMNS)
    pd.testing.assert_frame_equal(
        merge.frame, wanted.reset_index(drop=True).astype(dict(KLINE_DTYPES)), check_index_type=False
    )
    new, changed = fresh - stored, fresh & stored & altered
    assert (merge.new_rows, merge.changed_rows) == (len(new), len(changed))
    first = min(new | changed, default=None)
    assert merge.changed_from == (None if first is None else whole["timestamp"][first])


def test_the_grid_of_klines_without_a_gap_holds_the_same_values() -> None:
    klines = make_klines(MARKET, 30)
    before = klines.copy()
    data = to_grid(klines, MARKET)
    pd.testing.assert_frame_equal(klines, before)
    assert set(data.dtypes[list(VALUE_COLUMNS)].astype(str)) == {"float64"}
    pd.testing.assert_frame_equal(data, klines, check_dtype=False)
    data["close"] = 0.0
    pd.testing.assert_frame_equal(klines, before)


def test_a_missing_kline_is_a_row_of_eleven_nan() -> None:
    klines = make_klines(MARKET, 30)
    data = to_grid(without(klines, 4, 5, 20), MARKET)
    assert list(data.columns) == list(KLINE_COLUMNS)
    pd.testing.assert_series_equal(data["timestamp"], klines["timestamp"])
    assert data.index[data[list(VALUE_COLUMNS)].isna().all(axis=1)].tolist() == [4, 5, 20]
    pd.testing.assert_frame_equal(
        data.drop(index=[4, 5, 20]), klines.drop(index=[4, 5, 20]), check_dtype=False
    )


def test_the_grid_of_no_klines_has_no_rows_and_float_columns() -> None:
    data = to_grid(empty_klines(), MARKET)
    assert not len(data)
    assert set(data.dtypes[list(VALUE_COLUMNS)].astype(str)) == {"float64"}
