"""One alert as a person reads it on a phone: how bad, what, where, why, since when, and what to do.

Everything that comes from outside is escaped, and a message is shortened by leaving out words, never by
cutting what is made. Many alerts in one message belong to `digest`, the words to `catalogue`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itb_assets.observability.alerts.catalogue import (
    SIGNS,
    Language,
    heading,
    length,
    moment,
    word,
)
from itb_assets.observability.alerts.markup import (
    bold,
    code,
    cut,
    escape,
    italic,
    link,
    plain,
    utf16_length,
)
from itb_assets.observability.alerts.places import where

__all__ = ["TEXT_LIMIT", "fits", "headline", "labels_of", "level_of", "render", "text_of", "time_of"]

TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024
DOCS_PAGE = "docs/operations.md"
"""Where the actions are explained when no address of the pages is known."""

_ROOMS = ((300, 900, 300), (300, 400, 300), (300, 150, 150), (150, 60, 60), (150, 0, 0))
"""Characters for title, detail and labels, from what is wanted to what always fits."""
_WORD = re.compile(r"\w+")
_SMALL_WORDS = {"a", "an", "of", "the"}
_LINK_LENGTH, _LINE_LENGTH, _PLACE_LENGTH = 300, 300, 80


@dataclass(frozen=True)
class Room:
    """How many characters the parts of a message may have."""

    title: int
    detail: int
    labels: int


def render(
    kind: str,
    message: Mapping[str, Any],
    language: Language = "en",
    *,
    docs_url: str = "",
    possible_repeat: bool = False,
    with_chart: bool = False,
) -> str:
    """Return a message of the outbox in HTML of at most 4,096 characters, tags and escapes included.

    `kind` is opened, repeated, resolved, report, test or alive; `message` what `domain.alerts.Message` holds,
    of which any part may be missing. `docs_url` is the address of the page that explains what to do. A
    message that goes `with_chart` shows at most 1,024 characters.
    """
    mark = [italic(word("possible repeat", language))] if possible_repeat else []
    if kind in {"report", "alive", "test"}:
        return _fitted(
            lambda room: _notice(kind, message, language, docs_url, mark, room), with_chart=with_chart
        )
    return _fitted(
        lambda room: _alert(kind, message, language, docs_url, mark, room),
        with_chart=with_chart,
    )


def headline(message: Mapping[str, Any], language: Language) -> tuple[str, str]:
    """Return what an alert is called, and what its cause calls it where that says more.

    >>> headline({"rule": "run_failed", "title": "run of update lost"}, "en")
    ('Run failed', 'run of update lost')
    >>> headline({"rule": "data_stale", "title": "data are late"}, "en")
    ('Data are late', '')
    """
    title = " ".join(text_of(message, "title").split())
    rule = text_of(message, "rule")
    labels = labels_of(message)
    rule = "code_server" if rule == "automation_failed" and "server" in labels else rule
    name = heading(rule, language)
    if not name:
        return _capital(title or rule.replace("_", " ")), ""
    known = _words(f"{name} {heading(rule, 'en')} {where(labels)} {' '.join(map(str, labels.values()))}")
    return name, "" if _words(title) <= known else title


def text_of(message: Mapping[str, Any], name: str) -> str:
    """Return a part of a message as text, "" where it is missing."""
    found = message.get(name)
    return "" if found is None else str(found)


def labels_of(message: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of a message, none where it has none."""
    found = message.get("labels")
    return found if isinstance(found, Mapping) else {}


def time_of(message: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time of a message, None where it has none that is one."""
    try:
        time = datetime.fromisoformat(text_of(message, name))
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def count_of(message: Mapping[str, Any]) -> int:
    """Return how often it occurred, 1 where that is not said."""
    found = message.get("occurrences", 1)
    return found if isinstance(found, int) and found > 0 else 1


def level_of(message: Mapping[str, Any]) -> str:
    """Return the label of a message's level; an unknown one counts as an error."""
    level = text_of(message, "level").lower()
    return level if level in {"critical", "error", "warning", "info"} else "error"


def section_of(kind: str, message: Mapping[str, Any]) -> str:
    """Return under which head a message stands: its level, or that it is over, as good or as not known."""
    if kind != "resolved":
        return level_of(message)
    return "ended" if text_of(message, "why") == "gone" else "resolved"


def _capital(title: str) -> str:
    """Return a title with a capital, unless it begins with the name of something."""
    first = title.partition(" ")[0]
    return title[:1].upper() + title[1:] if first.replace("-", "").isalpha() and first.islower() else title


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold())) - _SMALL_WORDS


def fits(text_html: str, limit: int = TEXT_LIMIT) -> bool:
    """Return whether a message, tags and escapes included, has at most so many characters."""
    return utf16_length(text_html) <= limit


def _fitted(make: Callable[[Room], Sequence[str]], *, with_chart: bool) -> str:
    """Return the lines of the largest room that fits; the smallest one always does."""
    text = ""
    for room in _ROOMS:
        text = "\n".join(line for line in make(Room(*room)) if line)
        if fits(text) and (not with_chart or utf16_length(plain(text)) <= CAPTION_LIMIT):
            return text
    return text


def _alert(
    kind: str,
    message: Mapping[str, Any],
    language: Language,
    docs_url: str,
    mark: Sequence[str],
    room: Room,
) -> list[str]:
    head = section_of(kind, message)
    name, title = headline(message, language)
    detail = text_of(message, "detail").strip().partition("\n")[0]
    return [
        f"{SIGNS[head]} {bold(f'{word(head, language)}: {cut(name, room.title)}')}",
        *mark,
        escape(where(labels_of(message), most=room.labels, language=language)),
        escape(cut(title, room.title)) if kind != "resolved" else "",
        code(cut(detail, room.detail)),
        escape(_timing(kind, message, language)),
        _footer(message, language, docs_url, actions=kind != "resolved", room=room),
    ]


def _timing(kind: str, message: Mapping[str, Any], language: Language) -> str:
    at, first, count = time_of(message, "at"), time_of(message, "first_at"), count_of(message)
    parts = []
    if at is not None:
        first = min(first or at, at)
        words = {"resolved": "lasted", "repeated": "still"}.get(kind, "since")
        if kind in {"resolved", "repeated"} or at - first >= timedelta(minutes=1):
            span = (moment(first, language), length(at - first, language), moment(at, language))
            parts.append(word(words, language, *span))
        else:
            parts.append(moment(at, language))
    if count > 1:
        parts.append(word("times", language, count))
    why = text_of(message, "why")
    if why in ({"settled"} if kind == "resolved" else {"worse", "flapping"}):
        parts.append(word(why, language))
    return " · ".join(parts)


def _footer(
    message: Mapping[str, Any], language: Language, docs_url: str, *, actions: bool, room: Room
) -> str:
    incident = message.get("incident_id")
    parts = _to_do(message, language, docs_url) if actions else []
    if room.labels:
        parts += _run(message, language)
    if incident:
        parts.append(escape(word("incident", language, cut(str(incident), 20))))
    return " · ".join(parts)


def _to_do(message: Mapping[str, Any], language: Language, docs_url: str) -> list[str]:
    """Return the way to what to do: a link, or the page's name where nobody said where it is read."""
    action, to_do = text_of(message, "action").removeprefix("#"), word("what to do", language)
    if not action:
        return []
    place = f"{docs_url}#{action}"
    if docs_url and utf16_length(place) <= _LINK_LENGTH and (linked := link(place, to_do)) != escape(to_do):
        return [linked]
    return [f"{escape(to_do)}: {code(cut(f'{DOCS_PAGE}#{action}', _PLACE_LENGTH))}"]


def _notice(
    kind: str,
    message: Mapping[str, Any],
    language: Language,
    docs_url: str,
    mark: Sequence[str],
    room: Room,
) -> list[str]:
    """Return a report, a test or the alive message: a title and all its lines that fit."""
    title = " ".join(text_of(message, "title").split())
    title = cut(_capital(title) or word({"test": "arrives"}.get(kind, "delivered"), language), room.title)
    said = [line.rstrip() for line in text_of(message, "detail").splitlines() if line.strip()]
    return [
        f"{SIGNS[kind]} {bold(f'{word(kind, language)}: {title}' if kind == 'test' else title)}",
        *mark,
        *_as_many([escape(cut(line, _LINE_LENGTH)) for line in said], language, room.detail * 3),
        *_to_do(message, language, docs_url),
        *(_run(message, language) if room.labels else []),
    ]


def _run(message: Mapping[str, Any], language: Language) -> list[str]:
    url = text_of(message, "url")
    return [link(url, word("run", language))] if url and utf16_length(url) <= _LINK_LENGTH else []


def _as_many(lines: Sequence[str], language: Language, most: int) -> list[str]:
    """Return the lines that have room, and how many have none."""
    kept: list[str] = []
    for at, line in enumerate(lines):
        if sum(map(utf16_length, kept)) + len(kept) + utf16_length(line) > most:
            return [*kept, escape(word("more lines", language, len(lines) - at))]
        kept.append(line)
    return kept
