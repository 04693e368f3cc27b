"""Values for the parameters of a query, checked before anything is sent to a database.

The queries themselves belong to `files`; whether a column exists only the database knows (`run`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from itb_assets.domain.markets import FREQ_MS, parse_freq, parse_symbol
from itb_assets.errors import ConfigError, InputError
from itb_assets.storage.queries.files import ANY, Parameter, Query, nearest

Value = str | int | float | datetime | None

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_MAX_TEXT = 200
_YEARS = range(1970, 2200)


def checked_values(query: Query, given: Mapping[str, object], *, now: datetime) -> dict[str, Value]:
    """Return a value for every parameter of a query, defaults filled in; `now` stands for that word.

    Texts, numbers and times are taken; a time without a zone is UTC. Raises ConfigError listing everything
    that is missing, unknown or wrong, with an example of each.
    """
    known = {one.name for one in query.parameters}
    problems = [
        f"it has no parameter {name!r}: {nearest(name, known)}it has {', '.join(sorted(known)) or 'none'}"
        for name in given
        if name not in known
    ]
    values: dict[str, Value] = {}
    for one in query.parameters:
        value = given.get(one.name)
        if value is None and one.required:
            problems.append(f"--{one.name} is missing: {one.meaning}, such as --{one.name} {one.example}")
        elif value is None and one.default == ANY:
            values[one.name] = None
        else:
            try:
                values[one.name] = _value(one, _text(one.default if value is None else value), now)
            except InputError as error:
                problems.append(f"--{one.name}: {error}")
    problems = problems or _together(query, values)
    if problems:
        raise ConfigError(problems, origin=f"query {query.name}")
    return values


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _value(parameter: Parameter, text: str, now: datetime) -> Value:
    kind, _, bounds = parameter.kind.partition(" ")
    if kind == "symbol":
        return parse_symbol(text)
    if kind in {"freq", "coarser"}:
        return parse_freq(text)
    if kind == "time":
        return now if text == "now" else _time(text)
    if kind in {"integer", "number"}:
        return _number(text, bounds, whole=kind == "integer")
    if not text or len(text) > _MAX_TEXT or not text.isprintable():
        raise InputError(
            f"{text[:_MAX_TEXT]!r} is not valid: expected 1 to {_MAX_TEXT} printable characters, such as "
            f"{parameter.example}"
        )
    return text


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        time = None
    if time is None or time.year not in _YEARS:
        raise InputError(
            f"{text[:_MAX_TEXT]!r} is not a time: expected ISO form, such as 2024-06-01 or 2024-06-01T12:00, "
            f"of the years {_YEARS.start} to {_YEARS.stop - 1}; without a zone it is UTC"
        )
    return time


def _number(text: str, bounds: str, *, whole: bool) -> int | float:
    low, high = (float(bound) for bound in bounds.split(".."))
    if (_INTEGER if whole else _NUMBER).fullmatch(text):
        value = int(text) if whole else float(text)
        if math.isfinite(value) and low <= value <= high:
            return value
    word = "a whole number" if whole else "a number"
    raise InputError(f"{text[:_MAX_TEXT]!r} is not valid: expected {word} from {low:g} to {high:g}")


def _together(query: Query, values: Mapping[str, Value]) -> list[str]:
    """Say what is wrong between values that are right on their own."""
    problems = []
    for one in query.parameters:
        if one.kind == "coarser freq":
            fine, coarse = FREQ_MS[str(values["freq"])], FREQ_MS[str(values[one.name])]
            if coarse <= fine or coarse % fine:
                legal = [name for name, length in FREQ_MS.items() if length > fine and length % fine == 0]
                problems.append(
                    f"--{one.name} {values[one.name]} is no multiple of {values['freq']}: expected one of "
                    f"{', '.join(legal) or 'none, it is the coarsest'}"
                )
    since, until = values.get("since"), values.get("until")
    if isinstance(since, datetime) and isinstance(until, datetime) and since >= until:
        problems.append(f"--since {since.isoformat()} is not before --until {until.isoformat()}")
    return problems
