"""The processes that `test_endurance_database` kills: writers that note each frame, and what strikes them.

A strike comes before a step of a write and ends this process, or the database server under it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from endurance_frames import Chain, keeper_of

from itb_assets.domain.markets import Market
from itb_assets.errors import DatabaseUnavailable
from itb_assets.storage.files import frames
from itb_assets.storage.phases import Phase
from itb_assets.storage.server.embedded import EmbeddedPostgres
from itb_assets.storage.tables import database

MOMENTS: Mapping[str, tuple[Any, str, bool]] = {
    "before COPY": (database, "write_frame", False),
    "inside the transaction": (database, "note", True),
    "between commit and the file's rename": (frames, "commit", False),
    "after the rename": (frames, "commit", True),
}
"""What is called at each moment, and whether the blow falls after it."""


@dataclass(frozen=True)
class Job:
    """What a writer writes where, from which generation on, and the blow that it deals: at which call."""

    root: Path
    phase: Phase
    url: str
    market: Market
    first: int
    moment: str = ""
    call: int = 0
    server: bool = False


def journal_of(root: Path, market: Market) -> Path:
    """Return where a market's stored frames are noted."""
    return root / f"{market}.journal"


def kill_server(root: Path) -> None:
    """End the data root's server and every process of it at once."""
    pid = EmbeddedPostgres(root / ".itb" / "postgres").status().pid
    assert pid is not None
    processes = psutil.Process(pid).children()
    for process in (psutil.Process(pid), *processes):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@dataclass(frozen=True)
class Events:
    """How a writer and who started it tell each other what goes on; all are of `multiprocessing`."""

    stored: Any
    """Set by every frame that was stored."""
    resting: Any
    """Set when the database went away; then the writer waits for `go`."""
    go: Any
    failure: Any
    """A queue of what should not have happened."""


def write_for_ever(job: Job, events: Events) -> None:
    """Write generation after generation until somebody ends this process; rest while the server is away."""
    if job.moment:
        _strike(job)
    chain = Chain(keeper_of(job.root, job.phase, job.url), job.market)
    journal = os.open(journal_of(job.root, job.market), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for generation in itertools.count(job.first):
            try:
                for asset, manifest in chain.write(generation):
                    line = {"asset": asset, "generation": generation, "version": manifest.version}
                    os.write(journal, json.dumps(line).encode() + b"\n")
                    os.fsync(journal)
                    events.stored.set()
            except DatabaseUnavailable:
                events.stored.clear()
                events.resting.set()
                events.go.wait()
    except BaseException as error:
        events.failure.put(f"{type(error).__name__}: {error}")
        raise


def _strike(job: Job) -> None:
    """Have one of the steps end this process, or the server and not this process."""
    owner, name, after = MOMENTS[job.moment]
    step, calls = getattr(owner, name), itertools.count(1)

    def strike() -> None:
        if next(calls) != job.call:
            return
        if job.server:
            kill_server(job.root)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def struck(*arguments: object, **options: object) -> object:
        if not after:
            strike()
        done = step(*arguments, **options)
        if after:
            strike()
        return done

    setattr(owner, name, struck)
