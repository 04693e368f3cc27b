"""Partitions: one per market, symbols added while everything runs, freqs fixed.

Turning a partition key into a Market and back happens here and nowhere else. There is no time
dimension: a partition is a market up to now.
"""

from __future__ import annotations

import dagster as dg

from itb_assets.domain.markets import FREQ_MS, Market
from itb_assets.errors import InputError, InvalidMarket

SYMBOLS = dg.DynamicPartitionsDefinition(name="symbols")
FREQS = dg.StaticPartitionsDefinition(list(FREQ_MS))
MARKETS = dg.MultiPartitionsDefinition({"symbol": SYMBOLS, "freq": FREQS})


def partition_of(market: Market) -> dg.MultiPartitionKey:
    """Return the partition key of a market; as text it reads `5m|BTCUSDT` (dimensions sort by name)."""
    return dg.MultiPartitionKey({"symbol": market.symbol, "freq": market.freq})


def market_of(partition_key: str) -> Market:
    """Return the market a partition key names, given as text or as a MultiPartitionKey."""
    if isinstance(partition_key, dg.MultiPartitionKey):
        keys = partition_key.keys_by_dimension
        return Market(keys["symbol"], keys["freq"])
    freq, separator, symbol = partition_key.partition("|")
    if not separator:
        raise InvalidMarket(
            f"partition {partition_key!r} names no market: expected freq|symbol, such as 5m|BTCUSDT"
        )
    return Market(symbol, freq)


def market_in(context: dg.OpExecutionContext) -> Market:
    """Return the market that a step is for; raise InputError where its run names none or several."""
    if context.has_partition_key:
        return market_of(context.partition_key)
    found = f"{len(context.partition_keys)} partitions" if context.has_partition_key_range else "no partition"
    raise InputError(f"a run is for one market, found {found}: start one run for each, as a backfill does")
