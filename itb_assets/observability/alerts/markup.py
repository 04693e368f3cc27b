"""The little HTML that messages are written in: made, measured, shown as plain text and as Slack's mrkdwn.

Tags: b, i, code, a. What a message says belongs to `messages`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import urlsplit

_TAG = re.compile(r"<[^<>]*>")
_PIECE = re.compile(r"<(/?)(b|i|code|a)(?: href=\"([^\"]*)\")?>")
_LINK = re.compile(r"<a href=\"([^\"]*)\">([^<]*)</a>")
_KEPT_CONTROLS = {"\n", "\t"}
_TURNING = {*"\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
_JOINER = "\N{ZERO WIDTH JOINER}"
_MARKS = {"b": "*", "i": "_", "code": "`"}
_LOOKALIKES = {
    "*": "\N{ASTERISK OPERATOR}",
    "_": "\N{MODIFIER LETTER LOW MACRON}",
    "~": "\N{TILDE OPERATOR}",
    "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
}
_AT_EDGE = re.compile(r"(?<![^\W_])[*_~`]|[*_~`](?![^\W_])")


def escape(text: str) -> str:
    """Return text that stands for itself between tags; what cannot be sent or turns a line round is left out.

    >>> escape("a < b & c")
    'a &lt; b &amp; c'
    """
    return html.escape(clean(text), quote=False)


def clean(text: str) -> str:
    """Return the text without control characters, halves of characters and marks of direction."""
    return "".join(
        letter
        for letter in text
        if letter in _KEPT_CONTROLS
        or (unicodedata.category(letter) not in {"Cc", "Cs"} and letter not in _TURNING)
    )


def bold(text: str) -> str:
    """Return text in bold; none where there is none, for an empty tag is refused by some."""
    return f"<b>{escape(text)}</b>" if text else ""


def italic(text: str) -> str:
    """Return text in italics."""
    return f"<i>{escape(text)}</i>" if text else ""


def code(text: str) -> str:
    """Return text as it is typed: no part of it becomes a link, a command or a mention."""
    return f"<code>{escape(text)}</code>" if text else ""


def link(url: str, text: str) -> str:
    """Return a link, or the text alone where the address is none of the web's."""
    address = clean(url).strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return escape(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return escape(text)
    return f'<a href="{html.escape(address, quote=True)}">{escape(text)}</a>'


def cut(text: str, length: int) -> str:
    """Return at most `length` characters as Telegram counts them, with an ellipsis where some are missing.

    >>> cut("abcdef", 4), cut("abc", 3)
    ('abc…', 'abc')
    """
    if utf16_length(text) <= length:
        return text
    kept = text[: max(0, length - 1)]
    while kept and utf16_length(kept) > length - 1:
        kept = kept[:-1]
    return f"{kept.rstrip().rstrip(_JOINER)}…" if length > 0 else ""


def utf16_length(text: str) -> int:
    """Return the length as Telegram counts it: a sign outside the basic plane counts twice."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def plain(text_html: str) -> str:
    """Return what a person sees of a message.

    >>> plain("<b>a &lt; b</b>")
    'a < b'
    """
    return html.unescape(_TAG.sub("", text_html)).strip()


def with_addresses(text_html: str) -> str:
    """Return what a person sees of a message, each link followed by its address: for what shows no links.

    >>> with_addresses('<b>a &lt; b</b> <a href="https://host/?a=1&amp;b=2">run</a>')
    'a < b run: https://host/?a=1&b=2'
    """
    return plain(_LINK.sub(lambda found: f"{found[2]}: {found[1]}", text_html))


def to_mrkdwn(text_html: str) -> str:
    """Return a message in the form that Slack reads.

    Slack knows no way to write a literal `*`, `_`, `~` or backtick: where one would begin or end a format, a
    sign that looks like it stands instead.

    >>> to_mrkdwn('<b>a &lt; b</b> <a href="https://host/?a=1&amp;b=2">run</a>')
    '*a &lt; b* <https://host/?a=1&amp;b=2|run>'
    """
    made: list[str] = []
    verbatim = False
    at = 0
    for found in _PIECE.finditer(text_html):
        made.append(_words(text_html[at : found.start()], verbatim=verbatim))
        at = found.end()
        end, tag, address = found.groups()
        if tag == "a":
            made.append(">" if end else f"<{_address(address or '')}|")
        else:
            made.append(_MARKS[tag])
            verbatim = tag == "code" and not end
    made.append(_words(text_html[at:], verbatim=verbatim))
    return "".join(made)


def _words(piece: str, *, verbatim: bool) -> str:
    text = html.unescape(piece)
    if verbatim:
        text = text.replace("`", _LOOKALIKES["`"]).replace("\n", " ")
    else:
        text = _AT_EDGE.sub(lambda found: _LOOKALIKES[found.group()], text)
    return html.escape(text, quote=False)


def _address(address: str) -> str:
    return html.escape(html.unescape(address).replace("|", "%7C"), quote=False).replace("&gt;", "%3E")
