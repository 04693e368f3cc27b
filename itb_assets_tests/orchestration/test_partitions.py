"""A partition key names one market and nothing else, as text and as Dagster's own key."""

from __future__ import annotations

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import InvalidMarket
from itb_assets.orchestration.partitions import FREQS, MARKETS, SYMBOLS, market_of, partition_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MARKETS_ST = st.builds(Market, st.text(LETTERS, min_size=2, max_size=20), st.sampled_from(list(FREQ_MS)))


@given(MARKETS_ST)
def test_a_market_comes_back_from_its_key_and_from_the_keys_text(market):
    key = partition_of(market)
    assert market_of(key) == market
    assert market_of(str(key)) == market
    assert str(key) == f"{market.freq}|{market.symbol}"


@given(MARKETS_ST)
def test_the_key_is_the_one_dagster_makes_of_the_same_dimensions(market):
    made = MARKETS.get_partition_key_from_str(f"{market.freq}|{market.symbol}")
    assert made == partition_of(market)
    assert market_of(made) == market


@given(MARKETS_ST, MARKETS_ST)
def test_two_markets_never_share_a_key(one, other):
    assert (partition_of(one) == partition_of(other)) == (one == other)


@pytest.mark.parametrize(
    "key",
    ["", "5m", "BTCUSDT", "5m|", "|BTCUSDT", "BTCUSDT|5m", "7m|BTCUSDT", "5m|btcusdt", "5m|../x", "5m|A|B"],
)
def test_a_key_that_names_no_market_is_refused(key):
    with pytest.raises(InvalidMarket, match="expected"):
        market_of(key)


def test_symbols_are_added_while_everything_runs_and_freqs_are_fixed():
    with dg.DagsterInstance.ephemeral() as instance:
        assert MARKETS.get_partition_keys(dynamic_partitions_store=instance) == []
        instance.add_dynamic_partitions(str(SYMBOLS.name), ["BTCUSDT"])
        keys = MARKETS.get_partition_keys(dynamic_partitions_store=instance)
    assert {market_of(key) for key in keys} == {Market("BTCUSDT", freq) for freq in FREQ_MS}
    assert FREQS.get_partition_keys() == list(FREQ_MS)
