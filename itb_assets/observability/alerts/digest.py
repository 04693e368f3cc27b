"""Many alerts in one message: the worst first, the rest counted by rule and market, none left uncounted.

When alerts travel together belongs to the dispatcher; how a single one reads to `messages`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from itb_assets.observability.alerts.catalogue import SIGNS, Language, moment, word
from itb_assets.observability.alerts.markup import bold, code, cut, escape, italic, utf16_length
from itb_assets.observability.alerts.messages import (
    TEXT_LIMIT,
    headline,
    labels_of,
    render,
    section_of,
    text_of,
    time_of,
)
from itb_assets.observability.alerts.places import where

LIST_COMMAND = "itb alerts list"

_ORDER = ("critical", "error", "warning", "info", "ended", "resolved", "report")
_NOTICES = {"report", "alive", "test"}
_NAME_LENGTH, _PLACE_LENGTH, _DETAIL_LENGTH = 120, 90, 110
_KEPT_FREE = 500
"""Characters kept for the line that counts what is not listed."""


class Row(Protocol):
    """What a digest reads of a row of the outbox."""

    @property
    def kind(self) -> str:
        """What it is: opened, repeated, resolved, report, test or alive."""
        ...

    @property
    def message(self) -> Mapping[str, Any]:
        """What it says."""
        ...

    @property
    def chart(self) -> bytes | None:
        """A picture that goes with it."""
        ...

    @property
    def leased_before(self) -> bool:
        """Whether it may have been sent before."""
        ...


@dataclass
class _Group:
    """Rows of one section that are told in one line."""

    section: str
    name: str
    place: str
    rows: list[Row] = field(default_factory=list)


def digest(rows: Sequence[Row], language: Language = "en", *, docs_url: str = "") -> str:
    """Return one message for all of these rows, in HTML of at most 4,096 characters.

    A single row is rendered as it would be alone. Rows of one level, rule and place share a line that counts
    them; what has no room is counted by level on the last line, so that every row is part of a count.
    Raise ValueError for no rows.
    """
    if not rows:
        raise ValueError("a digest of nothing: expected one row or more")
    if len(rows) == 1:
        only = rows[0]
        return render(
            only.kind,
            only.message,
            language,
            docs_url=docs_url,
            possible_repeat=only.leased_before,
            with_chart=only.chart is not None,
        )
    lines = [_head(rows, language)]
    room = TEXT_LIMIT - utf16_length(lines[0]) - _KEPT_FREE
    groups = _grouped(rows, language)
    section, left = "", 0
    for at, group in enumerate(groups):
        new = [] if group.section == section else ["", _section(group.section, language)]
        more = [*new, _line(group, language)]
        room -= sum(map(utf16_length, more)) + len(more)
        if room < 0:
            left = len(groups) - at
            break
        lines += more
        section = group.section
    if left:
        lines += ["", _rest(groups[-left:], language)]
    return "\n".join(lines)


def _head(rows: Sequence[Row], language: Language) -> str:
    counts = Counter(_section_of(row) for row in rows)
    worst = next(name for name in _ORDER if counts[name])
    said = ", ".join(f"{counts[name]} {_word(name, language)}" for name in _ORDER if counts[name])
    times = sorted(time for row in rows if (time := time_of(row.message, "at")) is not None)
    between = ""
    if times:
        ends = list(dict.fromkeys(moment(time, language) for time in (times[0], times[-1])))
        between = ends[0] if len(ends) == 1 else word("between", language, *ends)
    title = f"{SIGNS[worst]} {bold(word('digest', language, len(rows)))}"
    return "\n".join(line for line in (f"{title}: {escape(said)}", escape(between)) if line)


def _grouped(rows: Iterable[Row], language: Language) -> list[_Group]:
    """Return the rows by section, rule and place, in order of sections and else as they came."""
    groups: dict[tuple[str, str, str], _Group] = {}
    for row in rows:
        section = _section_of(row)
        place = where(labels_of(row.message), most=_PLACE_LENGTH, language=language)
        name = cut(headline(row.message, language)[0], _NAME_LENGTH)
        identity = text_of(row.message, "rule") or name
        groups.setdefault((section, identity, place), _Group(section, name, place)).rows.append(row)
    return sorted(groups.values(), key=lambda group: _ORDER.index(group.section))


def _line(group: _Group, language: Language) -> str:
    newest = group.rows[-1].message
    count = f" ×{len(group.rows)}" if len(group.rows) > 1 else ""  # noqa: RUF001 - the sign of times
    told = escape(f"• {group.name}: {group.place}{count}" if group.place else f"• {group.name}{count}")
    if any(row.leased_before for row in group.rows):
        told += f" {italic(word('possible repeat', language))}"
    detail = "" if group.section == "resolved" else _detail(newest, language)
    return f"{told}\n{code(detail)}" if detail else told


def _detail(message: Mapping[str, Any], language: Language) -> str:
    detail = text_of(message, "detail").strip().partition("\n")[0]
    return cut(detail or headline(message, language)[1], _DETAIL_LENGTH)


def _rest(groups: Sequence[_Group], language: Language) -> str:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.section] += len(group.rows)
    said = ", ".join(f"{counts[name]} {_word(name, language)}" for name in _ORDER if counts[name])
    more = escape(word("more", language, sum(counts.values()), said))
    return f"{more}\n{escape(word('listed by', language, ''))}{code(LIST_COMMAND)}"


def _section(name: str, language: Language) -> str:
    return f"{SIGNS[name]} {bold(_word(name, language))}"


def _section_of(row: Row) -> str:
    return "report" if row.kind in _NOTICES else section_of(row.kind, row.message)


def _word(name: str, language: Language) -> str:
    return word("reports" if name == "report" else name, language)
