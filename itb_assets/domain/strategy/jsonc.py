"""JSON with comments, read by a real parser into plain values, each with its place in the text.

What the values mean does not belong here. Comments are legal wherever white space is; a `//` inside a
string is text; a comma too many, single quotes, NaN and a key given twice are problems, not guesses.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tree_sitter_json
from tree_sitter import Language, Node, Parser

from itb_assets.errors import ConfigError

ValuePath = tuple[str | int, ...]
"""Keys and list positions that lead from the top of the file to a value."""

_LANGUAGE = Language(tree_sitter_json.language())
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|\s+|\d[eE]\+(?=\d)|.', re.DOTALL)
_DEEPEST = 64
_WORDS = {
    "NaN": "NaN is not a JSON value: write null or leave the key out",
    "Infinity": "Infinity is not a JSON value: write null or leave the key out",
    "True": "True is not a JSON value: write true",
    "False": "False is not a JSON value: write false",
    "None": "None is not a JSON value: write null",
    "undefined": "undefined is not a JSON value: write null",
}


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands in a text; lines and columns count from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        """Write the place as editors do: `line:column`."""
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong at a place."""

    place: Place
    text: str

    def __str__(self) -> str:
        """Write `line:column: what is wrong`."""
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class JsoncDocument:
    """Plain values of a text and the place of each; keys of objects have a place of their own."""

    value: Any
    places: Mapping[ValuePath, Place]
    key_places: Mapping[ValuePath, Place]

    def place(self, path: ValuePath, *, key: bool = False) -> Place:
        """Return where the value at `path` begins, or its key; else the nearest value that holds it."""
        if key and path in self.key_places:
            return self.key_places[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]


def parse_jsonc(text: str, *, origin: str = "") -> JsoncDocument:
    """Read a text; raise ConfigError that lists every problem with its `line:column`."""
    document, problems = scan_jsonc(text)
    if document is None or problems:
        raise ConfigError(map(str, problems), origin=origin)
    return document


def scan_jsonc(text: str) -> tuple[JsoncDocument | None, tuple[Problem, ...]]:
    """Read a text as far as it can be read: its document, if there is one, and all problems in order.

    Commas too many and keys given twice (the first counts) still leave a document; other mistakes do not.
    """
    text, commas = _prepared(text.removeprefix("\ufeff"))
    scan = _Scan(text, commas)
    document = scan.document()
    return document, tuple(sorted(set(scan.problems)))


@dataclass
class _Scan:
    text: str
    problems: list[Problem]
    places: dict[ValuePath, Place] = field(default_factory=dict)
    key_places: dict[ValuePath, Place] = field(default_factory=dict)
    readable: bool = True

    def __post_init__(self) -> None:
        self.bytes = self.text.encode("utf-8", errors="replace")
        self.lines = self.bytes.split(b"\n")
        self.root = Parser(_LANGUAGE).parse(self.bytes).root_node

    def document(self) -> JsoncDocument | None:
        self._check_syntax()
        values = [node for node in self.root.named_children if node.type not in ("comment", "ERROR")]
        if self.readable and len(values) != 1:
            self._problem(
                values[1] if values else self.root, f"expected one value, an object, found {len(values)}"
            )
            self.readable = False
        if not self.readable:
            return None
        value = self._value(values[0], ())
        return JsoncDocument(value, self.places, self.key_places) if self.readable else None

    def _check_syntax(self) -> None:
        if not self.root.has_error:
            return
        self.readable = False
        for node in _nodes(self.root):
            if node.is_error and not node.child_count:
                self._unexpected(node)
        self._first_error_of_json()

    def _unexpected(self, node: Node) -> None:
        found = _text(node)
        word = next((word for word in _WORDS if found.lstrip("+-").startswith(word)), None)
        if word:
            self._problem(node, _WORDS[word])
        elif found.startswith("'"):
            self._problem(node, "text stands between double quotes, found a single quote")
        elif found.startswith("/*"):
            self._problem(node, "this comment is never closed: expected */")

    def _first_error_of_json(self) -> None:
        """Let the strict JSON reader word what the tree only knows as an error."""
        try:
            json.loads(self._without_comments())
        except json.JSONDecodeError as error:
            message = f"{error.msg[:1].lower()}{error.msg[1:]}"
            place = Place(error.lineno, error.colno)
            if place not in {problem.place for problem in self.problems}:
                self.problems.append(Problem(place, f"not valid JSON: {message}"))
        except ValueError:
            pass
        if not self.problems:
            self._problem(self.root, "not valid JSON")  # NaN where the tree has no name for it

    def _without_comments(self) -> str:
        parts, end = [], 0
        for node in _nodes(self.root):
            if node.type == "comment":
                parts += [
                    self.bytes[end : node.start_byte].decode(errors="replace"),
                    re.sub(r"[^\n]", " ", _text(node)),
                ]
                end = node.end_byte
        return "".join([*parts, self.bytes[end:].decode(errors="replace")])

    def _value(self, node: Node, path: ValuePath) -> Any:  # noqa: ANN401 - JSON holds any of six kinds
        self.places[path] = self._place(node)
        if len(path) > _DEEPEST:
            self._unreadable(node, f"nested deeper than {_DEEPEST} levels")
            return None
        if node.type == "object":
            return self._object(node, path)
        if node.type == "array":
            items = [item for item in node.named_children if item.type not in ("comment", "ERROR")]
            return [self._value(item, (*path, index)) for index, item in enumerate(items)]
        return self._scalar(node)

    def _object(self, node: Node, path: ValuePath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for pair in node.named_children:
            key_node, value_node = pair.child_by_field_name("key"), pair.child_by_field_name("value")
            if pair.type != "pair" or key_node is None or value_node is None:
                continue
            key = str(self._scalar(key_node))
            if key in values:
                first = self.key_places[(*path, key)]
                self._problem(key_node, f"key {key!r} is given twice, first at {first}: keep one")
                continue
            self.key_places[(*path, key)] = self._place(key_node)
            values[key] = self._value(value_node, (*path, key))
        return values

    def _scalar(self, node: Node) -> str | float | bool | None:
        text = _text(node)
        if node.type == "number" and not _NUMBER.fullmatch(text):
            self._unreadable(node, "not a JSON number: expected digits on both sides of the point")
            return None
        try:
            value: str | float | bool | None = json.loads(text)
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too long"
            self._unreadable(node, f"this {node.type} is not valid JSON: {reason}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._unreadable(node, "this number is too large")
        return value

    def _unreadable(self, node: Node, text: str) -> None:
        self.readable = False
        self._problem(node, text)

    def _problem(self, node: Node, text: str) -> None:
        self.problems.append(Problem(self._place(node), text))

    def _place(self, node: Node) -> Place:
        row, column = node.start_point
        return Place(row + 1, len(self.lines[row][:column].decode(errors="replace")) + 1)


def _prepared(text: str) -> tuple[str, list[Problem]]:
    """Blank each comma that a closing bracket or another comma follows, and name its place.

    Also write 1e+5 as 1e05, which is as wide and the only one of the two that the parser's grammar knows.
    """
    problems: list[Problem] = []
    kept: list[str] = []
    comma = line = column = 0  # the comma's index in `kept`, from 1, and its place
    for match in _TOKEN.finditer(text):
        found = match[0]
        if comma and found in ("]", "}", ","):
            problems.append(Problem(Place(line, column), "a comma too many: remove it"))
            kept[comma - 1] = " "
        kept.append(found[:-1] + "0" if found.endswith("+") and len(found) > 1 else found)
        if found == ",":
            comma = len(kept)
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
        elif not found.isspace() and not found.startswith(("//", "/*")):
            comma = 0
    return "".join(kept), problems


def _nodes(root: Node) -> Iterator[Node]:
    """Walk the tree in the order of the text, without recursion."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
