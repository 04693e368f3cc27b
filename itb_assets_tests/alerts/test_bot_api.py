"""The local Bot API refuses what the real one refuses: a test that passes against it means something."""

from __future__ import annotations

import threading
import time

import pytest
import requests
from bot_api import UNLIMITED, BotApi
from bot_html import CannotParse, shown_text
from bot_limits import Limits, Meter

TOKEN = "123456:token"  # noqa: S105 - of a bot that does not exist


@pytest.fixture
def api():
    with BotApi(TOKEN, chats=[42, -7], limits=UNLIMITED) as server:
        yield server


def post(api, method="sendMessage", token=TOKEN, files=None, **fields):
    url = f"{api.url}/bot{token}/{method}"
    sent = {"chat_id": 42} | fields
    if files:
        return requests.post(url, data=sent, files=files, timeout=5)
    return requests.post(url, json=sent, timeout=5)


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("5 < 6", "Unsupported start tag"),
        ("<table>x</table>", 'Unsupported start tag "table"'),
        ("<b>x", "Can't find end tag"),
        ("<b>x</i>", "Unmatched end tag"),
        ("x</b>", "Unexpected end tag"),
        ("<b", "Unsupported start tag"),
        ("<span>x</span>", "must have class"),
        ('<a href="x>y</a>', "Unsupported start tag"),
    ],
)
def test_html_that_does_not_parse_is_refused(api, html, words):
    answer = post(api, text=html, parse_mode="HTML")
    assert answer.status_code == 400
    assert answer.json()["ok"] is False
    assert "can't parse entities" in answer.json()["description"]
    assert words in answer.json()["description"]
    assert api.sent == []


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("<b>a <i>b</i></b> &lt;&amp;&quot;&#39;&#x41;", "a b <&\"'A"),
        ('<a href="https://h/?a=1&amp;b=2">run</a>', "run"),
        ('<pre><code class="language-python">x</code></pre>', "x"),
        ("AT&T &nbsp; &unknown;", "AT&T &nbsp; &unknown;"),
        ("a > b", "a > b"),
        ("  <b> x </b>  ", "x"),
    ],
)
def test_html_that_parses_is_shown(html, seen):
    assert shown_text(html) == seen


def test_the_parser_names_the_byte():
    with pytest.raises(CannotParse, match="byte offset 3"):
        shown_text("é <x>")


def test_without_a_parse_mode_everything_is_text(api):
    assert post(api, text="5 < 6").status_code == 200
    assert api.texts == ["5 < 6"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"text": "x" * 4097}, 400, "message is too long"),
        ({"text": "🚨" * 2049}, 400, "message is too long"),
        ({"text": " \n "}, 400, "message text is empty"),
        ({"text": "x", "chat_id": 43}, 400, "chat not found"),
        ({"text": "x", "chat_id": ""}, 400, "chat_id is empty"),
        ({"text": "x", "message_thread_id": 3}, 400, "message thread not found"),
        ({"text": "x", "token": "123456:other"}, 401, "Unauthorized"),
        ({"text": "x", "token": "nonsense"}, 404, "Not Found"),
        ({"text": "x", "method": "sendNothing"}, 404, "method not found"),
        ({"method": "sendPhoto", "caption": "x"}, 400, "no photo"),
        ({"method": "sendPhoto", "caption": "x" * 1025}, 400, "caption is too long"),
    ],
)
def test_what_the_real_one_refuses_is_refused(api, fields, status, words):
    answer = post(api, **fields)
    assert answer.status_code == status
    assert words in answer.json()["description"]
    assert api.sent == []
    assert [one for _, one in api.requests] == [status]


def test_a_message_of_the_full_length_is_taken(api):
    assert post(api, text="&lt;" * 4096, parse_mode="HTML").json()["result"]["message_id"] == 1


def test_a_chat_is_told_to_wait_after_a_burst():
    with BotApi(TOKEN, chats=[42, 43], clock=lambda: 0.0) as api:
        statuses = [post(api, text="x").status_code for _ in range(9)]
        assert statuses == [200] * 8 + [429]
        answer = post(api, text="x")
        assert answer.json()["parameters"]["retry_after"] >= 1
        assert post(api, text="x", chat_id=43).status_code == 200


def test_one_message_a_second_in_a_chat_and_twenty_a_minute_in_a_group():
    meter = Meter(Limits())
    assert [meter.wait_s("42", second) for second in range(100)] == [0] * 100
    waits = [meter.wait_s("-7", 3.0 * second) for second in range(20)]
    assert waits == [0] * 20
    crowd = Meter(Limits(chat_burst=100))
    assert [crowd.wait_s("-7", 0.0) for _ in range(20)] == [0] * 20
    assert crowd.wait_s("-7", 30.0) == 30
    assert crowd.wait_s("-7", 60.0) == 0
    assert [crowd.wait_s("42", 99.0) for _ in range(25)] == [0] * 25


def test_thirty_a_second_in_all():
    meter = Meter(Limits())
    assert [meter.wait_s(str(chat), 0.5) for chat in range(30)] == [0] * 30
    assert meter.wait_s("99", 0.9) == 1
    assert meter.wait_s("99", 1.5) == 0


def test_a_lost_answer_is_a_message_that_arrived(api):
    api.fault("lost_answer")
    with pytest.raises(requests.ConnectionError):
        post(api, text="x")
    assert [(sent.text, sent.answered) for sent in api.sent] == [("x", False)]
    assert api.requests == [("sendMessage", 0)]


def test_faults_hit_as_often_as_they_should(api):
    fault = api.fault("error", times=None, share=0.2)
    statuses = [post(api, text="x").status_code for _ in range(100)]
    assert 8 <= statuses.count(502) <= 35
    assert fault.hits == statuses.count(502)
    api.lift()
    assert post(api, text="x").status_code == 200


def test_a_fault_that_is_none_is_a_mistake_of_the_test(api):
    with pytest.raises(ValueError, match="no fault"):
        api.fault("explodes")


def test_an_outage_refuses_connections_and_ends_on_the_same_port(api):
    port = api.port
    with requests.Session() as session:
        session.post(f"{api.url}/bot{TOKEN}/getMe", timeout=5)
        with api.outage(), pytest.raises(requests.ConnectionError):
            session.post(f"{api.url}/bot{TOKEN}/getMe", timeout=5)
        assert session.post(f"{api.url}/bot{TOKEN}/getMe", timeout=5).json()["result"]["is_bot"]
    assert api.port == port


def test_a_test_can_wait_for_messages(api):
    later = threading.Timer(0.1, lambda: post(api, text="late"))
    later.start()
    assert api.wait_for(lambda sent: sent.text == "late", timeout_s=5).chat == "42"
    assert len(api.wait(1, timeout_s=1)) == 1
    later.join()
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="1 of 2"):
        api.wait(2, timeout_s=0.1)
    assert time.monotonic() - began < 10


def test_the_webhook_takes_text_alone_and_one_a_second():
    with BotApi(TOKEN, clock=lambda: 0.0) as api:
        assert requests.post(api.slack_url, json={"text": "x"}, timeout=5).text == "ok"
        assert requests.post(api.slack_url, data="{", timeout=5).text == "invalid_payload"
        assert requests.post(api.slack_url, json={"words": "x"}, timeout=5).text == "no_text"
        assert requests.post(f"{api.slack_url}x", json={"text": "x"}, timeout=5).status_code == 404
        answers = [requests.post(api.slack_url, json={"text": "x"}, timeout=5) for _ in range(9)]
        assert [answer.status_code for answer in answers] == [200] * 7 + [429] * 2
        assert float(answers[-1].headers["Retry-After"]) >= 1
        assert {sent.service for sent in api.sent} == {"slack"}
