"""The trades frame keeps its contract, and every breach of it is named."""

from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest
from trading_making import MARKET, random_market, rule

from itb_assets.domain.trading import exits, grid, trades
from itb_assets.domain.trading.paper import simulate
from itb_assets.domain.trading.trades import TRADE_COLUMNS, TRADE_DTYPES, check_trades, empty_trades
from itb_assets.errors import DataContractError


@pytest.fixture(scope="module")
def some_trades() -> pd.DataFrame:
    """Positions of both sides with every exit, the last one open."""
    data, signals = random_market(400, seed=3)
    mixed = rule(max_positions=2, exit_on_opposite=True, fee_pct=0.04)
    found = simulate(signals, data, mixed, MARKET).trades
    assert set(found["exit_reason"]) == {
        "take_profit",
        "stop_loss",
        "time_limit",
        "opposite_signal",
        None,
    }
    return found


def test_what_is_simulated_keeps_the_contract(some_trades):
    check_trades(some_trades)
    assert tuple(some_trades.columns) == TRADE_COLUMNS


def test_no_trades_keep_the_contract():
    check_trades(empty_trades())
    assert {name: str(dtype) for name, dtype in empty_trades().dtypes.items()} == dict(TRADE_DTYPES)


def first(value):
    return lambda column: column.where(column.index > 0, value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("timestamp", lambda c: c.where(c.index != 1, c.iloc[0]), "timestamp: not later than the row before"),
        ("timestamp", first(pd.NaT), r"timestamp: no time in rows \[0\]"),
        ("trade_id", first("20240901"), "trade_id: not the entry time"),
        ("side", first("LONG"), "side: not one of BUY, SELL"),
        ("status", first("DONE"), "status: not one of OPEN, CLOSED"),
        ("exit_reason", first("liquidated"), "exit_reason: not one of take_profit"),
        ("exit_reason", first(None), "exit_reason: given while OPEN, or absent though CLOSED"),
        ("sample", first("in_sample"), "sample: not one of out_of_sample, live"),
        ("entry_price", first(-1.0), "entry_price: not a number above zero"),
        ("quantity", first(np.nan), "quantity: not a number above zero"),
        ("take_profit", first(np.nan), "take_profit, stop_loss: not on either side"),
        ("stop_loss", lambda c: c * 0 + 100.0, "take_profit, stop_loss: not on either side"),
        ("fees", first(-0.1), "fees: not a number from zero on"),
        ("signal_strength", first(np.inf), "signal_strength: infinite"),
        ("exit_time_ms", first(0.0), "exit_time_ms: before the entry"),
        ("exit_time_ms", first(np.nan), "exit_time_ms: not a number though CLOSED"),
        ("exit_price", first(-1.0), "exit_price: negative"),
        ("pnl", first(np.nan), "pnl: not a number though CLOSED, at 2024-09-01"),
        ("quantity", lambda c: c.astype("float32"), "quantity: found dtype float32, expected float64"),
    ],
)
def test_a_breach_is_named(some_trades, name, change, message):
    spoilt = some_trades.copy()
    spoilt[name] = change(spoilt[name])
    with pytest.raises(DataContractError, match=message):
        check_trades(spoilt)


@pytest.mark.parametrize("name", ["exit_time_ms", "exit_price", "gross_pnl", "pnl", "return_pct"])
def test_an_open_position_with_a_result_is_refused(some_trades, name):
    spoilt = some_trades.copy()
    spoilt.loc[spoilt["status"] == "OPEN", name] = 1e15
    with pytest.raises(DataContractError, match=f"{name}: given while OPEN"):
        check_trades(spoilt)


def test_all_breaches_are_named_together(some_trades):
    spoilt = some_trades.assign(side="X", fees=-1.0)
    with pytest.raises(DataContractError) as caught:
        check_trades(spoilt)
    assert "side: not one of" in str(caught.value)
    assert "fees: not a number" in str(caught.value)
    assert f"and {len(spoilt) - 3} more" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop(columns="pnl"),
        lambda frame: frame.assign(more=1),
        lambda frame: frame[list(frame.columns[::-1])],
    ],
)
def test_other_columns_are_refused(some_trades, change):
    with pytest.raises(DataContractError, match="columns: missing"):
        check_trades(change(some_trades))


@pytest.mark.parametrize("module", [exits, grid, trades])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
