"""Words of the alerts' configuration as values: lengths of time, times of day, levels.

Which key takes which of them belongs to `config_rules` and `config`.
"""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated

from pydantic import BaseModel as PydanticModel
from pydantic import BeforeValidator, ConfigDict, Field

from itb_assets.domain.alerts.occurrence import Level
from itb_assets.errors import InputError

_LENGTH = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
LONGEST = timedelta(days=3650)


def _length(value: object) -> object:
    found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, timedelta):
        return value
    if found is None:
        raise ValueError('expected a length of time such as "90s", "15m", "4h" or "3d"')
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta(0) < length <= LONGEST:
        raise ValueError('expected a length of time above zero and up to "3650d"')
    return length


def _length_or_never(value: object) -> object:
    if value == "never" or value is None:
        return None
    try:
        return _length(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "never"') from None


def _listed(value: object) -> object:
    if not isinstance(value, list):
        return value
    if not all(value) or len(set(map(str, value))) < len(value):
        raise ValueError("expected names, each once and none of them empty")
    return tuple(value)


def _currency(value: object) -> object:
    if not isinstance(value, str) or _CURRENCY.fullmatch(value) is None:
        raise ValueError("expected a currency in capitals, such as USDT")
    return value


def _level(value: object) -> object:
    if isinstance(value, Level):
        return value
    try:
        return Level.named(str(value))
    except InputError:
        raise ValueError(f"expected one of {', '.join(level.label for level in Level)}") from None


def _time_of_day(value: object) -> object:
    if isinstance(value, time):
        return value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('expected a time of day in UTC such as "00:10"')
    return time(int(found[1]), int(found[2]))


def length_text(length: timedelta | None) -> str:
    """Write a length of time as the configuration does.

    >>> [length_text(timedelta(seconds=s)) for s in (90, 900, 14_400, 259_200)], length_text(None)
    (['90s', '15m', '4h', '3d'], 'never')
    """
    if length is None:
        return "never"
    seconds = int(length.total_seconds())
    for unit, size, least in (("d", 86_400, 172_800), ("h", 3600, 3600), ("m", 60, 120)):
        if seconds % size == 0 and seconds >= least:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Length = Annotated[timedelta, BeforeValidator(_length)]
LengthOrNever = Annotated[timedelta | None, BeforeValidator(_length_or_never)]
LevelName = Annotated[Level, BeforeValidator(_level)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Currency = Annotated[str, BeforeValidator(_currency)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Strict(PydanticModel):
    """A table of the file: frozen, of known keys and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)
