"""Who hears of a level follows from the alerts' file and from what the settings set up."""

from __future__ import annotations

import pytest

from itb_assets.domain.alerts import Level
from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.orchestration.alerts import desk
from itb_assets.orchestration.alerts.channels import channel_names, channels_of, config_of, docs_page
from itb_assets.settings import load_settings

TELEGRAM = {"telegram_token": "123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly", "telegram_chat": "42"}
SLACK = {"slack_url": "https://hooks.slack.example/services/T0/B0/abcdefgh"}
APPRISE = {"apprise_urls": "json://127.0.0.1:9/abcdefgh"}


def routed(**settings: object) -> dict[str, tuple[str, ...]]:
    """Return the channels of each level."""
    routing = config_of(load_settings(**settings)).routing
    return {level.label: routing.of(level) for level in Level}


def test_nobody_hears_without_a_channel():
    assert set(routed().values()) == {()}
    assert channels_of(load_settings()) == []


@pytest.mark.parametrize(
    ("settings", "channel"),
    [
        (TELEGRAM, "telegram"),
        (SLACK, "slack"),
        (APPRISE, "apprise"),
        (TELEGRAM | SLACK, "telegram"),
        (SLACK | APPRISE, "slack"),
    ],
)
def test_every_level_goes_to_a_channel_that_is_set_up(settings, channel):
    assert set(routed(**settings).values()) == {(channel,)}
    assert channels_of(load_settings(**settings))[0].name == channel


def test_a_level_that_is_to_go_nowhere_still_does(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[channels]\ninfo = []\nwarning = ["apprise"]\ncritical = ["slack", "telegram"]\n')
    assert routed(**TELEGRAM, **SLACK, alerts_file=own) == {
        "info": (),
        "warning": ("telegram",),
        "error": ("telegram",),
        "critical": ("slack", "telegram"),
    }


@pytest.mark.parametrize(("name", "other"), [("token", "chat"), ("chat", "token")])
def test_one_half_of_telegram_is_refused_without_its_value(name, other):
    half = {f"telegram_{other}": TELEGRAM[f"telegram_{other}"]}
    with pytest.raises(ConfigError, match=f"ITB_TELEGRAM_{name.upper()} is not set") as caught:
        channel_names(load_settings(**half))
    assert TELEGRAM["telegram_token"] not in str(caught.value)


def test_the_language_of_the_settings_wins():
    assert config_of(load_settings(lang="pt")).language == "pt"
    assert config_of(load_settings()).language == "en"


def test_a_level_goes_to_apprise_where_the_file_says_so(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[channels]\ninfo = ["apprise"]\ncritical = ["telegram", "apprise"]\n')
    assert routed(**TELEGRAM, **APPRISE, alerts_file=own) == {
        "info": ("apprise",),
        "warning": ("telegram",),
        "error": ("telegram",),
        "critical": ("telegram", "apprise"),
    }


@pytest.mark.parametrize(
    ("settings", "text", "to"),
    [
        (TELEGRAM | SLACK, "", "slack"),
        (TELEGRAM | APPRISE, "", "apprise"),
        (SLACK | APPRISE, "", "slack"),
        (TELEGRAM | SLACK | APPRISE, 'channel = "apprise"', "apprise"),
        (TELEGRAM | APPRISE, 'channel = "none"', None),
    ],
)
def test_what_is_late_goes_over_a_second_channel_that_is_set_up(tmp_path, settings, text, to):
    own = tmp_path / "own.toml"
    own.write_text(f"[escalation]\n{text}\n")
    assert config_of(load_settings(**settings, alerts_file=own)).escalation_channel == to


def test_the_topic_of_a_group_reaches_the_channel():
    (channel,) = channels_of(load_settings(**TELEGRAM, telegram_thread=7))
    assert isinstance(channel, Telegram)
    assert channel.thread == 7


@pytest.mark.parametrize(
    ("address", "page"),
    [
        (None, ""),
        ("https://host/repo/blob/main/docs", "https://host/repo/blob/main/docs/operations.md"),
        ("https://host/repo/blob/main/docs/", "https://host/repo/blob/main/docs/operations.md"),
        ("https://host", "https://host/operations.md"),
        ("https://host/operations.html", "https://host/operations.html"),
        ("https://host/docs/operations/", "https://host/docs/operations/"),
        ("https://host/my-operations", "https://host/my-operations/operations.md"),
    ],
)
def test_the_page_that_says_what_to_do_is_found_below_the_address_of_the_docs(address, page):
    assert docs_page(load_settings(docs_url=address)) == page


@pytest.mark.parametrize(("docs", "linked"), [(None, False), ("https://host/docs", True)])
def test_the_doctor_says_where_messages_have_no_link(monkeypatch, docs, linked):
    monkeypatch.setattr(desk, "heartbeat_age_s", lambda _: 3.0)
    said = desk.alerter_state(load_settings(**TELEGRAM, docs_url=docs))
    assert said.startswith("tells over telegram, last heartbeat 0:00:03 ago")
    assert said.endswith("without a link to it: set ITB_DOCS_URL to where docs/ is read") is not linked


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (APPRISE | {"apprise_urls": "nothing://abcdefgh"}, "address 1 of ITB_APPRISE_URLS"),
        (SLACK | {"slack_url": "abcdefgh"}, "the webhook of Slack"),
        (TELEGRAM | {"telegram_chat": "no chat"}, "the chat of Telegram"),
    ],
)
def test_the_doctor_finds_a_channel_that_is_set_up_wrong(settings, named):
    """Before a message is refused for it, and without repeating the address."""
    with pytest.raises(ConfigError, match=named) as caught:
        desk.alerter_state(load_settings(**settings))
    assert "abcdefgh" not in str(caught.value)
