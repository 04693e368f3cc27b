"""A Bot API and a Slack webhook on loopback, built to the limits and faults they publish.

    with BotApi("123456:token", chats=[42, -1001]) as api:
        api.url             base URL for `telegram_url`; api.slack_url is the incoming webhook
        api.sent            what was accepted, in order: Sent(at, chat, text, html, photo, thread, ...)
        api.requests        every request with the status it was answered: (method, status)
        api.wait(3)         until three messages were accepted; raises TimeoutError
        api.fault("too_many", retry_after=5)        the next request suffers it (see bot_faults.KINDS)
        api.fault("lost_answer", times=None, share=0.08)      8 % of all requests, until api.lift()
        with api.outage(): ...                      connections are refused meanwhile
        api.move(-5, -1005)                         the group -5 was upgraded: 400, migrate_to_chat_id

It refuses what the real ones refuse: HTML that does not parse, unknown tags, more than 4,096 characters (a
caption: 1,024), unknown chats, a wrong token; and it answers 429 beyond 1 message/s a chat (after a short
burst), 20/min a group and 30/s overall. `limits=UNLIMITED` switches that off. How a request becomes an
answer belongs to `bot_wire`; nothing here uses the code under test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from bot_faults import Fault, Faults
from bot_limits import UNLIMITED, Limits, Meter
from bot_wire import Server

__all__ = ["UNLIMITED", "BotApi", "Limits", "Sent"]

SLACK_PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


@dataclass(frozen=True)
class Sent:
    """A message that was accepted; `text` is what a person sees, `html` what was sent."""

    at: datetime
    service: str
    chat: str
    text: str
    html: str
    message_id: int
    photo: bytes | None = None
    thread: str = ""
    silent: bool = False
    answered: bool = True


class BotApi:
    """The local server; everything in it may be used from any thread."""

    def __init__(
        self,
        token: str,
        *,
        chats: Iterable[int | str] = (42,),
        threads: Iterable[int] = (),
        limits: Limits | None = None,
        slack_path: str = SLACK_PATH,
        seed: int = 7,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a bot with this token which is in these chats; `with` starts it."""
        self.token, self.slack_path = token, slack_path
        self.chats = {str(chat) for chat in chats}
        self.threads = {str(thread) for thread in threads}
        self.moved: dict[str, int] = {}
        self.faults = Faults(seed)
        self.sent: list[Sent] = []
        self.requests: list[tuple[str, int]] = []
        self._meter = Meter(limits or Limits())
        self._clock = clock
        self._changed = threading.Condition()
        self._server: Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        """Listen on a free port of loopback."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening and wait for nobody."""
        self.stop()

    @property
    def url(self) -> str:
        """The base URL that takes the place of the public one."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def slack_url(self) -> str:
        """The URL of the incoming webhook."""
        return f"{self.url}{self.slack_path}"

    @property
    def texts(self) -> list[str]:
        """The texts that were accepted, as a person sees them."""
        with self._changed:
            return [message.text for message in self.sent]

    def start(self) -> None:
        """Listen again, on the same port as before."""
        self._server = Server(self, self.port)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and break off those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.end()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be away for the length of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def fault(self, kind: str, **how: Any) -> Fault:
        """Plan a fault: times=1 or None, share, method, status, seconds, retry_after, words."""
        return self.faults.add(Fault(kind, **how))

    def during(self, kind: str, **how: Any) -> AbstractContextManager[Fault]:
        """Keep a fault up for the length of a block."""
        return self.faults.during(Fault(kind, **({"times": None} | how)))

    def lift(self) -> None:
        """End every planned fault."""
        self.faults.lift()

    def move(self, old: int, new: int) -> None:
        """Upgrade a group: its old number is refused from now on."""
        self.moved[str(old)] = new
        self.chats.add(str(new))

    def wait(self, count: int, *, timeout_s: float = 30.0) -> list[Sent]:
        """Return what was accepted once that is `count` messages or more."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.sent) >= count, timeout_s):
                raise TimeoutError(f"{len(self.sent)} of {count} messages arrived within {timeout_s:g} s")
            return list(self.sent)

    def wait_for(self, wanted: Callable[[Sent], bool], *, timeout_s: float = 30.0) -> Sent:
        """Return the first accepted message that is wanted, as soon as it is there."""
        found: list[Sent] = []

        def seen() -> bool:
            found[:] = [message for message in self.sent if wanted(message)][:1]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(seen, timeout_s):
                raise TimeoutError(f"no such message among {len(self.sent)} within {timeout_s:g} s")
        return found[0]

    def admit(self, chat: str) -> int:
        """Return 0, or the seconds after which a message to this chat may be sent."""
        with self._changed:
            return self._meter.wait_s(chat, self._clock())

    def record(self, **message: Any) -> Sent:
        """Keep an accepted message and give it its number."""
        with self._changed:
            kept = Sent(at=datetime.now(UTC), message_id=len(self.sent) + 1, **message)
            self.sent.append(kept)
            self._changed.notify_all()
            return kept

    def answered(self, method: str, status: int) -> None:
        """Keep how a request was answered; 0 is not at all."""
        with self._changed:
            self.requests.append((method, status))
