"""One attempt to send: what goes out, and what the channel made of it, whatever it does.

When an attempt is made, and what follows from it in the database, belongs to `lane`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, runtime_checkable

from itb_assets.observability.alerts.channels import Channel, Moved, Refused, TryLater
from itb_assets.observability.alerts.outbox import OutboxRow

_ABOUT_THE_MESSAGE = 400
"""The one status by which a channel may mean this message; any other it would give to every one."""


@runtime_checkable
class Movable(Protocol):
    """A channel to a chat that may get another number."""

    chat: str

    def moved_to(self, chat: int) -> Self:
        """Return the same channel to another chat."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one attempt.

    `sent`; `later`; both with `after_s` where the channel asked for a pause of so many seconds; `refused` for
    good; `split`: a digest was refused, perhaps for one of its lines; `moved`, to `chat`. `word` is the
    receipt or the reason.
    """

    rows: tuple[OutboxRow, ...]
    said: Literal["sent", "later", "refused", "split", "moved"]
    word: str
    after_s: float = 0.0
    maybe_sent: bool = False
    posts: int = 1
    chat: int = 0

    @property
    def ids(self) -> list[int]:
        """The rows it is about."""
        return [row.id for row in self.rows]


def attempt(
    channel: Channel, rows: Sequence[OutboxRow], text: str, chart: bytes | None, *, splits: bool = True
) -> Outcome:
    """Send one message that stands for these rows; return what became of it and raise nothing.

    With `splits` a digest that is refused as a message comes back to be sent in parts, for one bad line must
    not cost the others. A channel that fails in a way it should not is tried again; its words are kept out,
    for nobody has looked whether they hold a secret.
    """
    of = tuple(rows)
    try:
        receipt = channel.send(text, chart)
    except TryLater as later:
        return Outcome(
            rows=of, said="later", word=str(later), after_s=later.after_s, maybe_sent=later.maybe_sent
        )
    except Moved as moved:
        said: Literal["moved", "refused"] = "moved" if isinstance(channel, Movable) else "refused"
        return Outcome(rows=of, said=said, word=str(moved), chat=moved.new_chat_id)
    except Refused as refused:
        parts = splits and len(of) > 1 and refused.status == _ABOUT_THE_MESSAGE
        return Outcome(rows=of, said="split" if parts else "refused", word=str(refused))
    except Exception as error:  # noqa: BLE001 - whatever it is, the message is not lost
        word = f"{channel.name} failed with {type(error).__name__}"
        return Outcome(rows=of, said="later", word=word, maybe_sent=True)
    return Outcome(rows=of, said="sent", word=str(receipt), posts=receipt.posts, after_s=receipt.pause_s)
