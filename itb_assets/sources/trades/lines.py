"""Lines of a text file, one at a time and of bounded length, each with its number and what is wrong with it.

What a line says belongs to the formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE_BYTES = 1 << 20
"""No record of a trade comes near it."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, from 1 on, or (`problem`) why it cannot be read."""

    number: int
    text: str
    problem: str = ""


def numbered_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines that are not blank; CRLF, LF and a byte order mark at the start are all the same."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            _skip_line(file, raw)
            yield Line(number, "", f"it is longer than {MAX_LINE_BYTES:,} bytes")
            continue
        content = (raw.removeprefix(_BOM) if number == 1 else raw).rstrip(b"\r\n")
        if content.strip():
            yield _decoded(number, content)


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def _decoded(number: int, content: bytes) -> Line:
    if b"\0" in content:
        return Line(number, "", "it holds a NUL byte: the file is damaged, get it again")
    try:
        return Line(number, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} is 0x{content[error.start]:02x}"
        return Line(number, "", f"it is no UTF-8 text ({where}): save the file as UTF-8")
