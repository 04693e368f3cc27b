"""What the Bot API makes of `parse_mode=HTML`: the text that is shown, or the words of its refusal.

Written after the published rules of the Bot API; nothing of this project's own rendering is used.
"""

from __future__ import annotations

import re

TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "span", "tg-spoiler"}
TAGS |= {"blockquote", "tg-emoji"}
ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}

_ENTITY = re.compile(r"&(#x[0-9a-fA-F]+|#[0-9]+|[a-zA-Z]+);?")
_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>[a-zA-Z-]*)"
    r"(?P<attributes>(?:\s+[a-zA-Z-]+(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))?)*)\s*>"
)


class CannotParse(Exception):
    """The text is no HTML that the Bot API takes; the message is its description."""


def utf16_length(text: str) -> int:
    """Return the length as Telegram counts it: a sign outside the basic plane counts twice."""
    return len(text.encode("utf-16-le")) // 2


def shown_text(html: str) -> str:
    """Return the text without tags and entities, trimmed; raise CannotParse as the real one refuses."""
    shown: list[str] = []
    opened: list[str] = []
    at = 0
    while at < len(html):
        letter = html[at]
        if letter == "&":
            text, at = _entity(html, at)
            shown.append(text)
        elif letter == "<":
            at = _tag(html, at, opened)
        else:
            shown.append(letter)
            at += 1
    if opened:
        raise CannotParse(f'Can\'t find end tag corresponding to start tag "{opened[-1]}"')
    return "".join(shown).strip()


def _entity(html: str, at: int) -> tuple[str, int]:
    found = _ENTITY.match(html, at)
    if found is None:
        return "&", at + 1
    name = found.group(1)
    if name.startswith("#"):
        code = int(f"0{name[1:]}", 0) if name[1] in "xX" else int(name[1:])
        return (chr(code), found.end()) if 0 < code < 0x110000 else ("&", at + 1)
    return (ENTITIES[name], found.end()) if name in ENTITIES else ("&", at + 1)


def _tag(html: str, at: int, opened: list[str]) -> int:
    offset = len(html[:at].encode())
    found = _TAG.match(html, at)
    if found is None:
        raise CannotParse(f'Unsupported start tag "{html[at + 1 : at + 12]}" at byte offset {offset}')
    name = found.group("name").lower()
    if found.group("end"):
        if not opened:
            raise CannotParse(f"Unexpected end tag at byte offset {offset}")
        expected = opened.pop()
        if name not in {"", expected}:
            raise CannotParse(
                f'Unmatched end tag at byte offset {offset}, expected "</{expected}>", found "</{name}>"'
            )
    elif name not in TAGS:
        raise CannotParse(f'Unsupported start tag "{name}" at byte offset {offset}')
    elif name == "span" and "tg-spoiler" not in found.group("attributes"):
        raise CannotParse(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
    else:
        opened.append(name)
    return found.end()
