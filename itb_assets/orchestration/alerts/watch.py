"""The alerter's own look at Dagster: its events, failed ticks, and which markets a deployment follows.

It reads what the sensor reads, from the same cursor under the same lock, so that a dead daemon or code server
is told at once; in a thread of its own, since Dagster's database may be slow or away. What is read belongs to
`reading`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

import dagster as dg

from itb_assets.domain.markets import Market
from itb_assets.errors import InvalidMarket, ItbError
from itb_assets.observability.alerts.config import AlertConfig
from itb_assets.observability.alerts.sessions import in_short
from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alerts.reading import AlertReader
from itb_assets.orchestration.alerts.sensor import subjects_of, ui_url_of
from itb_assets.orchestration.alerts.writer import AlertWriter
from itb_assets.orchestration.build import build_platform
from itb_assets.orchestration.instance import opened_instance
from itb_assets.orchestration.runner import followed_symbols
from itb_assets.settings import Settings

EVENTS_EVERY_S = 2.0
FOLLOWED_EVERY_S = 60.0
MAX_WORDS = 400

_Files = frozenset[tuple[str, int, int]]


class DagsterWatch:
    """Looks at the Dagster of one deployment, again and again, from one thread.

    `followed` are the markets that are followed, None while that is not known; `asked` is set once it was
    tried to learn it. `trouble` says why events are not read, and is empty while they are.
    """

    def __init__(self, settings: Settings, url: str, config: AlertConfig) -> None:
        """Remember where both databases are, or raise InputError; the first look connects."""
        self.followed: Collection[Market] | None = None
        self.asked = threading.Event()
        self.trouble = ""
        self._settings = settings
        self._reader = AlertReader(AlertWriter(url, config), None, beats=False)
        self._instance: dg.DagsterInstance | None = None
        self._opened = ExitStack()
        self._followed_at: float | None = None
        self._files: _Files | None = None

    def run(self, stop: threading.Event, *, every_s: float = EVENTS_EVERY_S) -> None:
        """Look until `stop` is set; what is away or wrong is said once, and waited for."""
        logging.getLogger().addFilter(_no_attempt)
        try:
            while not stop.is_set():
                self.try_to_look()
                stop.wait(every_s)
        finally:
            self.close()
            logging.getLogger().removeFilter(_no_attempt)

    def try_to_look(self) -> None:
        """Look once; what is away or wrong is said and left for the next time."""
        try:
            trouble = self.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may do better
            trouble = redact(in_short(error))
            self._leave()
        finally:
            self.asked.set()
        if trouble and trouble != self.trouble:
            get_logger().warning("events of Dagster are read later: {}", trouble)
        self.trouble = trouble

    def look(self) -> str:
        """Read what is new, once; return why events wait, or nothing. Raise what either database raises.

        Events cannot be told without knowing the assets, and wait while strategies are wrong; ticks that
        failed, for that very reason maybe, are told all the same.
        """
        if self._instance is None:
            self._instance = self._opened.enter_context(opened_instance(self._settings))
        self._follow(self._instance)
        trouble = self._know_assets()
        self._reader.look(self._instance)
        return trouble

    def close(self) -> None:
        """Close every connection."""
        self._leave()
        self._reader.writer.close()

    def _leave(self) -> None:
        self._instance = None
        with suppress(Exception):  # what is away cannot be taken leave of
            self._opened.close()

    def _follow(self, instance: dg.DagsterInstance) -> None:
        now = time.monotonic()
        if self._followed_at is None or now - self._followed_at >= FOLLOWED_EVERY_S:
            self.followed = frozenset(_markets(followed_symbols(instance), self._settings.freqs))
            self._followed_at = now

    def _know_assets(self) -> str:
        """Know the assets of the strategies as they are now; return what is wrong with these."""
        try:
            files = _files(self._settings)
            if files != self._files:
                platform = build_platform(self._settings)
                self._reader = replace(
                    self._reader, subjects=subjects_of(platform), ui_url=ui_url_of(platform)
                )
                self._files = files
        except (ItbError, OSError) as error:
            self._reader, self._files = replace(self._reader, subjects=None), None
            return redact(f"{type(error).__name__}: {' '.join(str(error).split())}")[:MAX_WORDS]
        return ""


def _no_attempt(record: logging.LogRecord) -> bool:
    """Leave out that Dagster tries again to connect, several times a second: that it is away is said once."""
    return not str(record.msg).startswith("Retrying failed database connection")


def _files(settings: Settings) -> _Files:
    """Return what tells whether strategies changed; raise OSError for a folder that cannot be read."""
    folder = settings.strategies_dir
    if folder is None:
        return frozenset()
    found = ((file.name, file.stat()) for file in folder.iterdir())
    return frozenset((name, about.st_mtime_ns, about.st_size) for name, about in found)


def _markets(symbols: Sequence[str], freqs: Sequence[str]) -> Iterator[Market]:
    for symbol in symbols:
        for freq in freqs:
            try:
                yield Market(symbol, freq)
            except InvalidMarket:  # somebody added a key in the UI that is no symbol
                continue
