"""Slack: an incoming webhook, and what its answers mean.

What is sent when, and how it reads, belongs elsewhere. Only Slack's own words refuse a message.
"""

from __future__ import annotations

import re

from pydantic import SecretStr

from itb_assets.observability.alerts.channels import Receipt, Refused, TryLater
from itb_assets.observability.alerts.markup import to_mrkdwn
from itb_assets.observability.alerts.post import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Answer,
    Poster,
    safe_words,
)
from itb_assets.observability.logs import register_secret

_OK, _BAD_REQUEST, _TOO_MANY, _SERVER = 200, 400, 429, 500
_SHORTEST_KEY = 12
"""Names of workspace and webhook are shorter, the key has 24 characters."""

_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+")


class Slack:
    """One incoming webhook, which is one channel of a workspace."""

    name = "slack"

    def __init__(
        self,
        url: SecretStr,
        *,
        timeouts_s: tuple[float, float] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    ) -> None:
        """Prepare the webhook; raise ConfigError, without the address, for what is no URL."""
        hide_webhook(url)
        self._poster = Poster(url, key=_key(url), setting="the webhook of Slack", timeouts_s=timeouts_s)

    def __repr__(self) -> str:
        """Name the host alone: the rest of the address is the key."""
        return f"Slack(host={self._poster.host!r})"

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message; raise TryLater or Refused. A webhook takes no files: a chart is left out."""
        answer = self._poster.post(
            json={"text": to_mrkdwn(text_html), "unfurl_links": False, "unfurl_media": False}
        )
        refusal = _refusal(answer, answer.body.decode("utf-8", "replace").strip())
        if refusal is not None:
            raise refusal  # from here, where no name stands for what was answered
        return Receipt("ok", note="" if chart is None else "without its chart: a webhook takes none")


def _refusal(answer: Answer, said: str) -> TryLater | Refused | None:
    if answer.status == _OK and said == "ok":
        return None
    own = bool(_WORD.fullmatch(said))
    words = safe_words(said) if own else "no answer of Slack"
    why = f"Slack answered {answer.status}: {words}"
    if answer.status == _TOO_MANY:
        return TryLater(answer.retry_after_s, why)
    if _BAD_REQUEST <= answer.status < _SERVER and own:
        return Refused(why, status=answer.status)
    return TryLater(answer.retry_after_s, why, maybe_sent=answer.status == _OK or answer.status >= _SERVER)


def hide_webhook(url: SecretStr) -> None:
    """Make a webhook known to the logs: as a whole, its path, and the part of it that is the key."""
    register_secret(url.get_secret_value())
    path = _key(url).get_secret_value().strip("/")
    register_secret(path)
    for part in path.split("/"):
        if len(part) >= _SHORTEST_KEY:
            register_secret(part)


def _key(url: SecretStr) -> SecretStr:
    """Return the path of a webhook, which is its key."""
    return SecretStr(url.get_secret_value().partition("://")[2].partition("/")[2])
