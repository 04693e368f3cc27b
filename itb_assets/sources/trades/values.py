"""Values as they stand in files of trades: decimals, times, sides, words; strict, and said what is wrong.

Which field holds which belongs to the formats, what a fill may be to `domain.executed`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

Value = TypeVar("Value")

_MAX_NUMBER = 80
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.{0,30}", re.ASCII)
_SHOWN = 40


class Fields:
    """The values of one record, taken by name; what is wrong is collected, so that all of it is reported."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take a record as it was read."""
        self._values = values
        self.problems: list[str] = []

    def take(self, name: str, parse: Callable[[Any], Value], default: Value) -> Value:
        """Return a field parsed; `default`, with the problem noted, where it is absent or no such value."""
        value = self._values.get(name)
        if value is None or value == "":
            self.problems.append(f"{name} is {'empty' if name in self._values else 'missing'}")
            return default
        return self.take_optional(name, parse, default)

    def take_optional(self, name: str, parse: Callable[[Any], Value], default: Value) -> Value:
        """Return a field parsed, or `default` where it is absent or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            return default


def show(value: object) -> str:
    """Return a value short enough for a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def decimal(value: object) -> Decimal:
    """Return a number exactly as it was written, or raise ValueError."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= _MAX_NUMBER and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise ValueError(f"{show(value)} is no number")


def grouped_decimal(value: object) -> Decimal:
    """Return as `decimal` does; thousands may be set off by commas, as in `62,000.50`."""
    if isinstance(value, str) and len(value) <= _MAX_NUMBER and _GROUPED.fullmatch(value):
        return Decimal(value.replace(",", ""))
    return decimal(value)


def whole_number(value: object) -> int:
    """Return an integer, also one that is written with a point; raise ValueError for anything else."""
    number = decimal(value)
    if number.adjusted() > _MAX_NUMBER or number != number.to_integral_value():
        raise ValueError(f"{show(value)} is no whole number")
    return int(number)


def word(value: object) -> str:
    """Return text; an identifier may be a whole number. Raise ValueError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{show(value)} is no text")


def iso_time(value: object) -> datetime:
    """Return a time such as `2024-09-01T22:05:00.123`; without a zone it is UTC. Raise ValueError."""
    if isinstance(value, str) and _ISO_TIME.fullmatch(value):
        try:
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{show(value)} is no time such as 2024-09-01T22:05:00")


def one_of(kind: Callable[[str], Value], known: tuple[str, ...]) -> Callable[[object], Value]:
    """Return what parses one of the known words, in whatever case."""

    def parse(value: object) -> Value:
        text = value.lower() if isinstance(value, str) else ""
        if text not in known:
            raise ValueError(f"{show(value)} is not one of {', '.join(known)}")
        return kind(text)

    return parse
