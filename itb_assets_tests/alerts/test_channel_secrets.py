"""No token and no webhook's key is in any exception, traceback, log line or repr, whatever goes wrong."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest
from bot_api import UNLIMITED, BotApi
from bot_faults import KINDS
from exceptions_dug import told_by
from loguru import logger
from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import NotSent
from itb_assets.observability.alerts.slack import Slack
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.observability.logs import configure_logging, get_logger

TOKEN = "987654:AAH-s3cretTokenOfTheBot"  # noqa: S105 - of a bot that does not exist
KEY = "zzS3cretKeyOfTheHookzz"
HALVES = ("AAH-s3cretTokenOfTheBot", KEY)
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.fixture
def api():
    with BotApi(TOKEN, limits=UNLIMITED, slack_path=f"/services/T0/B0/{KEY}") as server:
        yield server


@pytest.fixture
def lines(caplog):
    """Collect every line that any library writes, at the finest level, and our own beside them."""
    own: list[str] = []
    configure_logging("TRACE", sink=own.append)
    caplog.set_level(logging.DEBUG)
    yield lambda: [*own, *(record.getMessage() for record in caplog.records), caplog.text]
    logger.remove()


def channels(api):
    fast = (0.3, 0.3)
    return [
        Telegram(SecretStr(TOKEN), 42, base_url=api.url, timeouts_s=fast),
        Slack(SecretStr(api.slack_url), timeouts_s=fast),
    ]


def assert_clean(*texts):
    joined = "\n".join(texts)
    for half in HALVES:
        assert half not in joined


def how(kind):
    return {"seconds": 0.5} if kind in {"slow", "drip"} else {}


@pytest.mark.parametrize("kind", [*KINDS, "outage"])
def test_no_failure_shows_a_secret(api, lines, kind):
    fails = []
    for channel in channels(api):
        for chart in (None, PNG):
            with api.outage() if kind == "outage" else api.during(kind, **how(kind)):
                try:
                    channel.send("text", chart)
                except NotSent as error:
                    fails.append(error)
                    get_logger().opt(exception=error).error("not sent")
                    logging.getLogger("elsewhere").exception("not sent", exc_info=error)
    assert kind == "bad_headers" or fails
    assert_clean(*map(told_by, fails), *lines())
    assert any("not sent" in line for line in lines()) or not fails


def test_words_that_repeat_the_address_are_not_repeated(api, lines):
    """A gateway may answer with the path that it did not know."""
    api.fault("refused", words=f"Bad Request: no such path /bot{TOKEN}/sendMessage", times=None)
    with pytest.raises(NotSent) as raised:
        channels(api)[0].send("text")
    assert "***" in str(raised.value)
    assert_clean(told_by(raised.value), *lines())


def test_debug_lines_of_the_http_library_are_kept_and_clean(api, lines):
    """The library writes the path of every request at its finest level, and of odd answers as a warning."""
    api.fault("bad_headers", times=None)
    for channel in channels(api):
        channel.send("text")
    assert any("POST" in line for line in lines())
    assert any("Failed to parse headers" in line for line in lines())
    assert_clean(*lines())


def test_a_name_that_cannot_be_resolved_shows_no_secret(lines):
    channel = Telegram(SecretStr(TOKEN), 42, base_url=f"https://user:{KEY}@no-such-host.invalid")
    with pytest.raises(NotSent) as raised:
        channel.send("text")
    assert_clean(told_by(raised.value), repr(channel), *lines())


def test_a_certificate_that_is_none_shows_no_secret(api, lines):
    channel = Telegram(SecretStr(TOKEN), 42, base_url=api.url.replace("http://", "https://"))
    with pytest.raises(NotSent) as raised:
        channel.send("text")
    assert raised.value.maybe_sent is False
    assert_clean(told_by(raised.value), *lines())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Telegram(SecretStr(f"{TOKEN} "), 42),
        lambda: Telegram(SecretStr(TOKEN), "no chat"),
        lambda: Telegram(SecretStr(TOKEN), TOKEN),
        lambda: Telegram(SecretStr(TOKEN), 42, base_url=f"no address {KEY}"),
        lambda: Telegram(SecretStr(TOKEN), 42, base_url=f"https://host:{KEY}"),
        lambda: Slack(SecretStr(f"https://hooks.slack.com:port/{KEY}")),
        lambda: Slack(SecretStr(f"https://hooks.slack.com/a b/{KEY}")),
        lambda: Slack(SecretStr(KEY)),
    ],
)
def test_a_wrong_setting_shows_no_secret(make):
    with pytest.raises(ConfigError) as raised:
        make()
    error = raised.value
    shown = [str(error), repr(error), repr(vars(error))]
    while error is not None:
        shown.append("".join(traceback.format_exception(error)))
        error = error.__context__
    assert_clean(*shown)


def test_what_a_channel_shows_of_itself_is_no_secret(api):
    for channel in channels(api):
        assert_clean(repr(channel), str(channel), f"{channel!r}", repr(vars(channel)))
        assert "127.0.0.1" in repr(channel)


def test_a_failure_that_is_kept_elsewhere_shows_no_secret(api):
    """What is written into the database or handed to another process is the exception's own words."""
    api.fault("error", times=None)
    for channel in channels(api):
        with pytest.raises(NotSent) as raised:
            channel.send("text")
        assert_clean(pickle.dumps(str(raised.value)).decode("latin-1"))
