"""The edges of what Telegram publishes: pauses, numbers and names of chats, what counts as a character."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from bot_api import UNLIMITED, BotApi
from databases import on_one_engine
from dispatching import TOKEN, Timed, all_sent, dispatching, eventually, put, real_clock, rows, telegram
from hostile_wire import hostile, raw
from PIL import Image
from pydantic import SecretStr

from itb_assets.domain.alerts import Level
from itb_assets.observability.alerts import spoken
from itb_assets.observability.alerts.channels import Moved, Refused, TryLater
from itb_assets.observability.alerts.markup import cut, plain, utf16_length
from itb_assets.observability.alerts.telegram import Telegram

FAMILY = "👨\u200d👩\u200d👧"
ONE_ENGINE = on_one_engine(
    "postgres", because="a session of its own holds a lock, which the other build lacks"
)


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42, -5, "@our_channel"], limits=UNLIMITED) as running:
        yield running


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (900, 420), "white").save(out, "PNG")
    return out.getvalue()


def answered(status: int, body: object, *headers: str) -> Telegram | Exception:
    """Return what a channel raises at an answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    with hostile(lambda _: iter([raw(f"{status} So", text, *headers)])) as server:
        channel = Telegram(SecretStr(TOKEN), -5, base_url=f"http://127.0.0.1:{server.port}")
        try:
            channel.send("text")
        except (TryLater, Refused, Moved) as failure:
            return failure
    return channel


@pytest.mark.parametrize(
    ("parameters", "headers", "after_s"),
    [
        ('{"retry_after": 2.5}', (), 2.5),
        ('{"retry_after": "12"}', (), 12),
        ('{"retry_after": 1000000000}', (), 86_400),
        ('{"retry_after": 1e999}', (), 86_400),
        (f'{{"retry_after": {"9" * 400}}}', (), 86_400),
        ('{"retry_after": -3}', (), 0),
        ('{"retry_after": NaN}', (), 0),
        ('{"retry_after": true}', (), 0),
        ('{"retry_after": [5]}', (), 0),
        ('{"retry_after": null}', ("Retry-After: 9",), 9),
        ("{}", ("Retry-After: 9",), 9),
        ("[]", ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT",), 0),
        ("{}", (), 0),
    ],
)
def test_a_pause_is_read_however_it_is_written(parameters, headers, after_s):
    """A pause that is none leaves it to the sender's own back-off; one for ever silences nobody."""
    body = f'{{"ok": false, "error_code": 429, "description": "Too Many", "parameters": {parameters}}}'
    failure = answered(429, body, *headers)
    assert isinstance(failure, TryLater)
    assert (failure.after_s, failure.maybe_sent) == (after_s, False)


def test_a_photo_that_comes_too_early_waits_as_a_text_does(api):
    api.fault("too_many", retry_after=17, method="sendPhoto")
    with pytest.raises(TryLater) as raised:
        telegram(api).send("short", picture())
    assert (raised.value.after_s, raised.value.maybe_sent, api.sent) == (17, False, [])


@ONE_ENGINE
def test_a_pause_asked_for_by_the_chart_after_a_text_is_kept(alerts_engine, api):
    """The text has arrived and is not sent again, and the next message waits."""
    put(alerts_engine, "one", chart=picture())
    channel = Timed(LongTelegram(telegram(api)), real_clock)
    with api.during("too_many", retry_after=1, method="sendPhoto"), dispatching(alerts_engine, channel):
        eventually(lambda: len(channel.asked) == 1)
        put(alerts_engine, "two", level=Level.CRITICAL)
        all_sent(alerts_engine)
    assert channel.gaps_s[0] >= 1
    assert [status for _, status in api.requests] == [200, 429, 200]
    assert "without its chart: Telegram answered 429" in rows(alerts_engine, "receipt")[0].receipt


class LongTelegram:
    """Makes every text too long for a caption."""

    name = "telegram"

    def __init__(self, channel):
        """Stand before a channel."""
        self._channel = channel

    def send(self, text_html, chart=None):
        return self._channel.send(text_html + "\n" + "x" * 1100, chart)


@pytest.mark.parametrize("chart", [None, picture()], ids=["text", "chart"])
def test_a_chat_may_be_a_name(api, chart):
    channel = Telegram(SecretStr(TOKEN), "@our_channel", base_url=api.url)
    receipt = channel.send("text", chart)
    assert [sent.chat for sent in api.sent] == ["@our_channel"]
    assert str(receipt) == "@our_channel/1"
    with pytest.raises(Refused, match="chat not found"):
        Telegram(SecretStr(TOKEN), "@another", base_url=api.url).send("text", chart)


@pytest.mark.parametrize("new", [-5, 10**30, -(1 << 53), True, "-1005", 1.5, None, 0, [7]])
def test_a_chat_that_did_not_move_to_a_chat_is_a_refusal(new):
    """Else a lane would go there for ever, or not at all after a restart."""
    body = {"ok": False, "description": "Bad Request: x", "parameters": {"migrate_to_chat_id": new}}
    failure = answered(400, body)
    assert isinstance(failure, Refused)


@pytest.mark.parametrize("new", [-1001234567890, (1 << 52) - 1, 7])
def test_a_chat_that_moved_has_a_number_of_52_bits(new):
    body = {"ok": False, "description": "Bad Request: x", "parameters": {"migrate_to_chat_id": new}}
    failure = answered(400, body)
    assert isinstance(failure, Moved)
    assert failure.new_chat_id == new


@pytest.mark.parametrize(("seen", "as_caption"), [(512, True), (513, False)])
def test_the_limit_of_a_caption_counts_an_emoji_twice(api, seen, as_caption):
    telegram(api).send("🚨" * seen, picture())
    assert [sent.photo is not None for sent in api.sent] == ([True] if as_caption else [False, True])


@pytest.mark.parametrize("length", range(1, 12))
def test_a_cut_leaves_no_half_of_a_sign(length):
    """Neither a half of a pair nor a sign that joins to nothing."""
    made = cut(f"a{FAMILY}{FAMILY}", length)
    assert utf16_length(made) <= length
    made.encode("utf-16-le")
    assert not made.rstrip("…").endswith("\u200d")


def test_a_name_that_is_looked_up_for_long_is_given_up_and_nothing_is_sent_afterwards(api, monkeypatch):
    """No timeout of the HTTP library holds there; and what was given up must not arrive behind our back."""
    found, looked = threading.Event(), socket.getaddrinfo

    def slowly(*args, **more):
        found.wait(30)
        return looked("127.0.0.1", *args[1:], **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    channel = Telegram(
        SecretStr(TOKEN), 42, base_url=f"http://slow.invalid:{api.port}", timeouts_s=(0.2, 0.2)
    )
    before, began = threading.enumerate(), time.monotonic()
    with pytest.raises(TryLater, match="did not answer in time") as raised:
        channel.send("text")
    assert time.monotonic() - began < 10
    assert raised.value.maybe_sent is False
    waiting = [each for each in threading.enumerate() if each.name == "post" and each not in before]
    found.set()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    assert len(waiting) == 1
    assert api.sent == []


@pytest.mark.parametrize(("count", "lines"), [(2, 2), (30, 30), (31, 31), (500, 31)])
def test_rows_that_nobody_has_words_for_are_named_or_counted(monkeypatch, count, lines):
    """They count as sent: none of them may be left out without a word."""
    monkeypatch.setattr(spoken, "digest", lambda *_, **__: 1 / 0)
    rows_of = [
        SimpleNamespace(id=at, level=Level.ERROR, message={"title": "&" * 500}, leased_before=True)
        for at in range(count)
    ]
    text = spoken.Spoken().text(rows_of)
    assert len(text.splitlines()) == lines
    assert utf16_length(plain(text)) <= 4096
    assert text.endswith(f"… and {count - 30} more lines") is (count > 30)
