"""Which channels of the alerts a deployment's settings set up, and the configuration that names only those.

How a channel is spoken to belongs to `observability.alerts`, running the dispatcher to `alerter`.
"""

from __future__ import annotations

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.apprise_channel import Apprise
from itb_assets.observability.alerts.channels import Channel
from itb_assets.observability.alerts.config import AlertConfig, ByLevel, load_config
from itb_assets.observability.alerts.config import Channel as ChannelName
from itb_assets.observability.alerts.slack import Slack
from itb_assets.observability.alerts.telegram import Telegram
from itb_assets.settings import Settings

NONE_SET_UP = (
    "no channel is set up, so nobody is told; incidents are kept: set ITB_TELEGRAM_TOKEN and "
    "ITB_TELEGRAM_CHAT, ITB_SLACK_URL or ITB_APPRISE_URLS"
)
NO_LINKS = "messages name docs/operations.md without a link to it: set ITB_DOCS_URL to where docs/ is read"

_PAGE = "operations"


def channel_names(settings: Settings) -> tuple[ChannelName, ...]:
    """Return the channels that are set up, the one that is told first in front.

    Raises ConfigError where one half of Telegram's settings is missing.
    """
    token, chat = settings.telegram_token, settings.telegram_chat
    if (token is None) != (chat is None):
        missing, there = ("CHAT", "TOKEN") if chat is None else ("TOKEN", "CHAT")
        raise ConfigError(
            [f"ITB_TELEGRAM_{missing} is not set, but ITB_TELEGRAM_{there} is: expected both or none"]
        )
    names: list[ChannelName] = [] if token is None else ["telegram"]
    if settings.slack_url is not None:
        names.append("slack")
    if settings.apprise_urls is not None:
        names.append("apprise")
    return (*names,)


def channels_of(settings: Settings) -> list[Channel]:
    """Return the channels that are set up, ready to send; raise ConfigError for settings that are wrong."""
    names, channels = channel_names(settings), list[Channel]()
    if "telegram" in names and settings.telegram_token is not None and settings.telegram_chat is not None:
        channels.append(
            Telegram(
                settings.telegram_token,
                settings.telegram_chat,
                thread=settings.telegram_thread,
                base_url=settings.telegram_url,
            )
        )
    if settings.slack_url is not None:
        channels.append(Slack(settings.slack_url))
    if settings.apprise_urls is not None:
        channels.append(Apprise(settings.apprise_urls))
    return channels


def docs_page(settings: Settings) -> str:
    """Return the address of the page that says what to do about each alert, "" where none is known.

    ITB_DOCS_URL may name the folder, as on a repository's web page, or that page itself, whatever its ending.
    """
    address = (settings.docs_url or "").rstrip("/")
    if not address or address.rpartition("/")[2].partition(".")[0] == _PAGE:
        return settings.docs_url or ""
    return f"{address}/{_PAGE}.md"


def config_of(settings: Settings) -> AlertConfig:
    """Return the configuration of a deployment with every level going to channels that are set up.

    A level whose channels are none of these goes to the first that is: somebody has to hear of it. One that
    is to go nowhere still does. Without any channel nothing is put into the outbox, where it would pile up.
    What is late goes over the second one that is set up, unless the file names another or none.
    Raises ConfigError for a file or settings that are wrong.
    """
    config, names = load_config(settings.alerts_file, language=settings.lang), channel_names(settings)
    routed = {
        level.label: tuple(name for name in wanted if name in names) or (names[:1] if wanted else ())
        for level, wanted in config.channels.named.items()
    }
    escalation = config.escalation
    if escalation.channel not in {"none", *names} and len(names) > 1:
        escalation = escalation.model_copy(update={"channel": names[1]})
    return config.model_copy(update={"channels": ByLevel.model_validate(routed), "escalation": escalation})
