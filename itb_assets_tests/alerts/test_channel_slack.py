"""A message reaches a webhook of Slack in Slack's own form, and every answer means what it says."""

from __future__ import annotations

import pytest
from bot_api import UNLIMITED, BotApi
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import Refused, TryLater
from itb_assets.observability.alerts.slack import Slack


@pytest.fixture
def api():
    with BotApi("1:x", limits=UNLIMITED) as server:
        yield server


def slack(api):
    return Slack(SecretStr(api.slack_url))


def test_a_message_arrives_in_slacks_form(api):
    receipt = slack(api).send(
        '🚨 <b>A &lt; B</b>\n<code>x_y *</code> <a href="https://host/?a=1&amp;b">run</a>'
    )
    (sent,) = api.sent
    assert sent.service == "slack"
    assert sent.text == "🚨 *A &lt; B*\n`x_y *` <https://host/?a=1&amp;b|run>"
    assert str(receipt) == "ok"


def test_a_chart_is_left_out_and_the_receipt_says_so(api):
    assert "without its chart" in slack(api).send("text", b"png").note
    assert api.texts == ["text"]


def test_nothing_of_a_message_calls_everybody(api):
    slack(api).send("&lt;!channel&gt; &lt;@U123&gt;")
    assert api.texts == ["&lt;!channel&gt; &lt;@U123&gt;"]


def test_the_pause_of_the_header_is_passed_on(api):
    api.fault("too_many", retry_after=30)
    with pytest.raises(TryLater) as raised:
        slack(api).send("text")
    assert (raised.value.after_s, raised.value.maybe_sent) == (30, False)


def test_a_webhook_that_is_gone_is_refused(api):
    with pytest.raises(Refused, match="no_service") as raised:
        Slack(SecretStr(f"{api.url}/services/T0/B0/other")).send("text")
    assert raised.value.status == 404


def test_an_empty_message_is_refused(api):
    with pytest.raises(Refused, match="no_text"):
        slack(api).send("")


@pytest.mark.parametrize(
    ("kind", "how", "maybe"),
    [
        ("error", {"status": 503}, True),
        ("error", {"status": 404}, False),
        ("garbage", {}, True),
        ("empty", {}, True),
        ("drop", {}, True),
        ("lost_answer", {}, True),
        ("redirect", {}, False),
        ("torn", {}, True),
    ],
)
def test_everything_else_is_tried_again(api, kind, how, maybe):
    api.fault(kind, **how)
    with pytest.raises(TryLater) as raised:
        slack(api).send("text")
    assert raised.value.maybe_sent is maybe


def test_nobody_listening_means_surely_not_sent(api):
    channel = slack(api)
    with api.outage(), pytest.raises(TryLater) as raised:
        channel.send("text")
    assert raised.value.maybe_sent is False


@pytest.mark.parametrize(
    "url", ["", "hooks.slack.com/services/SECRETKEY", "file:///SECRETKEY", "http://[SECRETKEY"]
)
def test_an_address_that_is_none_is_found_at_once_and_not_shown(url):
    with pytest.raises(ConfigError, match="webhook of Slack") as raised:
        Slack(SecretStr(url))
    assert "SECRETKEY" not in str(raised.value)
