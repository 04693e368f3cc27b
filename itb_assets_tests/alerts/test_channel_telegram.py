"""A message reaches the chat as it was meant, and every answer of the Bot API means what it says."""

from __future__ import annotations

import io
import socket
import time

import pytest
from bot_api import UNLIMITED, BotApi
from bot_html import shown_text, utf16_length
from PIL import Image
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import Moved, NotSent, Refused, TryLater
from itb_assets.observability.alerts.telegram import Telegram

TOKEN = "123456:AAF-very_secret_bot_token"  # noqa: S105 - of a bot that does not exist
GROUP = -1001234


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42, GROUP], threads=[7], limits=UNLIMITED) as server:
        yield server


def telegram(api, chat=42, **more):
    return Telegram(SecretStr(TOKEN), chat, base_url=api.url, **more)


def picture(width=900, height=420):
    out = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(out, "PNG")
    return out.getvalue()


def test_a_message_arrives_as_it_was_written(api):
    receipt = telegram(api).send('<b>Loss &amp; limit</b>\nsee <a href="https://host/?a=1&amp;b=2">run</a>')
    (sent,) = api.sent
    assert sent.text == "Loss & limit\nsee run"
    assert (sent.chat, sent.photo, sent.silent) == ("42", None, False)
    assert (str(receipt), receipt.posts) == ("42/1", 1)


def test_links_show_no_preview(api, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "bot_wire.read_fields", lambda kind, body: seen.append(_fields(kind, body)) or _fields(kind, body)
    )
    telegram(api).send("https://host")
    assert seen[0]["link_preview_options"] == {"is_disabled": True}
    assert seen[0]["parse_mode"] == "HTML"


def _fields(kind, body):
    from bot_content import read_fields  # noqa: PLC0415 - the one that is not replaced

    return read_fields(kind, body)


def test_a_topic_of_a_group_is_named(api):
    telegram(api, GROUP, thread=7).send("in a topic")
    telegram(api, GROUP, thread=7).send("with a chart", picture())
    assert [sent.thread for sent in api.sent] == ["7", "7"]


@pytest.mark.parametrize("chart", [None, picture()], ids=["text", "chart"])
@pytest.mark.parametrize("words", ["", "Bad Request: TOPIC_CLOSED", "Bad Request: TOPIC_DELETED"])
def test_a_topic_that_is_closed_or_gone_does_not_cost_the_message(api, words, chart):
    if words:
        api.fault("refused", words=words, times=1 if chart is None else 2)
    receipt = telegram(api, GROUP, thread=7 if words else 8).send("a text", chart)
    assert [(sent.chat, sent.thread, sent.text, sent.photo) for sent in api.sent] == [
        (str(GROUP), "", "a text", chart)
    ]
    assert "outside its topic: Telegram answered 400" in receipt.note
    assert receipt.posts == 2


def test_a_chart_carries_a_short_text_as_its_caption(api):
    chart = picture()
    receipt = telegram(api).send("<b>Drift</b> é", chart)
    (sent,) = api.sent
    assert (sent.text, sent.photo) == ("Drift é", chart)
    assert (receipt.posts, receipt.note) == (1, "")


def test_the_limit_of_a_caption_counts_what_is_seen(api):
    text = "<b>" + "&amp;" * 1024 + "</b>"
    telegram(api).send(text, picture())
    assert [(len(sent.text), sent.photo is not None) for sent in api.sent] == [(1024, True)]


def test_a_longer_text_goes_first_and_its_chart_after_it(api):
    receipt = telegram(api).send("x" * 1025, picture())
    assert [(len(sent.text), sent.photo is not None, sent.silent) for sent in api.sent] == [
        (1025, False, False),
        (0, True, True),
    ]
    assert receipt.posts == 2


@pytest.mark.parametrize("kind", ["error", "too_many", "drop", "refused"])
def test_the_chart_after_a_text_that_arrived_changes_nothing_about_that(api, kind):
    api.fault(kind, method="sendPhoto")
    receipt = telegram(api).send("x" * 1025, picture())
    assert len(api.sent) == 1
    assert "without its chart" in receipt.note


@pytest.mark.parametrize(
    "chart", [b"no picture", picture(9_990, 20), picture(2_000, 50)], ids=["no png", "too large", "too long"]
)
def test_a_chart_that_is_not_taken_does_not_cost_the_message(api, chart):
    receipt = telegram(api).send("the text", chart)
    assert [(sent.text, sent.photo) for sent in api.sent] == [("the text", None)]
    assert "without its chart: Telegram answered 400" in receipt.note
    assert receipt.posts == 2


def test_tags_that_are_refused_do_not_cost_the_message(api):
    receipt = telegram(api).send("<b>Loss</b> <table>5 &lt; 6")
    (sent,) = api.sent
    assert sent.text == "Loss 5 < 6"
    assert "as plain text" in receipt.note


def test_a_text_that_is_too_long_is_cut_as_the_reader_sees_it(api):
    telegram(api).send("<b>" + "🚨" * 3000 + "</b>")
    (sent,) = api.sent
    assert utf16_length(sent.text) in {4095, 4096}
    assert sent.text.endswith("🚨…")


def test_a_pause_is_passed_on_as_it_was_asked_for(api):
    api.fault("too_many", retry_after=17)
    with pytest.raises(TryLater) as raised:
        telegram(api).send("text")
    assert (raised.value.after_s, raised.value.maybe_sent) == (17, False)
    assert api.sent == []


def test_a_group_that_moved_says_where_to(api):
    api.move(GROUP, -1009)
    channel = telegram(api, GROUP, thread=7)
    for chart in (None, picture()):
        with pytest.raises(Moved) as raised:
            channel.send("text", chart)
        assert raised.value.new_chat_id == -1009
    channel.moved_to(raised.value.new_chat_id).send("text")
    assert [(sent.chat, sent.thread) for sent in api.sent] == [("-1009", "7")]


@pytest.mark.parametrize(
    ("kind", "how", "status"),
    [
        ("unauthorized", {}, 401),
        ("forbidden", {}, 403),
        ("not_found", {}, 404),
        ("refused", {"words": "Bad Request: not enough rights"}, 400),
    ],
)
def test_the_bot_apis_own_no_is_final(api, kind, how, status):
    with api.during(kind, **how):
        for chart in (None, picture()):
            with pytest.raises(Refused) as raised:
                telegram(api).send("text", chart)
            assert raised.value.status == status
    assert api.sent == []


def test_an_unknown_chat_and_a_wrong_token_are_refused(api):
    with pytest.raises(Refused, match="chat not found"):
        telegram(api, 43).send("text")
    with pytest.raises(Refused, match="Unauthorized"):
        Telegram(SecretStr("123456:other"), 42, base_url=api.url).send("text")


@pytest.mark.parametrize(
    ("kind", "how", "maybe"),
    [
        ("error", {"status": 500}, True),
        ("error", {"status": 502}, True),
        ("error", {"status": 403}, False),  # the page of a proxy, not the Bot API
        ("own_error", {}, True),
        ("garbage", {}, True),
        ("empty", {}, True),
        ("redirect", {}, False),
        ("drop", {}, True),
        ("lost_answer", {}, True),
        ("torn", {}, True),
        ("flood", {}, True),
    ],
)
def test_everything_else_is_tried_again_and_says_whether_it_may_have_arrived(api, kind, how, maybe):
    api.fault(kind, **how)
    with pytest.raises(TryLater) as raised:
        telegram(api).send("text")
    assert raised.value.maybe_sent is maybe
    assert raised.value.after_s == 0
    telegram(api).send("again")
    assert api.sent[-1].text == "again"


def test_nobody_listening_means_surely_not_sent(api):
    channel = telegram(api)
    with api.outage(), pytest.raises(TryLater) as raised:
        channel.send("text")
    assert raised.value.maybe_sent is False
    channel.send("afterwards")
    assert api.texts == ["afterwards"]


def test_a_host_without_a_name_means_surely_not_sent():
    with pytest.raises(TryLater) as raised:
        Telegram(SecretStr(TOKEN), 42, base_url="https://no-such-host.invalid").send("text")
    assert raised.value.maybe_sent is False


@pytest.mark.parametrize("kind", ["slow", "drip"])
def test_a_slow_answer_is_not_waited_for_beyond_the_timeout(api, kind):
    """An answer that comes byte by byte keeps each wait short; it must not keep the sender for minutes."""
    api.fault(kind, seconds=0.15 if kind == "drip" else 10.0)
    began = time.monotonic()
    with pytest.raises(TryLater) as raised:
        telegram(api, timeouts_s=(1.0, 0.4)).send("text")
    assert time.monotonic() - began < 5, "either answer takes ten seconds or more"
    assert raised.value.maybe_sent is True
    assert len(api.wait(1)) == 1


def test_a_port_that_takes_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = Telegram(
            SecretStr(TOKEN),
            42,
            base_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            timeouts_s=(0.3, 0.3),
        )
        with pytest.raises(TryLater) as raised:
            channel.send("text")
    assert raised.value.maybe_sent is True


def test_a_proxy_of_the_environment_does_not_get_the_way_to_loopback(api, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    telegram(api).send("text")
    assert api.texts == ["text"]


def test_the_bot_says_its_name(api):
    assert telegram(api).who() == "itb_bot"
    with pytest.raises(Refused):
        Telegram(SecretStr("123456:other"), 42, base_url=api.url).who()


@pytest.mark.parametrize(
    ("token", "chat", "url", "named"),
    [
        ("secret/../part", 42, "https://host", "token"),
        ("", 42, "https://host", "token"),
        (f"{TOKEN}\n", 42, "https://host", "token"),
        (TOKEN, "forty two", "https://host", "chat"),
        (TOKEN, "", "https://host", "chat"),
        (TOKEN, 42, "ftp://host", "address"),
        (TOKEN, 42, "host", "address"),
        (TOKEN, 42, "https://host:port", "address"),
        (TOKEN, 42, "https://a host", "address"),
    ],
)
def test_a_wrong_setting_is_found_before_anything_is_sent(token, chat, url, named):
    with pytest.raises(ConfigError, match=named) as raised:
        Telegram(SecretStr(token), chat, base_url=url)
    assert "secret" not in str(raised.value)


def test_both_wrong_settings_are_named_at_once():
    with pytest.raises(ConfigError) as raised:
        Telegram(SecretStr("not-a-token"), "none of them")
    assert len(raised.value.problems) == 2


def test_the_limits_of_the_real_one_hold(api):
    """What the tests rely on: more than 4,096 characters that are seen are refused, 4,096 are not."""
    fine = "<i>" + "&lt;" * 4096 + "</i>"
    assert utf16_length(shown_text(fine)) == 4096
    assert telegram(api).send(fine).note == ""
    assert issubclass(TryLater, NotSent)
