"""The first line of what an error of a step comes down to, and whether trying again may help.

Errors are read as Dagster keeps them, as text; the type decides and never the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from itb_assets.errors import ItbError, TerminalError, TransientError
from itb_assets.observability.logs import redact

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo  # no public name

Kind = Literal["transient", "terminal", "unexpected"]

MAX_LINE = 400
_DEEPEST = 20


@dataclass(frozen=True)
class Cause:
    """What an error comes down to: the name of its class, its first line, and what may help."""

    error: str
    line: str
    kind: Kind

    @property
    def words(self) -> str:
        """One line for a message."""
        told = f"{self.error}: {self.line}" if self.error and self.line else self.line or self.error
        return f"{told} ({self.kind})"


def cause_of_info(error: SerializableErrorInfo | None, described: str = "") -> Cause:
    """Return the innermost of our errors, else the root of what was raised.

    `described` are the words of a Failure, which are those of the error of ours that it stands for.
    """
    chain = list(_chain(error))
    ours = [info for info in chain if _class_of(info) in _OURS]
    found = ours[-1] if ours else _root(chain)
    if found is None:
        return Cause("", first_line(described) or "no error was recorded", "unexpected")
    name = _class_of(found)
    return Cause(name, first_line(_message_of(found) or described), _kind(name))


def classes_of(error: SerializableErrorInfo | None) -> frozenset[str]:
    """Return the names of the classes of an error and of all that led to it."""
    return frozenset(map(_class_of, _chain(error)))


def line_of_class(error: SerializableErrorInfo | None, name: str) -> str:
    """Return the first line of the innermost error of a class; empty where there is none."""
    found = [info for info in _chain(error) if _class_of(info) == name]
    return first_line(_message_of(found[-1])) if found else ""


def first_line(text: str) -> str:
    """Return the first line that says anything, without secrets and not longer than a message bears."""
    line = next((line.strip() for line in redact(text).splitlines() if line.strip()), "")
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """Yield an error and what led to it; only what was named as the cause, where something was."""
    for _ in range(_DEEPEST):
        if error is None:
            return
        yield error
        error = error.cause or error.context


def _root(chain: list[SerializableErrorInfo]) -> SerializableErrorInfo | None:
    """Return the deepest error that is not Dagster's own wrapping."""
    raised = [info for info in chain if not _class_of(info).startswith("Dagster")]
    return raised[-1] if raised else (chain[-1] if chain else None)


def _class_of(info: SerializableErrorInfo) -> str:
    return (info.cls_name or "").rpartition(".")[2]


def _message_of(info: SerializableErrorInfo) -> str:
    """Return the message without the name of the class that Python prints before it."""
    message = info.message.strip()
    head, _, rest = message.partition(":")
    return rest if head.rpartition(".")[2] == _class_of(info) else message


def _kind(name: str) -> Kind:
    error = _OURS.get(name)
    if error is None:
        return "unexpected"
    if issubclass(error, TransientError):
        return "transient"
    return "terminal" if issubclass(error, TerminalError) else "unexpected"


def _tree(root: type[ItbError]) -> Iterator[type[ItbError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


_OURS = {error.__name__: error for error in _tree(ItbError)}
