"""From the text of a strategy file to a Strategy, or to one error that lists everything wrong with it.

Reading files does not belong here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from itb_assets.domain.specs import AlgorithmSpec, GeneratorSpec
from itb_assets.domain.strategy.grammar import GeneratorEntry, StrategyFile, UsedKeys
from itb_assets.domain.strategy.jsonc import JsoncDocument, Problem, scan_jsonc
from itb_assets.domain.strategy.key_problems import key_problems, suggestion, without_nulls
from itb_assets.domain.strategy.names import name_problems
from itb_assets.domain.strategy.strategy import Strategy
from itb_assets.errors import ConfigError

_VARIANT = re.compile(r"[a-z][a-z0-9_]{0,30}")


def parse_variant(text: str) -> str:
    """Return `text` if it may name a variant: it becomes a folder, a table's value and an asset key."""
    if not _VARIANT.fullmatch(text):
        expected = "1 to 31 lower-case letters, digits and _, beginning with a letter"
        raise ConfigError([f"variant {text!r} is not valid: expected {expected}; it is the file's name"])
    return text


def load_strategy(text: str, *, origin: str, variant: str) -> Strategy:
    """Read the text of a strategy file; raise ConfigError with every problem as `line:column: text`.

    `origin` names the file in errors. A text that is not JSON is reported alone; all else together.
    """
    parse_variant(variant)
    document, problems = scan_jsonc(text)
    if document is not None and not isinstance(document.value, dict):
        problems = (*problems, Problem(document.place(()), "expected an object of keys, { ... }"))
    elif document is not None:
        problems = tuple(sorted({*problems, *key_problems(document), *name_problems(document)}))
        problems = problems or (*_plan_problems(document), *_trading_problems(document))
    if document is None or problems:
        raise ConfigError(map(str, problems), origin=origin)
    return _strategy(document, text=text, origin=origin, variant=variant)


def _plan_problems(document: JsoncDocument) -> Iterator[Problem]:
    """Yield what only shows when all entries are compiled together, such as an input nobody makes."""
    from itb_assets.domain.features import compile_features  # noqa: PLC0415 - they build on this package's rooms
    from itb_assets.domain.labels import compile_labels  # noqa: PLC0415 - as above

    read = _read(document)
    plans: tuple[tuple[str, Callable[[], object]], ...] = (
        ("feature_sets", lambda: compile_features(_specs(read.feature_sets), dialect=read.dialect)),
        ("label_sets", lambda: compile_labels(_specs(read.label_sets), dialect=read.dialect)),
    )
    for key, compile_plan in plans:
        try:
            compile_plan()
        except ConfigError as error:
            yield from (Problem(document.place((key,)), text) for text in error.problems)


def _trading_problems(document: JsoncDocument) -> Iterator[Problem]:
    """Yield columns that paper trading names and no signal set makes."""
    from itb_assets.domain import signals  # noqa: PLC0415 - as above

    read = _read(document)
    made = [name for spec in _specs(read.signal_sets) for name in signals.output_names(spec)]
    for key in ("buy", "sell", "score"):
        name = getattr(read.paper_trading, key)
        if name is not None and name not in made:
            text = f"paper_trading.{key}: no signal_sets entry makes {name!r}{suggestion(name, made)}"
            yield Problem(document.place(("paper_trading", key)), text)


def _strategy(document: JsoncDocument, *, text: str, origin: str, variant: str) -> Strategy:
    read = _read(document)
    return Strategy(
        variant=variant,
        origin=origin,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        description=read.description,
        dialect=read.dialect,
        feature_sets=_specs(read.feature_sets),
        label_sets=_specs(read.label_sets),
        signal_sets=_specs(read.signal_sets),
        train_features=tuple(read.train_features),
        labels=tuple(read.labels),
        algorithms=tuple(
            AlgorithmSpec(entry.name, entry.algo, entry.params or {}, entry.train or {})
            for entry in read.algorithms
        ),
        label_horizon=read.label_horizon,
        features_horizon=read.features_horizon,
        train_length=read.train_length or None,
        walk_forward=read.walk_forward.spec,
        cross_validation=read.cross_validation.spec if read.cross_validation else None,
        trading=read.paper_trading.spec,
        unused=tuple(
            f"{place} {path[0]}"
            for path, place in document.key_places.items()
            if len(path) == 1 and path[0] not in UsedKeys.model_fields
        ),
    )


def _read(document: JsoncDocument) -> StrategyFile:
    return StrategyFile.model_validate(without_nulls(document.value))


def _specs(entries: list[GeneratorEntry]) -> tuple[GeneratorSpec, ...]:
    return tuple(entry.spec for entry in entries)
