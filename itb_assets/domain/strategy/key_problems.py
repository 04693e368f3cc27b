"""Mistakes in the keys and types of one strategy file, each worded and put in its place.

Which names fit together does not belong here (`names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from itb_assets.domain.strategy.grammar import (
    AlgorithmEntry,
    CrossValidationEntry,
    DataSource,
    GeneratorEntry,
    PaperTradingEntry,
    StrategyFile,
    WalkForwardEntry,
)
from itb_assets.domain.strategy.jsonc import JsoncDocument, Problem, ValuePath

_SECRET = re.compile(r"(api_?key|secret|password|passwd|(^|_)token)$", re.IGNORECASE)
_STAND_IN = re.compile(r"<[^<>]*>|\$\{?[A-Z_]+\}?")
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_OWN_LISTS = ("columns", "features", "labels", "functions", "algorithms")
_ENTRIES: Mapping[str, type[BaseModel]] = {
    "algorithms": AlgorithmEntry,
    "cross_validation": CrossValidationEntry,
    "data_sources": DataSource,
    "feature_sets": GeneratorEntry,
    "label_sets": GeneratorEntry,
    "output_sets": GeneratorEntry,
    "paper_trading": PaperTradingEntry,
    "signal_sets": GeneratorEntry,
    "train_feature_sets": GeneratorEntry,
    "walk_forward": WalkForwardEntry,
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` when a known name is close, else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Drop keys that say null: for every key of the grammar that is the same as leaving it out."""
    return {key: item for key, item in value.items() if item is not None}


def key_problems(document: JsoncDocument) -> Iterator[Problem]:
    """Yield unknown, missing and wrongly typed keys, secrets, and lists that would be passed over."""
    yield from _secrets(document)
    yield from _own_lists(document)
    try:
        StrategyFile.model_validate(without_nulls(document.value))
    except ValidationError as error:
        texts: dict[tuple[ValuePath, bool], list[str]] = {}
        for item in error.errors(include_url=False):
            path, is_key, text = _worded(document, dict(item))
            known = texts.setdefault((path, is_key), [])
            known.extend([text] if text not in known else [])
        for (path, is_key), several in texts.items():
            yield Problem(document.place(path, key=is_key), " or ".join(several))


def _worded(document: JsoncDocument, error: Mapping[str, Any]) -> tuple[ValuePath, bool, str]:
    """Return the path to point at, whether at its key, and what to say."""
    path: ValuePath = tuple(error["loc"])
    name = str(path[-1])
    if error["type"] == "missing":
        return path[:-1], False, f"key {name!r} is missing"
    if error["type"] == "extra_forbidden":
        entry = _ENTRIES.get(str(path[0])) if len(path) > 1 else StrategyFile
        return path, True, f"unknown key {name!r}{suggestion(name, entry.model_fields if entry else ())}"
    while path and path not in document.places:  # the tail names a branch of a union, not a key
        path = path[:-1]
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    text = f"{text[:1].lower()}{text[1:]}"
    where = ".".join(map(str, path))
    return path, False, f"{where}: {text}{_found(error)}"


def _found(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error" or _SECRET.search(str(error["loc"][0])):
        return ""
    value = error["input"]
    shown = f"{value!r}" if isinstance(value, int | float) else _KINDS.get(type(value), "null")
    return f", found {shown}"


def _secrets(document: JsoncDocument) -> Iterator[Problem]:
    for path in document.key_places:
        value = _at(document, path)
        if _SECRET.search(str(path[-1])) and value and not _STAND_IN.fullmatch(str(value)):
            yield Problem(
                document.place(path),
                f"{path[-1]} is a secret (its value is not shown): move it to the environment or to .env and "
                'write "" here; whoever saw this file has it, so issue a new one',
            )


def _own_lists(document: JsoncDocument) -> Iterator[Problem]:
    entries = document.value.get("train_feature_sets")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        config = entry.get("config") if isinstance(entry, dict) else None
        for key in config if isinstance(config, dict) else ():
            if key in _OWN_LISTS:
                yield Problem(
                    document.place(("train_feature_sets", index, "config", key), key=True),
                    f"{key!r} of a train_feature_set is not read: use train_features, labels and algorithms",
                )


def _at(document: JsoncDocument, path: ValuePath) -> object:
    value = document.value
    for part in path:
        value = value[part]
    return value
