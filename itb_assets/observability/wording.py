"""How numbers, counts and times are written for people: in pictures and in the report.

What is said about them belongs to whoever says it.
"""

from __future__ import annotations

import math

import pandas as pd

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"

_SMALL, _ROUND, _LARGE = 0.01, 100, 100_000


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Write a number with a fixed number of decimals; an unknown one is a dash, infinity is its sign.

    >>> number(1234.5), number(-0.001)
    ('1,234.50', '0.00')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if signed and rounded else ''},.{decimals}f}".replace("-", MINUS)


def amount(value: float | None, *, signed: bool = False) -> str:
    """Write an amount of money or a price with as many decimals as its size deserves.

    >>> amount(123456.7), amount(1000), amount(12.345), amount(0.00012345)
    ('123,457', '1,000', '12.35', '0.0001234')
    """
    if value is None or not math.isfinite(value) or value == 0:
        return number(value, signed=signed)
    size = abs(value)
    if size < _SMALL:
        return f"{value:{'+' if signed else ''}.4g}".replace("-", MINUS)
    whole = size >= _LARGE or (size >= _ROUND and float(value).is_integer())
    return number(value, 0 if whole else 2, signed=signed)


def percent(value: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """Write a percentage given in per cent."""
    text = number(value, decimals, signed=signed)
    return text if text == UNKNOWN else f"{text}{NBSP}%"


def exact_percent(value: float) -> str:
    """Write a percentage that somebody set, with no more decimals than it has.

    >>> exact_percent(0.04).replace(NBSP, " "), exact_percent(2.0).replace(NBSP, " ")
    ('0.04 %', '2 %')
    """
    return f"{value:.6g}{NBSP}%"


def share(value: float | None, decimals: int = 1) -> str:
    """Write a share of 1 as a percentage."""
    return percent(None if value is None else value * 100, decimals)


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, which takes an s unless there is one of it.

    >>> counted(1, "trade"), counted(1200, "trade")
    ('1 trade', '1,200 trades')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(time: pd.Timestamp | None) -> str:
    """Write a time to the minute, in UTC."""
    if time is None or pd.isna(time):
        return UNKNOWN
    return f"{_utc(time):%Y-%m-%d %H:%M} UTC"


def day(time: pd.Timestamp | None) -> str:
    """Write the day of a time, in UTC."""
    return UNKNOWN if time is None or pd.isna(time) else f"{_utc(time):%Y-%m-%d}"


def _utc(time: pd.Timestamp) -> pd.Timestamp:
    return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
