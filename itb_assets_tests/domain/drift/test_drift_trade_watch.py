"""The watch over trades goes on with what ended since, and is what one watch over all of them would be."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb_assets.domain.drift import TradeWatch, begin_watch, go_on
from itb_assets.errors import DataContractError

START = pd.Timestamp("2024-03-01", tz="UTC")
MINUTE_MS = 60_000


def made(seed: int, *, tested: int = 120, live: int = 200, open_places: int = 3) -> pd.DataFrame:
    """Return closed trades that overlap, the first out of sample, in the order of their entries."""
    rng = np.random.default_rng(seed)
    rows = tested + live
    entered = START + pd.to_timedelta(np.cumsum(rng.integers(1, 20, rows)), unit="min")
    held = rng.integers(0, 20 * open_places, rows)
    return pd.DataFrame(
        {
            "timestamp": entered,
            "trade_id": [f"{time:%Y%m%dT%H%M%SZ}" for time in entered],
            "status": "CLOSED",
            "exit_time_ms": [
                float(time.value // 10**6 + rows * MINUTE_MS)
                for time, rows in zip(entered, held, strict=True)
            ],
            "pnl": np.where(rng.random(rows) < 0.55, 1.0, -1.0),
            "sample": ["out_of_sample"] * tested + ["live"] * live,
        }
    )


def as_of(trades: pd.DataFrame, now_ms: float) -> pd.DataFrame:
    """Return the trades as they were at a time: those entered by then, open where they had not ended."""
    known = trades[trades["timestamp"].astype("int64") // 10**6 <= now_ms].copy()
    still_open = known["exit_time_ms"] > now_ms
    known.loc[still_open, "status"] = "OPEN"
    known.loc[still_open, ["exit_time_ms", "pnl"]] = np.nan
    return known.reset_index(drop=True)


def since(trades: pd.DataFrame, watch: TradeWatch) -> pd.DataFrame:
    assert watch.unsettled_from is not None
    return trades[trades["timestamp"] >= watch.unsettled_from]


def moments(trades: pd.DataFrame, *, looks: int) -> list[float]:
    """Return times of looks that begin after every out-of-sample trade has ended."""
    first = trades.loc[trades["sample"] == "out_of_sample", "exit_time_ms"].max()
    return list(np.linspace(first, trades["exit_time_ms"].max(), looks))


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20))
def test_going_on_gives_what_all_trades_at_once_give(seed, looks):
    trades = made(seed)
    first, *later = moments(trades, looks=looks)
    watch = begin_watch(as_of(trades, first))
    for now_ms in later:
        known = as_of(trades, now_ms)
        stored = TradeWatch.from_dict(json.loads(json.dumps(watch.as_dict())))
        assert stored == watch
        resumed = go_on(stored, since(known, stored))
        assert resumed is not None
        assert resumed == begin_watch(known)
        watch = resumed
    assert watch.state.evidence.trades == (trades["sample"] == "live").sum()
    assert watch.state.reference.trades == (trades["sample"] == "out_of_sample").sum()


def test_what_is_kept_does_not_grow_with_the_trades():
    trades = made(0, live=3000)
    assert len(begin_watch(trades).counted) == 1
    held = as_of(trades, trades["exit_time_ms"].quantile(0.5))
    assert len(begin_watch(held).counted) < 20


@pytest.fixture
def halfway():
    """Return all trades, and a watch from a time at which one was open longer than others that had ended."""
    trades = made(1)
    watches = (begin_watch(as_of(trades, now_ms)) for now_ms in moments(trades, looks=20))
    return trades, next(watch for watch in watches if watch.counted)


def test_a_counted_trade_that_was_altered_calls_for_a_new_watch(halfway):
    trades, watch = halfway
    (trade, *_) = watch.counted
    altered = trades.assign(pnl=trades["pnl"].where(trades["trade_id"] != trade, -trades["pnl"]))
    assert go_on(watch, since(altered, watch)) is None
    gone = trades[trades["trade_id"] != trade]
    assert go_on(watch, since(gone, watch)) is None
    assert go_on(watch, since(trades, watch)) == begin_watch(trades)


def test_a_trade_that_ended_before_those_counted_calls_for_a_new_watch(halfway):
    trades, watch = halfway
    late = since(trades, watch).iloc[-1:].assign(exit_time_ms=watch.last_exit_ms - 1)
    altered = pd.concat([since(trades, watch).iloc[:-1], late])
    assert go_on(watch, altered) is None


def test_another_trade_of_the_reference_calls_for_a_new_watch():
    """It was open when the watch began, and belongs to what live trades are held against."""
    trades = made(2)
    tested = trades[trades["sample"] == "out_of_sample"]
    early = as_of(trades, tested["exit_time_ms"].max() - 1)
    watch = begin_watch(early)
    assert go_on(watch, since(trades, watch)) is None
    assert begin_watch(trades).state.reference.trades == watch.state.reference.trades + 1


def test_without_a_trade_there_is_nothing_to_go_on_from():
    nothing = made(0).head(0)
    watch = begin_watch(nothing)
    assert watch.unsettled_from is None
    assert watch.state.evidence.trades == 0
    assert TradeWatch.from_dict(watch.as_dict()) == watch
    assert go_on(watch, made(0)) is None


@pytest.mark.parametrize("stored", [{}, {"state": {}}, {"state": None, "counted": []}, [], None])
def test_what_is_no_watch_is_refused(stored):
    with pytest.raises(DataContractError, match="not a stored watch"):
        TradeWatch.from_dict(stored)
