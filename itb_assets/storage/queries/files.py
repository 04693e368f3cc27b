"""The queries that lie in `docs/queries`: found, parsed, and listed for people.

Values of their parameters belong to `parameters`, running them to `run`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from itb_assets.errors import InputError, StorageError

REQUIRED, ANY = "required", "any"
"""Words in place of a default: a value must be given; without one nothing is left out."""

_INSTALLED = "sql"
_CHECKOUT = Path(__file__).parents[3] / "docs" / "queries"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HEAD = re.compile(r"-- (title|answers|reads|parameter|column): (\S.*)")
_BOUND = re.compile(r"(?<![:\w]):([a-z_]+)|:\"([a-z_]+)\"")
_KINDS = re.compile(
    r"symbol|freq|time|text|coarser freq|column of (?:features|labels)"
    r"|(?:integer|number) -?\d+(?:\.\d+)?\.\.-?\d+(?:\.\d+)?"
)
_COMMENT = re.compile(r"--[^\n]*")
_FIELDS = 5


@dataclass(frozen=True)
class Parameter:
    """What a query asks for: `kind` is such as `symbol` or `integer 1..100`, see the page of the queries."""

    name: str
    kind: str
    default: str
    example: str
    meaning: str

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default == REQUIRED


@dataclass(frozen=True)
class Query:
    """One file: what it answers, what it asks for, what it gives, and its one statement.

    In the statement `:name` stands for a value and `:"name"` for a column of that table's catalogue.
    """

    name: str
    title: str
    answers: str
    reads: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    columns: tuple[tuple[str, str], ...]
    statement: str

    @property
    def example(self) -> str:
        """Return a command line that runs it."""
        given = [f" --{one.name} {one.example}" for one in self.parameters if one.required]
        return f"itb query {self.name}" + "".join(given)


@cache
def queries() -> tuple[Query, ...]:
    """Return all queries by name; raise StorageError where their files are missing or break the grammar."""
    found = [entry for entry in _home().iterdir() if entry.name.endswith(".sql")]
    return tuple(
        parse_query(entry.name.removesuffix(".sql"), entry.read_text("utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    )


def find_query(name: str) -> Query:
    """Return one query, `-` and `_` being the same; raise InputError naming those that are near."""
    known = {query.name: query for query in queries()}
    wanted = name.replace("-", "_")
    if wanted not in known:
        near = nearest(wanted, known)
        raise InputError(f"there is no query {name!r}: {near}`itb query` lists all {len(known)}")
    return known[wanted]


def nearest(text: str, known: Iterable[str]) -> str:
    """Return `did you mean ...? ` where something is near, else nothing."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(text.lower(), by_lower, n=3, cutoff=0.5)
    near += [low for low in by_lower if text and text.lower() in low and low not in near][: 3 - len(near)]
    return f"did you mean {' or '.join(by_lower[low] for low in near)}? " if near else ""


def parse_query(name: str, text: str) -> Query:
    """Parse a file's text; raise StorageError that lists everything that is wrong with it."""
    head, _, statement = text.partition("\n\n")
    problems = [] if _NAME.fullmatch(name) else [f"its name does not match {_NAME.pattern}"]
    entries: dict[str, list[str]] = {}
    for number, line in enumerate(head.splitlines(), start=1):
        if (match := _HEAD.fullmatch(line)) is None:
            problems.append(f"line {number} is not `-- title|answers|reads|parameter|column: ...`: {line!r}")
        else:
            entries.setdefault(match[1], []).append(match[2])
    problems += [
        f"it has {len(entries.get(key, []))} lines of `-- {key}:`, expected one"
        for key in ("title", "answers", "reads")
        if len(entries.get(key, [])) != 1
    ]
    rows = [tuple(part.strip() for part in entry.split("|")) for entry in entries.get("parameter", [])]
    pairs = [tuple(part.strip() for part in entry.split("|")) for entry in entries.get("column", [])]
    problems += _problems(rows, pairs, statement)
    if problems:
        raise StorageError(f"the query file {name}.sql is not usable: " + "; ".join(problems))
    return Query(
        name=name,
        title=entries["title"][0],
        answers=entries["answers"][0],
        reads=tuple(part.strip() for part in entries["reads"][0].split(",")),
        parameters=tuple(Parameter(*row) for row in rows),
        columns=tuple((pair[0], pair[1]) for pair in pairs),
        statement=statement.strip().removesuffix(";"),
    )


def _problems(rows: list[tuple[str, ...]], pairs: list[tuple[str, ...]], statement: str) -> Iterator[str]:
    for row in rows:
        if len(row) != _FIELDS or not all(row):
            yield f"parameter {row}: expected name | type | default | example | meaning"
        elif not _KINDS.fullmatch(row[1]):
            yield f"parameter {row[0]} has the type {row[1]!r}, expected one that matches {_KINDS.pattern}"
    for pair in pairs:
        if len(pair) != len(("name", "meaning")) or not all(pair):
            yield f"column {pair}: expected name | meaning"
    if not pairs:
        yield "it has no line of `-- column:`"
    named = [row[0] for row in rows if row]
    used = {match[1] or match[2] for match in _BOUND.finditer(_COMMENT.sub("", statement))}
    if used != set(named) or len(set(named)) != len(named):
        yield f"its statement uses {sorted(used)}, its header has {sorted(named)}"
    body = _COMMENT.sub("", statement).strip()
    if not re.match(r"(SELECT|WITH)\s", body) or body.count(";") != 1 or not body.endswith(";"):
        yield "its statement is not one SELECT that ends in a semicolon"


def markdown_table() -> str:
    """Return the table of all queries, for their page."""
    lines = ["| query | what it answers | parameters | reads |", "|---|---|---|---|"]
    for query in queries():
        names = ", ".join(f"**{one.name}**" if one.required else one.name for one in query.parameters)
        reads = ", ".join(f"`{table}`" for table in query.reads)
        lines.append(f"| [`{query.name}`]({query.name}.sql) | {query.answers} | {names} | {reads} |")
    return "\n".join(lines)


def _home() -> Traversable:
    """Return where the files lie: in an installed package within it, in a checkout on their page."""
    installed = files("itb_assets.storage.queries").joinpath(_INSTALLED)
    if installed.is_dir():
        return installed
    if _CHECKOUT.is_dir():
        return _CHECKOUT
    raise StorageError(
        f"the queries are not there: expected {installed} in an installed package, or {_CHECKOUT} in a "
        "checkout; install the package again"
    )
