"""Any other messenger, through Apprise, an optional extra: `pip install 'itb-assets[apprise]'`.

Apprise says whether a message went out and not why it did not: its refusals are no more than a reason to try
later. What is sent when, and how it reads, belongs elsewhere.
"""

from __future__ import annotations

import importlib
import logging
import re
from typing import Any

from pydantic import SecretStr

from itb_assets.errors import ConfigError
from itb_assets.observability.alerts.channels import Receipt, TryLater
from itb_assets.observability.alerts.post import is_loopback, keep_addresses_out_of_logs
from itb_assets.observability.logs import register_secret

_MISSING = (
    "the channel `apprise` needs a package that is not here: run `pip install 'itb-assets[apprise]'`, or "
    "take it out of [channels] in the alerts' file"
)
_BETWEEN = re.compile(r"[/:@?&=,]+")
_SHORTEST_KEY = 8


class Apprise:
    """One address of Apprise, such as discord://... or mailto://..., which is a secret as a whole."""

    name = "apprise"

    def __init__(self, url: SecretStr) -> None:
        """Prepare the address; raise ConfigError where Apprise is missing or does not know the address."""
        self._module = _apprise()
        _hide(url)
        self._service = _service(self._module, url)
        if self._service is None:
            raise ConfigError(
                ["the address for Apprise is none that it knows: expected one as its pages list them"]
            )

    def __repr__(self) -> str:
        """Name the service, never its address."""
        return f"Apprise(service={type(self._service).__name__!r})"

    def send(self, text_html: str, chart: bytes | None = None) -> Receipt:
        """Send a message, in parts where the service takes less; raise TryLater. A chart is left out."""
        failed = "did not take it"
        try:
            taken = self._service.notify(
                body=text_html.replace("\n", "<br>\n"),
                body_format=self._module.NotifyFormat.HTML,
                overflow=self._module.OverflowMode.SPLIT,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, its words may hold the address
            taken, failed = False, f"failed with {type(error).__name__}"
        if not taken:
            raise TryLater(0.0, f"{type(self._service).__name__} of Apprise {failed}", maybe_sent=True)
        return Receipt("taken", note="" if chart is None else "without its chart")


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


def _hide(url: SecretStr) -> None:
    """Make each part of an address that may be a key known to the logs: which one is, only Apprise knows."""
    keep_addresses_out_of_logs()
    register_secret(url.get_secret_value())
    for part in _BETWEEN.split(url.get_secret_value().partition("://")[2]):
        if len(part) >= _SHORTEST_KEY and not is_loopback(part):
            register_secret(part)


def _service(module: Any, url: SecretStr) -> Any:  # noqa: ANN401 - as above
    """Return what Apprise makes of an address; None where it makes nothing."""
    try:
        return module.Apprise.instantiate(url.get_secret_value(), suppress_exceptions=True)
    except Exception:  # noqa: BLE001 - as in `send`
        return None
