"""What lies outside of a deployment, in a process of its own: the local Bot API, which holds to its limits.

Says in lines of JSON where it is, what it accepts and when, and what it refuses; ends with its input.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).resolve().parents[1] / "itb_assets_tests" / "alerts")]

from bot_api import BotApi, Sent

_saying = threading.Lock()


class TellingApi(BotApi):
    """The Bot API, saying what happens as it does."""

    def record(self, **message: Any) -> Sent:  # noqa: ANN401 - as inherited
        """Keep and say an accepted message."""
        kept = super().record(**message)
        say(at=kept.at.timestamp(), service=kept.service, text=kept.text)
        return kept

    def answered(self, method: str, status: int) -> None:
        """Keep and say what was refused."""
        super().answered(method, status)
        if status != 200:
            say(refused=status)


def say(**what: Any) -> None:  # noqa: ANN401 - whatever there is to say
    """Write a line."""
    with _saying:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def main(token: str, chat: str) -> None:
    """Serve until standard input ends."""
    with TellingApi(token, chats=[int(chat)]) as api:
        say(url=api.url, slack_url=api.slack_url)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
