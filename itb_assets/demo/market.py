"""Invented markets for the demo exchange: any freq of any symbol, the same whoever asks in whatever order.

The symbols exist nowhere else, so that nobody takes these prices for real ones. The network does not
belong here.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from itb_assets.demo.path import GENESIS_MS, Coin, Minutes, minutes
from itb_assets.domain.klines import KLINE_COLUMNS, empty_klines
from itb_assets.domain.markets import DAY_MS, FREQ_MS, MINUTE_MS, Market
from itb_assets.errors import UnknownSymbol

COINS: tuple[Coin, ...] = (
    Coin("DEMOWOLFUSDT", 42_000.0, 2, 5, 0.028, 200_000.0),
    Coin("DEMOLYNXUSDT", 2_300.0, 2, 4, 0.034, 1_500_000.0),
    Coin("DEMOHAWKUSDT", 310.0, 2, 3, 0.036, 250_000.0),
    Coin("DEMOBEARUSDT", 64.0, 2, 3, 0.042, 900_000.0),
    Coin("DEMOFROGUSDT", 1.45, 4, 1, 0.050, 900_000.0),
    Coin("DEMOMOTHUSDT", 0.085, 5, 0, 0.058, 600_000.0, listed_ms=GENESIS_MS + 730 * DAY_MS),
)
DEMO_SYMBOLS: tuple[str, ...] = tuple(coin.symbol for coin in COINS)
"""Symbols of the demo exchange, none of which is listed at Binance."""

_BY_SYMBOL = {coin.symbol: coin for coin in COINS}


class Venue(Protocol):
    """Where an exchange takes its klines from: invented here, or recorded in archives."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols listed."""
        ...

    def klines(self, market: Market, start_ms: int, end_ms: int, *, now_ms: int) -> pd.DataFrame:
        """Return canonical klines that open in [start_ms, end_ms) and by `now_ms`, the last one unfinished.

        The unfinished candle has the close time it will have; the contract of closed klines ends there.
        """
        ...

    def first_open_ms(self, market: Market) -> int:
        """Return the open time of the market's first kline; raise UnknownSymbol where there is none."""
        ...


class InventedVenue:
    """The markets of `COINS`."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols listed."""
        return DEMO_SYMBOLS

    def klines(self, market: Market, start_ms: int, end_ms: int, *, now_ms: int) -> pd.DataFrame:
        """Return klines as they stand at `now_ms`; see `Venue.klines`."""
        coin = _coin(market.symbol)
        freq_ms = market.freq_ms
        start_ms = -(-start_ms // freq_ms) * freq_ms
        end_ms = min(-(-end_ms // freq_ms) * freq_ms, (now_ms // freq_ms + 1) * freq_ms)
        if start_ms >= end_ms:
            return empty_klines()
        path = minutes(coin, start_ms, end_ms)
        return _frame(_bars(_as_seen_at(path, now_ms), freq_ms), coin)

    def first_open_ms(self, market: Market) -> int:
        """Return the open time of the market's first kline."""
        return _coin(market.symbol).listed_ms


def demo_klines(market: Market, start_ms: int, end_ms: int) -> pd.DataFrame:
    """Return the finished klines of an invented market that open in [start_ms, end_ms).

    A pure function: sums are exact, so every freq is the exact aggregate of the minutes. Raise
    UnknownSymbol for a symbol that is not in `DEMO_SYMBOLS`.
    """
    return InventedVenue().klines(market, start_ms, end_ms, now_ms=end_ms + FREQ_MS["1d"])


def _coin(symbol: str) -> Coin:
    if symbol not in _BY_SYMBOL:
        raise UnknownSymbol(f"symbol {symbol} is not one of the demo's: {', '.join(DEMO_SYMBOLS)}")
    return _BY_SYMBOL[symbol]


def _as_seen_at(path: Minutes, now_ms: int) -> Minutes:
    """Cut the path at `now_ms`; of the minute under way only the opening price is known."""
    this_minute = now_ms // MINUTE_MS * MINUTE_MS
    path = path.select(path.open_ms <= this_minute)
    if not len(path.open_ms) or path.open_ms[-1] != this_minute:
        return path
    path = path.select(np.arange(len(path.open_ms)))  # a copy: the cached path stays as it is
    for values in (path.high, path.low, path.close):
        values[-1] = path.open[-1]
    for values in (path.volume, path.quote, path.trades, path.taker_volume, path.taker_quote):
        values[-1] = 0
    return path


def _bars(path: Minutes, freq_ms: int) -> Minutes:
    """Aggregate minutes into bars; a bar that lacks minutes is made of those it has."""
    if freq_ms == MINUTE_MS or not len(path.open_ms):
        return path
    bar_ms = path.open_ms - path.open_ms % freq_ms
    first = np.flatnonzero(np.diff(bar_ms, prepend=-1))
    last = np.append(first[1:], len(bar_ms)) - 1
    cut_short = path.close_ms[last] != path.open_ms[last] + MINUTE_MS - 1
    return Minutes(
        open_ms=bar_ms[first],
        open=path.open[first],
        high=np.maximum.reduceat(path.high, first),
        low=np.minimum.reduceat(path.low, first),
        close=path.close[last],
        close_ms=np.where(cut_short, path.close_ms[last], bar_ms[first] + freq_ms - 1),
        volume=np.add.reduceat(path.volume, first),
        quote=np.add.reduceat(path.quote, first),
        trades=np.add.reduceat(path.trades, first),
        taker_volume=np.add.reduceat(path.taker_volume, first),
        taker_quote=np.add.reduceat(path.taker_quote, first),
    )


def _frame(bars: Minutes, coin: Coin) -> pd.DataFrame:
    if not len(bars.open_ms):
        return empty_klines()
    tick, lot = 10.0**coin.price_decimals, 10.0**coin.lot_decimals
    columns = {
        "timestamp": pd.to_datetime(bars.open_ms * 1_000_000, utc=True),
        "open": bars.open / tick,
        "high": bars.high / tick,
        "low": bars.low / tick,
        "close": bars.close / tick,
        "volume": bars.volume / lot,
        "close_time": bars.close_ms,
        "quote_av": bars.quote / (tick * lot),
        "trades": bars.trades,
        "tb_base_av": bars.taker_volume / lot,
        "tb_quote_av": bars.taker_quote / (tick * lot),
        "ignore": np.zeros(len(bars.open_ms)),
    }
    return pd.DataFrame(columns, columns=list(KLINE_COLUMNS))
