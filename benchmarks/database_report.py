"""What tables cost: what was measured on each kind of frame, what went wrong, and targets met or missed.

Every ratio is computed here from measured costs; none is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from measure import Cost

LEAST_NEW_TIMES = 20.0
LEAST_COPY_SHARE = 0.7
LEAST_UPSERT_TIMES = 8.0
LEAST_READ_TIMES = 5.0
WRITES = ("replace", "write")
"""Our two ways of writing: a copy of a file, and the database alone."""


@dataclass(frozen=True)
class Line:
    """One measurement: which function of which module, and beside what it is judged."""

    key: str
    title: str
    module: str
    function: str
    path: str = ""
    beside: str = "to_sql"


def _ours() -> tuple[Line, ...]:
    kinds = (
        ("new", "all rows new"),
        ("half_new", "half of the rows new"),
        ("all_changed", "all rows changed"),
        ("few_changed", "1 % of the rows changed"),
        ("same", "the same rows again"),
        ("same_unrecorded", "the same rows again, record lost"),
    )
    return tuple(
        Line(f"{kind} {path}", f"ours, {title}: `{path}`", "database_ours", kind, path)
        for kind, title in kinds
        for path in WRITES
    )


LINES = (
    Line("to_sql", "`to_sql`, all rows new", "database_others", "to_sql"),
    Line("copy", "bare binary COPY, all rows new", "database_others", "copy"),
    *_ours(),
    Line("read_sql", "`read_sql`", "database_others", "read_sql", beside="read_sql"),
    Line("read", "ours, read: `TableFrame.read`", "database_ours", "read", "replace", beside="read_sql"),
)


@dataclass
class Findings:
    """All that was measured on one kind of frame; `measured_on` are the rows of ways that had fewer."""

    name: str
    rows: int
    columns: int
    costs: dict[str, Cost] = field(default_factory=dict)
    measured_on: dict[str, int] = field(default_factory=dict)

    def rate(self, key: str) -> float | None:
        """Return rows per CPU-second of client and server; None where it was not measured."""
        cost = self.costs.get(key)
        return self.rows / cost.cpu_s if cost and cost.cpu_s else None

    def times(self, key: str, beside: str) -> float | None:
        """Return how many times the rate of another."""
        above, below = self.rate(key), self.rate(beside)
        return above / below if above and below else None


def table(found: Findings) -> str:
    """Return what was measured in Markdown."""
    what = f"{found.name}: {found.rows:,} rows x {found.columns}"
    lines = [
        f"| {what} | CPU-s | rows per CPU-s | times pandas | of bare COPY | rows written | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for line in LINES:
        if cost := found.costs.get(line.key):
            mark = "~" if line.key in found.measured_on else ""
            share = None if line.beside == "read_sql" else found.times(line.key, "copy")
            cells = [
                line.title,
                mark + _number(cost.cpu_s, 3),
                mark + _number(found.rate(line.key), 0),
                _number(found.times(line.key, line.beside), 1),
                _number(share, 2),
                _number(cost.facts.get("written"), 0),
                _number(cost.peak_mb, 0),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    for key, rows in found.measured_on.items():
        lines += ["", f"~ {key}: measured on {rows:,} rows and extrapolated in proportion."]
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def disagreements(found: Findings) -> list[str]:
    """Name everything that left other rows in a table, or read others, than were given."""
    expected = found.costs["copy"].facts if "copy" in found.costs else {}
    wrong = []
    for key, cost in found.costs.items():
        if cost.facts.get("differs"):
            wrong.append(f"{found.name}, {key}: the frame read is not the one that was written")
        for name in ("rows", "content"):
            mine, theirs = cost.facts.get(name), expected.get(name)
            if mine is not None and theirs is not None and mine != theirs:
                wrong.append(f"{found.name}, {key}: {name} {mine:.0f}, bare COPY {theirs:.0f}")
    return wrong


def verdicts(results: Sequence[Findings]) -> list[tuple[bool, str]]:
    """Judge every target that was measured."""
    return [verdict for found in results for verdict in _verdicts(found)]


def _verdicts(found: Findings) -> list[tuple[bool, str]]:
    judged = []
    upserts = [f"{kind} {path}" for kind in ("half_new", "all_changed", "few_changed") for path in WRITES]
    for keys, beside, least, what in (
        ([f"new {path}" for path in WRITES], "to_sql", LEAST_NEW_TIMES, "all rows new, times to_sql"),
        ([f"new {path}" for path in WRITES], "copy", LEAST_COPY_SHARE, "all rows new, of a bare COPY"),
        (upserts, "to_sql", LEAST_UPSERT_TIMES, "rows that may exist, times to_sql"),
        (["read"], "read_sql", LEAST_READ_TIMES, "read, times read_sql"),
    ):
        times = {key: value for key in keys if (value := found.times(key, beside)) is not None}
        if times:
            shown = ", ".join(f"{key} {value:.2f}" for key, value in times.items())
            met = min(times.values()) >= least
            judged.append(_verdict(f"{found.name}: {what}, at least {least:g}: {shown}", met=met))
    return judged + [line for path in WRITES for line in _again(found, path)]


def _again(found: Findings, path: str) -> list[tuple[bool, str]]:
    """Judge that the same rows again change nothing and cost less than writing them."""
    new, judged = found.costs.get(f"new {path}"), []
    for kind in ("same", "same_unrecorded"):
        again = found.costs.get(f"{kind} {path}")
        if again and new:
            written = again.facts["written"]
            text = (
                f"{found.name}: {kind} {path} writes nothing and costs less than writing: "
                f"{written:.0f} rows written, {again.cpu_s:.3f} of {new.cpu_s:.3f} CPU-s"
            )
            judged.append(_verdict(text, met=not written and again.cpu_s < new.cpu_s))
    return judged


def _verdict(line: str, *, met: bool) -> tuple[bool, str]:
    return met, f"{'met   ' if met else 'MISSED'}  {line}"
