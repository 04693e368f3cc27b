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

_OK, _BAD_REQUEST, _TOO_MANY, _SERVER = 200, 400, 429, 500
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
        self._poster = Poster(url, key=_key(url), setting="the webhook of Slack", timeouts_s=timeouts_s)

    def __repr__(self) -> str:
        """Name the host alone: the rest of the address is the key."""
        return f"Slack(host={self._poster.host!r})"

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message; raise TryLater or Refused. A webhook takes no files: a chart is left out."""
        answer = self._poster.post(
            json={"text": to_mrkdwn(text_html), "unfurl_links": False, "unfurl_media": False}
        )
        said = answer.body.decode("utf-8", "replace").strip()
        if answer.status == _OK and said == "ok":
            return Receipt("ok", note="" if chart is None else "without its chart: a webhook takes none")
        raise self._refusal(answer, said)

    def _refusal(self, answer: Answer, said: str) -> TryLater | Refused:
        own = bool(_WORD.fullmatch(said))
        words = safe_words(said) if own else "no answer of Slack"
        why = f"Slack answered {answer.status}: {words}"
        if answer.status == _TOO_MANY:
            return TryLater(answer.retry_after_s, why)
        if _BAD_REQUEST <= answer.status < _SERVER and own:
            return Refused(why, status=answer.status)
        return TryLater(
            answer.retry_after_s, why, maybe_sent=answer.status == _OK or answer.status >= _SERVER
        )


def _key(url: SecretStr) -> SecretStr:
    """Return the path of a webhook, which is its key."""
    return SecretStr(url.get_secret_value().partition("://")[2].partition("/")[2])
