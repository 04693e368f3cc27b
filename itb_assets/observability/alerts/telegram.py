"""Telegram: the Bot API's sendMessage and sendPhoto, and what its answers mean.

What is sent when, and how it reads, belongs elsewhere. Only the Bot API's own words refuse a message: the
page of a proxy or a hotel's network is a reason to try later.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import Moved, NotSent, Receipt, Refused, TryLater
from itb_assets.observability.alerts.markup import clean, cut, plain, utf16_length
from itb_assets.observability.alerts.post import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Answer,
    Files,
    Poster,
    pause_s,
    safe_words,
)
from itb_assets.observability.logs import register_secret

PUBLIC_URL = "https://api.telegram.org"
TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,200}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,64}")
_OK, _BAD_REQUEST, _TOO_LARGE, _SERVER = 200, 400, 413, 500
_WAIT = {408, 420, 429}
_BEYOND_CHATS = 1 << 53
"""Numbers of chats have at most 52 bits, says the Bot API."""

_BAD_TEXT = ("can't parse entities", "is too long")
_NO_TOPIC = ("message thread not found", "TOPIC_CLOSED", "TOPIC_DELETED")


class Telegram:
    """One chat of one bot."""

    name = "telegram"

    def __init__(
        self,
        token: SecretStr,
        chat: int | str,
        *,
        thread: int | None = None,
        base_url: str = PUBLIC_URL,
        timeouts_s: tuple[float, float] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
    ) -> None:
        """Prepare a channel to a chat, or to one topic of it; raise ConfigError listing what is wrong."""
        self._token, self._timeouts_s = token, timeouts_s
        self.chat, self.thread, self.base_url = str(chat), thread, base_url
        register_secret(token.get_secret_value())
        register_secret(token.get_secret_value().partition(":")[2])
        self._check()
        address = SecretStr(f"{base_url.rstrip('/')}/bot{token.get_secret_value()}")
        self._poster = Poster(address, key=token, setting="the address of Telegram", timeouts_s=timeouts_s)

    def __repr__(self) -> str:
        """Name chat and host, never the token."""
        return f"Telegram(chat={self.chat}, host={self._poster.host!r})"

    def moved_to(self, chat: int) -> Telegram:
        """Return the same bot in another chat."""
        return Telegram(
            self._token, chat, thread=self.thread, base_url=self.base_url, timeouts_s=self._timeouts_s
        )

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message; raise TryLater, Refused or Moved.

        A chart carries a text of up to 1,024 characters as its caption; a longer text goes first and the
        chart after it. A chart that is not taken, a text whose tags are not, and a topic that is closed or
        gone never cost the message: it goes out without the one, as plain text, or to the group itself, and
        the receipt says so.
        """
        try:
            return self._send(text_html, chart)
        except Refused as refused:
            if self.thread is None or not any(words in str(refused) for words in _NO_TOPIC):
                raise
            why = f"outside its topic: {refused}"
        group = Telegram(self._token, self.chat, base_url=self.base_url, timeouts_s=self._timeouts_s)
        sent = group._send(text_html, chart)
        return replace(sent, posts=sent.posts + 1, note=_join(why, sent.note))

    def _send(self, text_html: str, chart: bytes | None) -> Receipt:
        text_html = clean(text_html)
        if chart is None:
            return self._text(text_html)
        if utf16_length(plain(text_html)) > CAPTION_LIMIT:
            return self._chart_after(self._text(text_html), chart)
        try:
            return self._photo(text_html, chart)
        except Refused as refused:
            if refused.status not in {_BAD_REQUEST, _TOO_LARGE}:
                raise
            why = str(refused)
        sent = self._text(text_html)
        return Receipt(sent.reference, posts=2, note=_join(sent.note, f"without its chart: {why}"))

    def who(self) -> str:
        """Return the bot's own name, which proves that the token is one; raise TryLater or Refused."""
        return str(self._result(self._poster.post("/getMe")).get("username", ""))

    def _text(self, text_html: str) -> Receipt:
        fields = {**self._address(), "text": text_html, "parse_mode": "HTML"}
        try:
            return self._receipt(self._post_json(fields))
        except Refused as refused:
            if not any(words in str(refused) for words in _BAD_TEXT):
                raise
            why = str(refused)
        fields = {**self._address(), "text": cut(plain(text_html), TEXT_LIMIT)}
        sent = self._receipt(self._post_json(fields))
        return Receipt(sent.reference, posts=2, note=f"as plain text: {why}")

    def _chart_after(self, sent: Receipt, chart: bytes) -> Receipt:
        """Send the chart of a text that has arrived; its own fate changes nothing about that."""
        pause_s = 0.0
        try:
            self._photo("", chart)
        except (TryLater, Refused, Moved) as failure:
            note = _join(sent.note, f"without its chart: {failure}")
            pause_s = failure.after_s if isinstance(failure, TryLater) else 0.0
        else:
            note = sent.note
        return Receipt(sent.reference, posts=sent.posts + 1, note=note, pause_s=pause_s)

    def _photo(self, caption: str, chart: bytes) -> Receipt:
        form = {name: str(value) for name, value in self._address().items()}
        form |= {"caption": caption, "parse_mode": "HTML"} if caption else {"disable_notification": "true"}
        files: Files = {"photo": ("chart.png", chart, "image/png")}
        return self._receipt(self._result(self._poster.post("/sendPhoto", form=form, files=files)))

    def _post_json(self, fields: dict[str, Any]) -> dict[str, Any]:
        quiet = {"link_preview_options": {"is_disabled": True}}
        return self._result(self._poster.post("/sendMessage", json=fields | quiet))

    def _address(self) -> dict[str, Any]:
        return {"chat_id": self.chat} | ({} if self.thread is None else {"message_thread_id": self.thread})

    def _receipt(self, result: dict[str, Any]) -> Receipt:
        return Receipt(f"{self.chat}/{result.get('message_id', '')}")

    def _result(self, answer: Answer) -> dict[str, Any]:
        """Return the result of an answer, or raise what it means."""
        found = self._meaning(answer, _json(answer.body))
        if isinstance(found, NotSent):
            raise found  # from here, where no name stands for what was answered
        return found

    def _meaning(self, answer: Answer, said: dict[str, Any]) -> dict[str, Any] | NotSent:
        if answer.status == _OK and said.get("ok") is True and isinstance(said.get("result"), dict):
            result: dict[str, Any] = said["result"]
            return result
        parameters = said.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        new_chat = parameters.get("migrate_to_chat_id")
        if type(new_chat) is int and 0 < abs(new_chat) < _BEYOND_CHATS and str(new_chat) != self.chat:
            return Moved(new_chat)
        words = safe_words(said.get("description", "no answer of the Bot API"))
        why = f"Telegram answered {answer.status}: {words}"
        if answer.status in _WAIT:
            return TryLater(pause_s(parameters.get("retry_after")) or answer.retry_after_s, why)
        if _BAD_REQUEST <= answer.status < _SERVER and said.get("ok") is False:
            return Refused(why, status=answer.status)
        maybe = answer.status == _OK or answer.status >= _SERVER
        return TryLater(answer.retry_after_s, why, maybe_sent=maybe)

    def _check(self) -> None:
        problems = []
        if not _TOKEN.fullmatch(self._token.get_secret_value()):
            problems.append("the token of Telegram is none: expected 123456:ABC..., as @BotFather gives it")
        if not _CHAT.fullmatch(self.chat):
            problems.append(
                f"the chat of Telegram {safe_words(self.chat)!r} is none: expected its number, "
                "below 0 for a group, or @name"
            )
        if problems:
            raise ConfigError(problems)


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
