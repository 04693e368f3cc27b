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


_MENDED_S = 60.0
"""How often a channel that refuses all is asked whether it still does."""


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
    receipt or the reason. `refuses_all`: it was not for the message that the channel refused.
    """

    rows: tuple[OutboxRow, ...]
    said: Literal["sent", "later", "refused", "split", "moved"]
    word: str
    after_s: float = 0.0
    maybe_sent: bool = False
    posts: int = 1
    chat: int = 0
    refuses_all: bool = False

    @property
    def ids(self) -> list[int]:
        """The rows it is about."""
        return [row.id for row in self.rows]


def attempt(
    channel: Channel,
    rows: Sequence[OutboxRow],
    text: str,
    chart: bytes | None,
    *,
    splits: bool = True,
    alone: bool = False,
) -> Outcome:
    """Send one message that stands for these rows; return what became of it and raise nothing.

    With `splits` a digest that is refused as a message comes back to be sent in parts, for one bad line must
    not cost the others. A channel that is `alone` and refuses whatever it is given, since its token or chat
    is wrong, is asked again until that is mended: nobody else would bring what it refused. One that fails in
    a way it should not is tried again; its words are kept out, for nobody has looked whether they hold a
    secret.
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
        return _refused(of, refused, splits=splits, alone=alone)
    except Exception as error:  # noqa: BLE001 - whatever it is, the message is not lost
        word = f"{channel.name} failed with {type(error).__name__}"
        return Outcome(rows=of, said="later", word=word, maybe_sent=True)
    return Outcome(rows=of, said="sent", word=str(receipt), posts=receipt.posts, after_s=receipt.pause_s)


def _refused(of: tuple[OutboxRow, ...], refused: Refused, *, splits: bool, alone: bool) -> Outcome:
    all_of_it = refused.status != _ABOUT_THE_MESSAGE
    if all_of_it and alone:
        return Outcome(rows=of, said="later", word=str(refused), after_s=_MENDED_S, refuses_all=True)
    parts = splits and len(of) > 1 and not all_of_it
    return Outcome(rows=of, said="split" if parts else "refused", word=str(refused), refuses_all=all_of_it)
