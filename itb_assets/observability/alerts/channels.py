"""What every channel promises: one message goes out and is acknowledged, or one of three refusals says why.

When to send, what to do about a refusal and how a message reads belong elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class NotSent(Exception):
    """A message was not taken; its words never hold a token or an address that is one.

    No error of a user's doing: whoever sends handles each of the three kinds.
    """


class TryLater(NotSent):
    """The service is away, slow or asks for a pause: send the same message again.

    `after_s` is the pause asked for in seconds, 0 where none was named: then the sender's own back-off holds.
    `maybe_sent` tells that the message may have arrived although no answer did, so that another one is a
    possible repeat.
    """

    def __init__(self, after_s: float = 0.0, why: str = "", *, maybe_sent: bool = False) -> None:
        """Keep the pause, the reason and whether it may have arrived."""
        super().__init__(why or f"asked to wait {after_s:g} s")
        self.after_s, self.maybe_sent = after_s, maybe_sent


class Refused(NotSent):
    """The service itself says no, and would say it again: take another channel and tell somebody."""

    def __init__(self, why: str = "", *, status: int = 400) -> None:
        """Keep the service's words and status."""
        super().__init__(why or f"answered {status}")
        self.status = status


class Moved(NotSent):
    """The chat has another number from now on; send there."""

    def __init__(self, new_chat_id: int) -> None:
        """Keep the number of the chat."""
        super().__init__(f"the chat is {new_chat_id} now")
        self.new_chat_id = new_chat_id


@dataclass(frozen=True)
class Receipt:
    """What a service acknowledged: its number of the message, and how many posts that took.

    `note` says what had to be left out, such as a chart the service did not take; `pause_s` for how long it
    wants to be left alone all the same, 0 where it does not say.
    """

    reference: str = ""
    posts: int = 1
    note: str = ""
    pause_s: float = 0.0

    def __str__(self) -> str:
        """Return one line for the records."""
        return f"{self.reference} ({self.note})" if self.note else self.reference


class Channel(Protocol):
    """A way to reach people. `send` may be called from any thread."""

    @property
    def name(self) -> str:
        """The name by which settings and records know it, such as `telegram`."""
        ...

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message, with a PNG where the service takes one; raise TryLater, Refused or Moved.

        `text_html` is in the few tags that `markup` knows.
        """
        ...
