"""Mistakes in the alerts' configuration, each named by its key with what was found and what is allowed.

What a key means belongs to `config` and `config_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN = 80
_KINDS = {
    "bool_type": "expected true or false",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected text in quotes",
    "tuple_type": "expected a list, such as []",
    "model_type": "expected a table of keys",
    "dict_type": "expected a table of keys",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Yield every mistake once, in the order of the file's keys."""
    seen = set()
    for item in error.errors(include_url=False):
        text = _problem(item, model)
        if text not in seen:
            seen.add(text)
            yield text


def _problem(item: ErrorDetails, model: type[BaseModel]) -> str:
    path = [part for part in item["loc"] if not str(part).startswith(("literal[", "function-"))]
    where = ".".join(map(str, path))
    if item["type"] == "extra_forbidden":
        return f"{where}: there is no such key{_allowed(str(path[-1]), _model_at(model, path[:-1]))}"
    if item["type"] == "missing":
        return f"{where}: is missing"
    said = _KINDS.get(item["type"]) or _worded(item["msg"])
    return f"{where}: {said}{_found(item)}" if where else said


def _worded(message: str) -> str:
    text = message.removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{text[:1].lower()}{text[1:]}"


def _found(item: ErrorDetails) -> str:
    """Show a value, unless it is a table: that has been named already."""
    if isinstance(item["input"], dict):
        return ""
    shown = repr(item["input"])
    return f", found {shown if len(shown) <= MAX_SHOWN else f'{shown[:MAX_SHOWN]}…'}"


def _allowed(name: str, model: type[BaseModel] | None) -> str:
    known = list(model.model_fields) if model else []
    close = get_close_matches(name, known, n=1, cutoff=0.7)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"{meant}; allowed: {', '.join(known)}" if known else meant


def _model_at(model: type[BaseModel], path: list[str | int]) -> type[BaseModel] | None:
    """Return the table that a path leads to, as far as it is one of fixed keys."""
    found: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or found is None:
            continue
        field = found.model_fields.get(part)
        found = _model_of(field.annotation) if field else None
    return found


def _model_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_of, get_args(annotation))), None)
