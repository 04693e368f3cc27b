"""A fill is valid by construction, and its numbers have one spelling."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from fill_making import fill, spot
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.executed.fills import EXACT, plain_text, split_symbol
from itb_assets.errors import DataContractError


@given(st.decimals(min_value=-(10**17), max_value=10**17, allow_nan=False, places=20))
def test_equal_numbers_have_equal_text(value: Decimal):
    text = plain_text(value)
    assert Decimal(text) == value
    assert plain_text(EXACT.multiply(value, Decimal("1.000"))) == text
    assert "E" not in text
    assert plain_text(Decimal(text)) == text


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("TUSDT", ("T", "USDT")),
        ("BNBBTC", ("BNB", "BTC")),
        ("LTCBNB", ("LTC", "BNB")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("1INCHUSDT", ("1INCH", "USDT")),
        ("EURUSD", ("EUR", "USD")),
        ("USDT", None),
        ("FOOBAR", None),
    ],
)
def test_symbols_are_split_at_their_longest_quote(symbol, pair):
    assert split_symbol(symbol) == pair


def test_everything_wrong_is_said():
    with pytest.raises(DataContractError, match=r"account is empty; .*symbol 'x' .*; quantity is 0"):
        fill(1, "buy", 0, 1, account="", symbol="x")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"time": datetime(2024, 1, 1)}, "with a time zone"),  # noqa: DTZ001 - a time without zone is meant
        ({"time": datetime(2100, 1, 1, tzinfo=UTC)}, "between 2000 and 2100"),
        ({"take_profit": Decimal("NaN")}, "take_profit is no finite number"),
        ({"stop_loss": Decimal("Infinity")}, "stop_loss is no finite number"),
        ({"fee": Decimal(1), "fee_asset": ""}, "fee has no fee_asset"),
        ({"leverage": 10**9}, "leverage is 1000000000"),
    ],
)
def test_what_is_no_fill_is_refused(changes, said):
    with pytest.raises(DataContractError, match=said):
        fill(1, "buy", 1, 1, **changes)


def test_the_symbol_is_part_of_the_key():
    """Binance counts the trades of each symbol from one."""
    one, other = fill(1, "buy", 1, 1), fill(1, "buy", 1, 1, symbol="ETHUSDT")
    assert one.key != other.key
    assert one.composite_key == other.composite_key == "binance_futures:main:1"
    assert str(one.key) == "binance_futures main BTCUSDT trade 1"


def test_only_a_spot_fee_in_base_must_be_below_the_quantity():
    with pytest.raises(DataContractError, match="fee 2 BTC is not below the quantity 1"):
        spot(1, "buy", 1, 1, fee=Decimal(2), fee_asset="BTC")
    assert fill(1, "buy", 1, 1, fee=Decimal(2), fee_asset="BTC").pays_fee_in_base
