"""Symbols, freqs and markets: the names that become paths, partition keys and SQL values.

Validation of those names belongs here, because nothing else may turn text into one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from itb_assets.errors import InvalidMarket

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS  # crypto trades every day of the year

FREQ_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
}
"""Length of one kline in milliseconds, by Binance's name for it."""

_SYMBOL = re.compile(r"[A-Z0-9]{2,20}")


def parse_symbol(text: str) -> str:
    """Return `text` if it is a symbol such as BTCUSDT, else raise InvalidMarket."""
    if not _SYMBOL.fullmatch(text):
        raise InvalidMarket(
            f"symbol {text!r} is not valid: expected 2 to 20 upper-case letters and digits, such as BTCUSDT"
        )
    return text


def parse_freq(text: str) -> str:
    """Return `text` if it is a known freq such as 5m, else raise InvalidMarket."""
    if text not in FREQ_MS:
        raise InvalidMarket(f"freq {text!r} is not valid: expected one of {', '.join(FREQ_MS)}")
    return text


@dataclass(frozen=True, order=True)
class Market:
    """A (symbol, freq) pair, valid by construction."""

    symbol: str
    freq: str

    def __post_init__(self) -> None:
        """Refuse anything that could escape a path, a partition key or a statement."""
        parse_symbol(self.symbol)
        parse_freq(self.freq)

    def __str__(self) -> str:
        """Name the market as people read it: `BTCUSDT 5m`."""
        return f"{self.symbol} {self.freq}"

    @property
    def freq_ms(self) -> int:
        """Length of one kline in milliseconds."""
        return FREQ_MS[self.freq]

    @property
    def freq_delta(self) -> timedelta:
        """Length of one kline."""
        return timedelta(milliseconds=self.freq_ms)

    @property
    def bars_per_year(self) -> float:
        """Klines in 365 days: what annualises a per-kline statistic."""
        return YEAR_MS / self.freq_ms
