"""What a request to the local Bot API holds: its fields, and what the real one refuses of them.

Which chat it is for, and whether it comes too early, belongs to `bot_wire`.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any
from urllib.parse import parse_qsl

from bot_html import CannotParse, shown_text, utf16_length

TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024
PHOTO_BYTES = 10 * 1024**2


class Refusal(Exception):
    """The request is refused with this status and description."""

    def __init__(self, status: int, words: str, **parameters: float) -> None:
        """Keep what the answer says."""
        super().__init__(words)
        self.status, self.words, self.parameters = status, words, parameters


def read_fields(kind: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a JSON, form or multipart body; a file is bytes."""
    if kind.startswith("application/json"):
        return dict(json.loads(body))
    if kind.startswith("multipart/form-data"):
        boundary = re.search(r'boundary="?([^";]+)', kind)
        assert boundary is not None
        parts = body.split(b"--" + boundary.group(1).encode())[1:-1]
        return dict(_part(part[2:-2]) for part in parts)
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def _part(part: bytes) -> tuple[str, str | bytes]:
    head, _, content = part.partition(b"\r\n\r\n")
    named = re.search(rb'name="([^"]*)"', head)
    assert named is not None
    return named.group(1).decode(), content if b"filename=" in head else content.decode()


def content_of(method: str, fields: dict[str, Any]) -> tuple[str, str, bytes | None]:
    """Return the HTML, the text a person sees and the photo; raise Refusal as the real one does."""
    name = "text" if method == "sendMessage" else "caption"
    html = str(fields.get(name, ""))
    mode = fields.get("parse_mode", "")
    try:
        text = shown_text(html) if mode == "HTML" else html.strip()
    except CannotParse as error:
        raise Refusal(400, f"Bad Request: can't parse entities: {error}") from None
    if method == "sendMessage":
        if not text:
            raise Refusal(400, "Bad Request: message text is empty")
        if utf16_length(text) > TEXT_LIMIT:
            raise Refusal(400, "Bad Request: message is too long")
        return html, text, None
    if utf16_length(text) > CAPTION_LIMIT:
        raise Refusal(400, "Bad Request: message caption is too long")
    return html, text, _photo(fields.get("photo"))


def _photo(photo: object) -> bytes:
    if not isinstance(photo, bytes) or not photo:
        raise Refusal(400, "Bad Request: there is no photo in the request")
    if len(photo) > PHOTO_BYTES:
        raise Refusal(413, "Request Entity Too Large")
    if not photo.startswith(b"\x89PNG\r\n\x1a\n") or len(photo) < 33:
        raise Refusal(400, "Bad Request: IMAGE_PROCESS_FAILED")
    width, height = struct.unpack(">II", photo[16:24])
    if width + height > 10_000 or max(width, height) > 20 * min(width, height):
        raise Refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
    return photo
