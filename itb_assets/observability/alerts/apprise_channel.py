"""Any other messenger, through Apprise, an optional extra: `pip install 'itb-assets[apprise]'`.

Apprise says whether a message went out and not why it did not: its refusals are no more than a reason to try
later. What is sent when, and how it reads, belongs elsewhere.
"""

from __future__ import annotations

import importlib
import logging
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import Receipt, TryLater
from itb_assets.observability.alerts.markup import plain, with_addresses
from itb_assets.observability.alerts.post import is_loopback, keep_addresses_out_of_logs
from itb_assets.observability.logs import get_logger, register_secret

SETTING = "ITB_APPRISE_URLS"
LONGEST_S = 30.0
"""How long one service may take, retries and parts of a message included."""

_MISSING = (
    f"{SETTING} is set, but the package apprise is not installed: run `pip install 'itb-assets[apprise]'`, "
    f"or unset {SETTING}"
)
_EXPECTED = "expected service://... as its pages list them, such as discord://WEBHOOK_ID/WEBHOOK_TOKEN"
_NEXT = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_SCHEME = re.compile(r"([a-z][a-z0-9]{0,9})://")
_BETWEEN = re.compile(r"[/:@?&=,]+")
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class _Service:
    """One address: what Apprise made of it, and what may be said of it."""

    label: str
    apprise: Any = field(repr=False)
    takes_html: bool


class Apprise:
    """One or several addresses of Apprise, such as discord://... or mailto://..., secret as a whole.

    A message has arrived when one of them took it; that another one did not is said in log and receipt.
    """

    name = "apprise"

    def __init__(self, urls: SecretStr) -> None:
        """Prepare the addresses, separated by spaces; raise ConfigError for each that is none, by its place.

        Raise ConfigError where the package is missing, too.
        """
        hide_addresses(urls)
        self._module = _apprise()
        self._services, wrong = list[_Service](), list[str]()
        for place, url in enumerate(addresses_of(urls), 1):
            made = _service(self._module, url, place)
            if made is None:
                wrong.append(
                    f"address {place} of {SETTING} is none that Apprise knows{_as(url)}: {_EXPECTED}"
                )
            else:
                self._services.append(made)
        if wrong or not self._services:
            raise ConfigError(wrong or [f"{SETTING} holds no address: {_EXPECTED}"])

    def __repr__(self) -> str:
        """Name the services, never their addresses."""
        return f"Apprise({', '.join(service.label for service in self._services)})"

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message, in parts where a service takes less; raise TryLater. A chart is left out."""
        failed = [
            f"{service.label} {why}" for service in self._services if (why := self._try(service, text_html))
        ]
        if len(failed) == len(self._services):
            raise TryLater(0.0, f"of Apprise: {', '.join(failed)}", maybe_sent=True)
        notes = [f"but {', '.join(failed)}"] if failed else []
        if failed:
            get_logger(channel=self.name).warning(f"sent, {notes[0]}")
        return Receipt("taken", note="; ".join([*notes, *([] if chart is None else ["without its chart"])]))

    def _try(self, service: _Service, text_html: str) -> str:
        """Return why a service did not take a message, "" where it did; no word of Apprise's own is in it."""
        title, _, body = text_html.partition("\n")
        title, body = (plain(title), body) if body else ("", title)
        formats = self._module.NotifyFormat
        try:
            taken = service.apprise.notify(
                title=title,
                body=body.replace("\n", "<br>\n") if service.takes_html else with_addresses(body),
                body_format=formats.HTML if service.takes_html else formats.TEXT,
                timeout=LONGEST_S,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, its words may hold the address
            return f"failed with {type(error).__name__}"
        return "" if taken else "did not take it"


class _Silent(logging.Filter):
    """Leaves out the lines of Apprise: addresses, answers and what was sent are in them."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the base class's
        return False


_SILENT = _Silent()


def _apprise() -> Any:  # noqa: ANN401 - a package without types, which may be missing
    try:
        module = importlib.import_module("apprise")
    except ModuleNotFoundError:
        module = None
    if module is None:
        raise ConfigError([_MISSING])
    logging.getLogger("apprise").addFilter(_SILENT)  # adding it twice changes nothing
    return module


def addresses_of(urls: SecretStr) -> list[str]:
    """Return the single addresses: separated by spaces, a comma before the next one is no part of either."""
    return [url for url in _NEXT.split(urls.get_secret_value().strip().strip(",")) if url]


def hide_addresses(urls: SecretStr) -> None:
    """Make each part of the addresses that may be a key known to the logs: which is one, Apprise knows."""
    keep_addresses_out_of_logs()
    for url in addresses_of(urls):
        register_secret(url)
        for part in _BETWEEN.split(url.partition("://")[2] or url):
            for secret in {part, unquote(part)}:
                if len(secret) >= _SHORTEST_KEY and not is_loopback(secret):
                    register_secret(secret)


def _service(module: Any, url: str, place: int) -> _Service | None:  # noqa: ANN401 - as above
    """Return what Apprise makes of an address; None where it makes nothing. It follows no redirect."""
    try:
        asset = module.AppriseAsset(
            app_id="itb-assets", http_redirects=False, storage_mode="memory", service_timeout=LONGEST_S
        )
        made = module.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if made is None:
            return None
        made.redirects, made.overflow_mode = False, module.OverflowMode.SPLIT
        apprise = module.Apprise(asset=asset)
        apprise.add(made)
        label = f"{place} ({type(made).__name__.removeprefix('Notify')})"
        formats = {module.NotifyFormat.HTML, module.NotifyFormat.MARKDOWN}
        return _Service(label, apprise, takes_html=not formats.isdisjoint(_formats(made)))
    except Exception:  # noqa: BLE001 - as in `_try`
        return None


def _formats(made: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    found = made.notify_format
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _as(url: str) -> str:
    """Say how an address begins, where that is a word and not a part of its key."""
    found = _SCHEME.match(url)
    return f" ({found[1]}://...)" if found else ""
