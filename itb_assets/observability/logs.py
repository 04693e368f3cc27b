"""Logging: one place that configures loguru, binds context and keeps secrets out of every line.

What is worth a line belongs to whoever does the work; shipping lines elsewhere belongs to a sink handed in.
"""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus

from loguru import logger

from itb_assets.errors import ConfigError

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
HIDDEN = "***"
MIN_SECRET_LENGTH = 4
MIN_ENCODED_LENGTH = 8

Sink = TextIO | Callable[[str], object]

_URL_PASSWORD = re.compile(r"(://[^\s:/@'\"]*:)[^\s'\"]*(?=@)")
_TELLING_NAMES = r"(?:password|passwd|pwd|secret|token|api_?key|signature)"
_SECRET_KEY = re.compile(rf"(?i)(?:^|_){_TELLING_NAMES}$")
_NAMED_SECRET = re.compile(rf"(?i)({_TELLING_NAMES}(?:=|['\"]:\s*['\"]))[^\s&,;'\"]+")
_COLOUR_TAG = re.compile(r"</?(?:[fb]g\s)?[^<>\s]*>")
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_secrets: list[str] = []
_handlers: list[int] = []


def configure_logging(level: str, *, sink: Sink | None = None, as_json: bool = False) -> None:
    """Write lines of `level` and above to `sink`, by default standard error as it is now.

    Terminal lines read `time | level | message key=value ...`; `as_json` writes one flat JSON object a
    line. A callable sink is given each finished line. Calling again replaces what the last call set up and
    nothing else. Raise ConfigError for an unknown level.
    """
    name = level.strip().upper()
    if name not in LEVELS:
        raise ConfigError([f"log level {level!r} is not known: use one of {', '.join(LEVELS)}"])
    for handler in _handlers or [0]:  # 0 is what loguru sets up by itself
        _remove(handler)
    _handlers[:] = [
        logger.add(
            _line_sink(sys.stderr if sink is None else sink, as_json=as_json),
            level=name,
            format=_template,
            diagnose=False,  # would print the values of variables
            backtrace=False,
            catch=True,
        )
    ]
    logger.configure(patcher=_redact_record)


def get_logger(**context: object) -> Logger:
    """Return the logger with this context on each of its lines: run_id, asset, symbol, freq and the like.

    Pass values by `logger.bind(key=value).info("message")`. A message is never formatted, whatever braces it
    holds, unless arguments are given with it.
    """
    return logger.bind(**context)


def register_secret(value: str) -> None:
    """Replace this text by `***` wherever it would be logged from now on, quoted or in base64 too.

    Texts under 4 characters are not registered: replacing them would destroy lines without hiding anything.
    """
    if len(value) >= MIN_SECRET_LENGTH:
        _secrets[:] = sorted({*_secrets, *_forms(value)}, key=len, reverse=True)


def _forms(value: str) -> set[str]:
    """Return the ways in which a text is written by those who quote it."""
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {_PERCENT.sub(lambda found: found[0].lower(), text) for text in quoted}
    other = {json.dumps(value)[1:-1], repr(value)[1:-1], html.escape(value), html.escape(value, quote=False)}
    return {value, *quoted, *lower, *other, *(_encoded(value) if len(value) >= MIN_ENCODED_LENGTH else ())}


def _encoded(value: str) -> Iterator[str]:
    """Yield what is in base64 of every text that a value is part of, wherever in it that begins."""
    for before in range(3):
        data = b"\0" * before + value.encode("utf-8", "surrogatepass")
        first, last = (before * 8 + 5) // 6, len(data) * 8 // 6
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            yield encode(data).decode("ascii")[first:last]


def redact(text: str) -> str:
    """Return the text without registered secrets, passwords of URLs and values named like a secret."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    text = _URL_PASSWORD.sub(rf"\1{HIDDEN}", text)
    return _NAMED_SECRET.sub(rf"\1{HIDDEN}", text)


def _remove(handler: int) -> None:
    """Remove a handler that somebody else may have removed already."""
    try:
        logger.remove(handler)
    except ValueError:
        return


def _redact_record(record: Record) -> None:
    """Redact message, extras and the text of an exception, before any sink sees them."""
    record["message"] = redact(record["message"])
    record["extra"].update(_redact_mapping(record["extra"]))
    if record["exception"] is None:
        return
    plain = "".join(traceback.format_exception(*record["exception"])).rstrip()
    hidden = redact(plain)
    if hidden != plain:
        record["message"] += f"\n{hidden}"
        record["exception"] = None


def _redact_value(value: object) -> object:
    """Redact texts at any depth; anything else that shows a secret becomes its redacted text."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return _redact_mapping(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        shown = (str(value), repr(value))
    except Exception:  # noqa: BLE001 - a log line must not raise because a value cannot print itself
        return f"<unprintable {type(value).__name__}>"
    return value if all(redact(text) == text for text in shown) else redact(shown[0])


def _redact_mapping(values: Mapping[Any, object]) -> dict[Any, object]:
    """Redact the values of a mapping, and wholly those whose key says what they are."""
    return {
        key: HIDDEN if isinstance(key, str) and _SECRET_KEY.search(key) else _redact_value(value)
        for key, value in values.items()
    }


def _template(record: Record) -> str:
    """Return the loguru template of one terminal line, its extras written out as key=value."""
    extras = "".join(
        f" <dim>{_literal(f'{key}={_word(value)}')}</dim>" for key, value in record["extra"].items()
    )
    return (
        "<dim>{time:YYYY-MM-DD HH:mm:ss!UTC}</dim> | <level>{level: <8}</level> | {message}"
        f"{extras}\n{{exception}}"
    )


def _literal(text: str) -> str:
    """Escape what loguru would read as a field or a colour."""
    return _COLOUR_TAG.sub(r"\\\g<0>", text).replace("{", "{{").replace("}", "}}")


def _word(value: object) -> str:
    """Return the text of a value as one word: quoted where it has spaces, quotes or line breaks in it."""
    text = str(value)
    return text if text and not re.search(r"[\s\"=]", text) else json.dumps(text, ensure_ascii=False)


def _line_sink(target: Sink, *, as_json: bool) -> TextIO | Callable[[Message], None]:
    """Return what loguru writes to: the stream itself, or a function that hands on finished lines."""
    if not as_json and not callable(target):
        return target
    write = target if callable(target) else target.write

    def sink(message: Message) -> None:
        write(json.dumps(_flat(message.record), default=str) + "\n" if as_json else str(message))
        if not callable(target):
            target.flush()

    return sink


def _flat(record: Record) -> dict[str, Any]:
    """Return what a machine wants of a record; NaN and infinity, which JSON lacks, as text."""
    flat: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        "logger": record["name"],
    }
    if record["exception"] is not None:
        flat["exception"] = "".join(traceback.format_exception(*record["exception"])).rstrip()
    for key, value in record["extra"].items():
        flat[f"extra_{key}" if key in flat else key] = _finite(value)
    return flat


def _finite(value: object) -> object:
    """Return the value, or its text where it is a float that JSON cannot hold."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
