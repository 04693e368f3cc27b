"""The progress bars of a run on a terminal: assets done, asset under way, files downloaded.

Where there is no terminal nothing is drawn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from itb_assets.cli.output import errors
from itb_assets.domain.markets import Market


class Shown:
    """What a run tells while it goes on."""

    def __init__(self, progress: Progress, markets: int) -> None:
        """Add the bars to a progress display."""
        self._progress = progress
        self._markets = markets
        self._markets_done = 0
        self._begun = 0
        self._assets = progress.add_task("starting", total=None)
        self._download = progress.add_task("downloads", total=None, visible=False)

    def expect(self, assets_per_market: int) -> None:
        """Say how many assets a market has."""
        self._per_market = assets_per_market
        self._progress.update(self._assets, total=self._markets * assets_per_market)

    def asset(self, market: Market, asset: str) -> None:
        """Say which asset is being computed."""
        done = self._markets_done * self._per_market + self._begun
        self._progress.update(self._assets, completed=done, description=f"{market}  {asset}")
        self._progress.update(self._download, visible=False)
        self._begun += 1

    def download(self, done: int, total: int, what: str) -> None:
        """Say how far a download is."""
        self._progress.update(
            self._download, completed=done, total=total, description=f"  {what}", visible=done < total
        )

    def market_done(self) -> None:
        """Say that a market is done."""
        self._markets_done += 1
        self._begun = 0
        self._progress.update(self._assets, completed=self._markets_done * self._per_market)


@contextmanager
def shown_progress(markets: int) -> Iterator[Shown]:
    """Draw the bars until the block ends, then remove them."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    text = TextColumn("{task.description}")
    with (
        _terminal() as terminal,
        Progress(
            *columns, text, console=terminal, transient=True, disable=not terminal.is_terminal
        ) as progress,
    ):
        yield Shown(progress, markets)


@contextmanager
def _terminal() -> Iterator[Console]:
    """Yield a console that goes on reaching the terminal while Dagster captures descriptor 2."""
    if not errors.is_terminal:
        yield errors
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as copy:
        yield Console(file=copy)
