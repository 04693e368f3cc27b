"""Whether the names of a strategy fit together: every feature, label and column asked for is made, once.

What a generator makes is asked of its own room; the keys of the file are checked elsewhere (`key_problems`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from itb_assets.domain.generator_config import input_name
from itb_assets.domain.klines import KLINE_COLUMNS
from itb_assets.domain.specs import AlgorithmSpec, GeneratorSpec
from itb_assets.domain.strategy.grammar import AlgorithmEntry, GeneratorEntry
from itb_assets.domain.strategy.jsonc import JsoncDocument, Problem, ValuePath
from itb_assets.domain.strategy.key_problems import suggestion
from itb_assets.errors import ConfigError

OutputNames = Callable[[GeneratorSpec], tuple[str, ...]]

_RESERVED_SIGNALS = ("timestamp", "close", "sample")


def name_problems(document: JsoncDocument) -> Iterator[Problem]:
    """Yield everything that does not fit together, as far as the entries can be understood."""
    from itb_assets.domain import features, labels, signals  # noqa: PLC0415 - they build on this package's rooms

    made = _Made(document, "feature", features.output_names, reserved=KLINE_COLUMNS)
    yield from made.read("feature_sets")
    yield from _asked(document, "train_features", made)
    made = _Made(document, "label", labels.output_names, reserved=(*KLINE_COLUMNS, *made.places))
    yield from made.read("label_sets")
    yield from _asked(document, "labels", made)
    algorithms = _Algorithms(document)
    yield from algorithms.read()
    scores = _Made(document, "signal", signals.output_names, reserved=_RESERVED_SIGNALS)
    for name, path in _strings(document, "labels"):
        scores.places |= {f"{name}_{algorithm}": path for algorithm in algorithms.names}
    scores.unsure = not (algorithms.understood and _all_strings(document, "labels"))
    yield from _signals(document, scores)


@dataclass
class _Made:
    """Names that the entries of one list make, and the entries whose names cannot be known."""

    document: JsoncDocument
    noun: str
    output_names: OutputNames
    reserved: Sequence[str]
    places: dict[str, ValuePath] = field(default_factory=dict)
    broken: list[Mapping[str, Any]] = field(default_factory=list)
    unsure: bool = False

    def read(self, key: str) -> Iterator[Problem]:
        for path, entry in _entries(self.document, key):
            yield from self.add(path, entry)

    def add(self, path: ValuePath, entry: object) -> Iterator[Problem]:
        """Take the names of one entry; yield why it is wrong or what it makes a second time."""
        spec = _spec(entry)
        if spec is None:
            self.broken.append(entry if isinstance(entry, dict) else {})
            return
        try:
            names = self.output_names(spec)
        except ConfigError as error:
            self.broken.append(spec.config)
            yield from (Problem(self.document.place(path), text) for text in error.problems)
            return
        for name in names:
            if name in self.places:
                first = self.document.place(self.places[name])
                yield Problem(
                    self.document.place(path), f"{self.noun} {name!r} is made twice, first at {first}"
                )
            elif name in self.reserved:
                yield Problem(
                    self.document.place(path),
                    f"{self.noun} {name!r} has the name of another column: rename it",
                )
            self.places.setdefault(name, path)

    def may_make(self, name: str) -> bool:
        """Tell whether an entry that is itself wrong may be the one meant to make `name`."""
        if self.unsure:
            return True
        for config in self.broken:
            words = [word for key in ("functions", "names") for word in _words(config.get(key))]
            if not words or any(word in name for word in words):
                return True
        return False


@dataclass
class _Algorithms:
    document: JsoncDocument
    names: dict[str, ValuePath] = field(default_factory=dict)
    understood: bool = True

    def read(self) -> Iterator[Problem]:
        from itb_assets.domain.training.hyperparameters import algorithm_problems  # noqa: PLC0415 - as above

        entries = list(_entries(self.document, "algorithms"))
        self.understood = bool(entries)
        for path, entry in entries:
            try:
                read = AlgorithmEntry.model_validate(entry)
            except ValidationError:
                name = entry.get("name") if isinstance(entry, dict) else None
                self.understood &= isinstance(name, str)
                self.names |= {name: path} if isinstance(name, str) else {}
                continue
            place = self.document.place(path)
            if read.name in self.names:
                first = self.document.place(self.names[read.name])
                yield Problem(place, f"algorithm {read.name!r} is named twice, first at {first}")
            self.names.setdefault(read.name, path)
            spec = AlgorithmSpec(read.name, read.algo, read.params or {}, read.train or {})
            yield from (Problem(place, text) for text in algorithm_problems(spec))


def _asked(document: JsoncDocument, key: str, made: _Made) -> Iterator[Problem]:
    """Yield names of a list that stand there twice or that nothing makes."""
    seen: dict[str, ValuePath] = {}
    for name, path in _strings(document, key):
        place = document.place(path)
        if name in seen:
            yield Problem(
                place, f"{made.noun} {name!r} stands in {key} twice, first at {document.place(seen[name])}"
            )
        elif name not in made.places and not made.may_make(name):
            hint = suggestion(name, made.places)
            yield Problem(place, f"no {made.noun}_sets entry makes {made.noun} {name!r}{hint}")
        seen.setdefault(name, path)


def _signals(document: JsoncDocument, made: _Made) -> Iterator[Problem]:
    """Yield what is wrong with signal sets, each of which sees the scores and the signals before it."""
    for path, entry in _entries(document, "signal_sets"):
        spec = _spec(entry)
        columns = spec.config.get("columns") if spec else None
        for tail, column in _columns(columns):
            assert spec is not None  # noqa: S101 - columns come from it
            name = input_name(spec, column)
            if name not in made.places and not made.may_make(name):
                hint = suggestion(name, made.places)
                yield Problem(
                    document.place((*path, "config", "columns", *tail)),
                    f"no score and no earlier signal is named {name!r}{hint}",
                )
        yield from made.add(path, entry)


def _columns(value: object, path: ValuePath = ()) -> Iterator[tuple[ValuePath, str]]:
    if isinstance(value, str):
        yield path, value
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _columns(item, (*path, index))


def _words(value: object) -> list[str]:
    return [word for _, word in _columns(value)]


def _entries(document: JsoncDocument, key: str) -> Iterator[tuple[ValuePath, object]]:
    value = document.value.get(key)
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        yield (key, index), entry


def _strings(document: JsoncDocument, key: str) -> Iterator[tuple[str, ValuePath]]:
    return ((value, path) for path, value in _entries(document, key) if isinstance(value, str))


def _all_strings(document: JsoncDocument, key: str) -> bool:
    return len(list(_strings(document, key))) == len(list(_entries(document, key))) > 0


def _spec(entry: object) -> GeneratorSpec | None:
    """Understand an entry for its names alone: unknown keys beside the known ones do no harm."""
    if not isinstance(entry, dict):
        return None
    known = {key: value for key, value in entry.items() if key in GeneratorEntry.model_fields}
    try:
        return GeneratorEntry.model_validate(known).spec
    except ValidationError:
        return None
