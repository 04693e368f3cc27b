"""Who hears of a level follows from the alerts' file and from what the settings set up."""

from __future__ import annotations

import pytest

from itb_assets.domain.alerts import Level
from itb_assets.errors import ConfigError
from itb_assets.orchestration.alert_channels import channel_names, channels_of, config_of
from itb_assets.settings import load_settings

TELEGRAM = {"telegram_token": "123456:AAEhBP0av28fKAuFJ5Xc5i2zqmL7wTestOnly", "telegram_chat": "42"}
SLACK = {"slack_url": "https://hooks.slack.example/services/T0/B0/abcdefgh"}


def routed(**settings: object) -> dict[str, tuple[str, ...]]:
    """Return the channels of each level."""
    routing = config_of(load_settings(**settings)).routing
    return {level.label: routing.of(level) for level in Level}


def test_nobody_hears_without_a_channel():
    assert set(routed().values()) == {()}
    assert channels_of(load_settings()) == []


@pytest.mark.parametrize(
    ("settings", "channel"), [(TELEGRAM, "telegram"), (SLACK, "slack"), (TELEGRAM | SLACK, "telegram")]
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
